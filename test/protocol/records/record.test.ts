import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { must } from "../../../src/base/assert.ts";
import { KafkaError } from "../../../src/protocol/errors.ts";
import { buildBatch, type NewRecord } from "../../../src/protocol/records/batch-builder.ts";
import { stampBatch, stampLogAppendTime } from "../../../src/protocol/records/batch.ts";
import { loadCodec } from "../../../src/protocol/records/compression.ts";
import {
  batchBody,
  iterateRecords,
  readBatchRecords,
} from "../../../src/protocol/records/record.ts";
import { InlineOffload } from "../../../src/server/offload.ts";

const COMPRESSION_TYPES = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
const MAX_BYTES = 1024 * 1024;
let offload: InlineOffload | null = null;

beforeAll(async () => {
  await loadCodec("zstd");
  offload = await InlineOffload.open();
});

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const nullableBytes = fc.option(bytes, { nil: null });
const newRecord: fc.Arbitrary<NewRecord> = fc.record({
  key: nullableBytes,
  value: nullableBytes,
  headers: fc.array(fc.record({ key: fc.string({ unit: "grapheme" }), value: nullableBytes }), {
    maxLength: 3,
  }),
  timestamp: fc.oneof(fc.integer({ min: -1, max: 2 ** 45 }), fc.maxSafeInteger()),
});

function read(batch: Buffer, position = 0): ReturnType<typeof readBatchRecords> {
  return readBatchRecords(batch, position, must(offload, "opened before"), MAX_BYTES);
}

describe("records", () => {
  test("come back as they were built, with every codec", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(newRecord, { minLength: 1, maxLength: 20 }),
        fc.constantFrom(...COMPRESSION_TYPES),
        fc.nat(2 ** 40),
        async (records, compression, baseOffset) => {
          // Deltas of timestamps are what is stored: far apart they are no safe numbers.
          const timestamps = records.map((record) => must(record.timestamp, "generated"));
          fc.pre(timestamps.every((t) => Number.isSafeInteger(t - timestamps[0]!)));
          const batch = Buffer.concat([
            Buffer.alloc(3),
            buildBatch({ records, timestampMs: 5, compression }),
          ]);
          stampBatch(batch, 3, baseOffset, 1);
          expect(await read(batch, 3)).toEqual(
            records.map((record, index) => ({ offset: baseOffset + index, ...record })),
          );
        },
      ),
    );
  });

  test("take the batch's time where the topic has LogAppendTime", async () => {
    const batch = buildBatch({ records: [{ key: null, value: null }], timestampMs: 5 });
    stampLogAppendTime(batch, 0, 77);
    expect((await read(batch))[0]?.timestamp).toBe(77);
  });

  test("are slices of the batch, not copies", async () => {
    const batch = buildBatch({
      records: [{ key: null, value: Buffer.from("abc") }],
      timestampMs: 5,
    });
    const [record] = await read(batch);
    expect(record?.value?.buffer).toBe(batch.buffer);
  });

  test("end in CORRUPT_MESSAGE or in records, whatever the bytes are", () => {
    const whole = buildBatch({
      timestampMs: 5,
      records: [
        { key: Buffer.from("key"), value: Buffer.from("value") },
        { key: null, value: null, headers: [{ key: "h", value: Buffer.from("x") }] },
      ],
    });
    const body = batchBody(whole, 0).body;
    const mutated = fc
      .array(fc.tuple(fc.nat(body.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 })
      .map((changes) => {
        const copy = Buffer.from(body);
        changes.forEach(([at, value]) => (copy[at] = value));
        return copy;
      });
    fc.assert(
      fc.property(fc.oneof(bytes, mutated), fc.integer({ min: -1, max: 5 }), (input, count) => {
        try {
          expect([...iterateRecords(input, count)]).toHaveLength(count);
        } catch (error) {
          expect(error).toBeInstanceOf(KafkaError);
          expect((error as KafkaError).errorName).toBe("CORRUPT_MESSAGE");
        }
      }),
      { numRuns: 5000 },
    );
  });

  test("a count of 2^31 - 1 costs nothing before the records run out", () => {
    const body = batchBody(
      buildBatch({ records: [{ key: null, value: null }], timestampMs: 5 }),
      0,
    ).body;
    const iterator = iterateRecords(body, 0x7fffffff);
    expect(iterator.next().done).toBe(false);
    expect(() => iterator.next()).toThrow(KafkaError);
  });

  test.each<[string, string]>([
    ["a record longer than the body", "14 00 00 00 01 01 00"],
    ["a record shorter than what it holds", "0a 00 00 00 01 01 00"],
    ["a record longer than what it holds", "0e 00 00 00 01 01 00 00"],
    ["a negative record length", "01 00 00 00 01 01 00"],
    ["a key beyond the record", "0c 00 00 00 08 01 00"],
    ["a key of length -2", "0c 00 00 00 03 01 00"],
    ["more headers than fit", "0c 00 00 00 01 01 08"],
    ["a negative header count", "0c 00 00 00 01 01 01"],
    ["a header without key", "10 00 00 00 01 01 02 01 01"],
    ["a varint of six bytes", "80 80 80 80 80 00"],
    ["a varlong of eleven bytes", "20 00 80 80 80 80 80 80 80 80 80 80 00 00 01 01 00"],
    ["an offset below the one before", "0c 00 00 02 01 01 00 0c 00 00 00 01 01 00"],
    ["bytes after the last record", "0c 00 00 00 01 01 00 00"],
  ])("%s is damage", (_name, hex) => {
    const body = Buffer.from(hex.replaceAll(" ", ""), "hex");
    const count = hex.includes("02 01 01 00 0c") ? 2 : 1;
    expect(() => [...iterateRecords(body, count)]).toThrow(
      expect.objectContaining({ errorName: "CORRUPT_MESSAGE" }) as Error,
    );
  });
});
