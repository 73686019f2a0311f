import { beforeAll, describe, expect, test } from "vitest";
import { KafkaError } from "../../../src/protocol/errors.ts";
import * as batch from "../../../src/protocol/records/batch.ts";
import { inflateSync, loadCodec } from "../../../src/protocol/records/compression.ts";
import { batchBody, iterateBatchRecords } from "../../../src/protocol/records/record.ts";
import { RecordCursor } from "../../../src/protocol/records/varint.ts";
import { type InvalidVector, readVectors, type RecordsVector } from "./records-vectors.ts";

const INT32_MAX = 0x7fffffff;
const invalid = readVectors("records-invalid") as InvalidVector[];
const legacy = readVectors("records-legacy") as RecordsVector[];
const whole = readVectors("records-v2") as RecordsVector[];
const limits = { maxMessageBytes: 1024 * 1024 };

beforeAll(() => loadCodec("zstd"));

interface Verdict {
  readonly isDamaged: boolean;
  /** Batches whose checksum was right. */
  readonly batchesRead: number;
}

/** What a reader of a log says: an incomplete batch at the end is no damage. */
function readAll(bytes: Buffer): Verdict {
  let position = 0;
  let batchesRead = 0;
  while (bytes.length - position >= batch.LOG_OVERHEAD) {
    const sizeBytes = batch.batchSizeBytes(bytes, position);
    if (sizeBytes > INT32_MAX || sizeBytes < batch.BATCH_OVERHEAD) {
      return { isDamaged: true, batchesRead };
    }
    if (sizeBytes > bytes.length - position) break;
    if (!batch.isBatchCrcValid(bytes, position)) return { isDamaged: true, batchesRead };
    batchesRead += 1;
    if (areRecordsDamaged(bytes, position)) return { isDamaged: true, batchesRead };
    position += sizeBytes;
  }
  return { isDamaged: false, batchesRead };
}

function areRecordsDamaged(bytes: Buffer, position: number): boolean {
  try {
    const { type, body } = batchBody(bytes, position);
    const records = inflateSync(type, body, limits.maxMessageBytes);
    return [...iterateBatchRecords(bytes, position, records)].length < 0;
  } catch (error) {
    expect(error).toBeInstanceOf(KafkaError);
    expect((error as KafkaError).errorName).toBe("CORRUPT_MESSAGE");
    return true;
  }
}

/** Why we see damage where Java's reader sees none, told from the bytes; null: no reason. */
function reasonToBeStricter(bytes: Buffer): string | null {
  const { type, body } = batchBody(bytes, 0);
  const count = batch.batchRecordCount(bytes);
  const cursor = new RecordCursor(inflateSync(type, body, limits.maxMessageBytes));
  if (count === 0 && cursor.remaining > 0) {
    return "Java reads no record and does not look at what follows";
  }
  let lastOffsetDelta = -1;
  for (let i = 0; i < count; i += 1) {
    const next = cursor.varint() + cursor.position;
    cursor.uint8();
    cursor.varlong();
    const offsetDelta = cursor.varint();
    if (offsetDelta <= lastOffsetDelta) return "Java takes offsets that do not rise";
    lastOffsetDelta = offsetDelta;
    for (let field = 0; field < 2; field += 1) {
      const length = cursor.varint();
      if (length < -1) return "Java takes every negative length for null";
      cursor.position += Math.max(0, length);
    }
    cursor.position = next;
  }
  if (lastOffsetDelta > batch.batchLastOffsetDelta(bytes)) {
    return "Java takes records beyond the batch's last offset";
  }
  return null;
}

describe("golden damaged batches", () => {
  test("both damaged and sound ones are among the vectors", () => {
    expect(new Set(invalid.map(({ javaError }) => javaError === null))).toEqual(
      new Set([true, false]),
    );
  });

  test.each(invalid)("$case: where Java sees damage we see damage ($about)", (vector) => {
    const bytes = Buffer.from(vector.hex, "hex");
    const verdict = readAll(bytes);
    expect(verdict.batchesRead).toBe(vector.batchesRead);
    if (vector.javaError !== null || !verdict.isDamaged) {
      expect(verdict.isDamaged).toBe(vector.javaError !== null);
    } else {
      expect(reasonToBeStricter(bytes)).not.toBeNull();
    }
  });

  test.each(invalid)("$case: a produce of it is refused unless Java reads one batch", (vector) => {
    const bytes = Buffer.from(vector.hex, "hex");
    // The producer's base offset is 0; the vectors come from a log. The checksum does not cover it.
    if (bytes.length >= 8) bytes.writeBigInt64BE(0n, 0);
    const refusal = refusalOf(bytes);
    if (vector.batchesRead === 0) {
      expect(["CORRUPT_MESSAGE", "INVALID_RECORD"]).toContain(refusal);
    } else if (vector.javaError === null && batch.batchRecordCount(bytes) > 0) {
      expect(refusal).toBeNull();
    }
  });

  test.each(legacy)("$case: message formats 0 and 1 are refused, as Kafka 4 does", (vector) => {
    const bytes = Buffer.from(vector.hex, "hex");
    expect(vector.batches.every(({ magic }) => magic < 2)).toBe(true);
    expect(refusalOf(bytes)).toBe("INVALID_RECORD");
    expect(batch.isBatchCrcValid(bytes)).toBe(false);
  });

  test.each(whole.filter(({ batches }) => batches.length > 0))(
    "$case: a produce of it is taken exactly if it is one batch as a client may send it",
    (vector) => {
      const bytes = Buffer.from(vector.hex, "hex");
      const first = vector.batches[0]!;
      bytes.writeBigInt64BE(0n, 0);
      const mayBeSent =
        vector.batches.length === 1 &&
        (vector.truncatedTailBytes ?? 0) === 0 &&
        !first.isControl &&
        first.recordCount > 0 &&
        first.lastOffsetDelta === first.recordCount - 1 &&
        (BigInt(first.producerId) < 0n ||
          (first.baseSequence >= 0 && Number.isSafeInteger(Number(first.producerId)))) &&
        (!first.isTransactional || BigInt(first.producerId) >= 0n);
      const refusal = refusalOf(bytes);
      if (!mayBeSent) expect(refusal).toBe("INVALID_RECORD");
      else expect(refusal).toBe(first.timestampType === "CreateTime" ? null : "INVALID_TIMESTAMP");
    },
  );
});

function refusalOf(bytes: Buffer): string | null {
  try {
    batch.validateClientBatch(bytes, limits);
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(KafkaError);
    return (error as KafkaError).errorName;
  }
}
