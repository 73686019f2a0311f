import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc32c } from "../../../src/base/crc32c.ts";
import { KafkaError } from "../../../src/protocol/errors.ts";
import * as batch from "../../../src/protocol/records/batch.ts";
import { buildBatch, type NewBatch } from "../../../src/protocol/records/batch-builder.ts";

const limits = { maxMessageBytes: 1000 };

function sent(overrides: Partial<NewBatch> = {}): Buffer {
  return buildBatch({
    timestampMs: 1_700_000_000_000,
    records: [
      { key: Buffer.from("k"), value: Buffer.from("v") },
      { key: null, value: Buffer.from("w") },
    ],
    ...overrides,
  });
}

/** Changes the batch and makes its checksum right again. */
function changed(change: (bytes: Buffer) => void, bytes = sent()): Buffer {
  change(bytes);
  bytes.writeUInt32BE(crc32c(bytes, 21), 17);
  return bytes;
}

function refusal(records: Buffer | null): string | null {
  try {
    batch.validateClientBatch(records, limits);
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(KafkaError);
    return (error as KafkaError).errorName;
  }
}

describe("a client's batch", () => {
  test("is taken when it is one whole batch, plain, idempotent or transactional", () => {
    const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0 };
    expect(refusal(sent())).toBeNull();
    expect(refusal(sent(producer))).toBeNull();
    expect(refusal(sent({ ...producer, isTransactional: true }))).toBeNull();
    expect(refusal(sent({ compression: "gzip" }))).toBeNull();
  });

  const FLIPPED_CRC = sent();
  FLIPPED_CRC[FLIPPED_CRC.length - 1]! ^= 1;
  const large = Buffer.alloc(1000);

  test.each<[string, string, Buffer | null]>([
    ["no records", "INVALID_RECORD", null],
    ["an empty byte string", "INVALID_RECORD", Buffer.alloc(0)],
    ["less than a length", "INVALID_RECORD", sent().subarray(0, 11)],
    ["an incomplete batch", "INVALID_RECORD", sent().subarray(0, -1)],
    ["two batches", "INVALID_RECORD", Buffer.concat([sent(), sent()])],
    [
      "a batch and the beginning of another",
      "INVALID_RECORD",
      Buffer.concat([sent(), sent().subarray(0, 20)]),
    ],
    ["magic 0", "INVALID_RECORD", changed((b) => b.writeInt8(0, 16))],
    ["magic 1", "INVALID_RECORD", changed((b) => b.writeInt8(1, 16))],
    ["magic 3", "CORRUPT_MESSAGE", changed((b) => b.writeInt8(3, 16))],
    ["magic -1", "CORRUPT_MESSAGE", changed((b) => b.writeInt8(-1, 16))],
    ["length -1", "CORRUPT_MESSAGE", changed((b) => b.writeInt32BE(-1, 8))],
    ["length 0", "CORRUPT_MESSAGE", changed((b) => b.writeInt32BE(0, 8))],
    ["a length short of the header", "CORRUPT_MESSAGE", changed((b) => b.writeInt32BE(48, 8))],
    ["length 2^31 - 1", "CORRUPT_MESSAGE", changed((b) => b.writeInt32BE(0x7fffffff, 8))],
    ["a wrong checksum", "CORRUPT_MESSAGE", FLIPPED_CRC],
    [
      "more bytes than allowed",
      "MESSAGE_TOO_LARGE",
      sent({ records: [{ key: null, value: large }] }),
    ],
    ["base offset 1", "INVALID_RECORD", changed((b) => b.writeBigInt64BE(1n, 0))],
    ["record count 0", "INVALID_RECORD", changed((b) => b.writeInt32BE(0, 57))],
    ["record count -1", "INVALID_RECORD", changed((b) => b.writeInt32BE(-1, 57))],
    ["a count above the last offset", "INVALID_RECORD", changed((b) => b.writeInt32BE(3, 57))],
    ["a last offset above the count", "INVALID_RECORD", changed((b) => b.writeInt32BE(2, 23))],
    [
      "more records than fit",
      "INVALID_RECORD",
      changed((b) => {
        b.writeInt32BE(999_999, 23);
        b.writeInt32BE(1_000_000, 57);
      }),
    ],
    ["a control batch", "INVALID_RECORD", sent({ isControl: true })],
    ["a producer id without sequence", "INVALID_RECORD", sent({ producerId: 7, producerEpoch: 0 })],
    ["a producer id without epoch", "INVALID_RECORD", sent({ producerId: 7, baseSequence: 0 })],
    ["a transaction without producer id", "INVALID_RECORD", sent({ isTransactional: true })],
    [
      "a producer id beyond 2^53",
      "INVALID_RECORD",
      changed(
        (b) => b.writeBigInt64BE(2n ** 60n, 43),
        sent({ producerId: 7, producerEpoch: 0, baseSequence: 0 }),
      ),
    ],
    ["codec 5", "INVALID_RECORD", changed((b) => b.writeInt16BE(5, 21))],
    ["LogAppendTime", "INVALID_TIMESTAMP", changed((b) => b.writeInt16BE(8, 21))],
  ])("is refused for %s: %s", (_name, errorName, records) => {
    expect(refusal(records)).toBe(errorName);
  });

  test("is refused with a KafkaError whatever the bytes are", () => {
    const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
    const mutated = fc
      .array(fc.tuple(fc.nat(sent().length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
      .map((changes) => changed((b) => changes.forEach(([at, value]) => (b[at] = value))));
    fc.assert(
      fc.property(fc.oneof(bytes, mutated), (records) => {
        if (refusal(records) !== null) return;
        // What is taken is one batch of as many records as offsets, and its checksum is right.
        expect(batch.completeBatchesBytes(records)).toBe(batch.batchSizeBytes(records));
        expect(batch.batchNextOffset(records)).toBe(batch.batchRecordCount(records));
        expect(batch.isBatchCrcValid(records)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("a batch in the log", () => {
  test("keeps its checksum when it is stamped", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(0x7fffffff), (baseOffset, leaderEpoch) => {
        const bytes = Buffer.concat([Buffer.alloc(5), sent()]);
        batch.stampBatch(bytes, 5, baseOffset, leaderEpoch);
        expect(batch.isBatchCrcValid(bytes, 5)).toBe(true);
        expect(batch.batchBaseOffset(bytes, 5)).toBe(baseOffset);
        expect(batch.batchLeaderEpoch(bytes, 5)).toBe(leaderEpoch);
        expect(batch.batchLastOffset(bytes, 5)).toBe(baseOffset + 1);
      }),
    );
  });

  test("has a right checksum after it was given LogAppendTime", () => {
    const bytes = Buffer.concat([sent(), sent()]);
    const position = bytes.length / 2;
    batch.stampLogAppendTime(bytes, position, 1_800_000_000_000);
    expect(batch.isBatchCrcValid(bytes, position)).toBe(true);
    expect(batch.batchTimestampType(bytes, position)).toBe("LogAppendTime");
    expect(batch.batchMaxTimestamp(bytes, position)).toBe(1_800_000_000_000);
    expect(bytes.subarray(0, position).equals(sent())).toBe(true);
  });

  test("wraps its sequence after 2^31 - 1", () => {
    const bytes = sent({ producerId: 1, producerEpoch: 0, baseSequence: 0x7fffffff });
    expect(batch.batchLastSequence(bytes)).toBe(0);
    expect(batch.batchLastSequence(sent())).toBe(-1);
  });

  test("is found damaged when any bit that the checksum covers flips (S2)", () => {
    const whole = sent();
    for (let bit = 8 * 16; bit < 8 * whole.length; bit += 1) {
      const bytes = Buffer.from(whole);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(batch.isBatchCrcValid(bytes)).toBe(false);
    }
  });

  test("is never parsed from zeros (E18), nor from what is cut off", () => {
    expect(batch.completeBatchesBytes(Buffer.alloc(4096))).toBe(0);
    expect(batch.isBatchCrcValid(Buffer.alloc(4096))).toBe(false);
    const two = Buffer.concat([sent(), sent()]);
    for (let length = 0; length < two.length; length += 1) {
      const expected = length < two.length / 2 ? 0 : two.length / 2;
      expect(batch.completeBatchesBytes(two.subarray(0, length))).toBe(expected);
      expect(batch.isBatchCrcValid(two.subarray(0, length))).toBe(expected > 0);
    }
    expect(batch.completeBatchesBytes(two)).toBe(two.length);
  });
});
