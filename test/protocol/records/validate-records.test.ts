import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KafkaError } from "../../../src/protocol/errors.ts";
import { BATCH_OVERHEAD } from "../../../src/protocol/records/batch.ts";
import { buildBatch, type NewRecord } from "../../../src/protocol/records/batch-builder.ts";
import { iterateRecords } from "../../../src/protocol/records/record.ts";
import {
  type RecordRules,
  RecordsRefusedError,
  validateRecords,
} from "../../../src/protocol/records/validate-records.ts";

const NOW_MS = 1_800_000_000_000;
const LAX: RecordRules = { needsKey: false, timestamps: null };
const value = Buffer.from("v");

function validate(batch: Buffer, rules: RecordRules = LAX): number {
  return validateRecords(batch, batch.subarray(BATCH_OVERHEAD), rules);
}

function within(beforeMaxMs: number, afterMaxMs: number): RecordRules {
  return { needsKey: false, timestamps: { nowMs: NOW_MS, beforeMaxMs, afterMaxMs } };
}

function at(...timestamps: number[]): Buffer {
  const records = timestamps.map((timestamp) => ({ key: null, value, timestamp }));
  return buildBatch({ records, timestampMs: NOW_MS });
}

function refusalOf(run: () => unknown): KafkaError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(KafkaError);
    return error as KafkaError;
  }
  throw new Error("nothing was refused");
}

function recordErrorsOf(run: () => unknown): { name: string; indexes: number[] } {
  const refusal = refusalOf(run);
  if (!(refusal instanceof RecordsRefusedError)) throw refusal;
  const { recordErrors, errorName } = refusal;
  return { name: errorName, indexes: recordErrors.map(({ batchIndex }) => batchIndex) };
}

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
const nullable = fc.option(bytes, { nil: null });
const newRecord: fc.Arbitrary<NewRecord> = fc.record({
  key: nullable,
  value: nullable,
  headers: fc.array(fc.record({ key: fc.string(), value: nullable }), { maxLength: 3 }),
  timestamp: fc.integer({ min: -1, max: 2 ** 45 }),
});
const records = fc.array(newRecord, { minLength: 1, maxLength: 20 });

describe("records that are right", () => {
  test("are taken whatever they hold, and the greatest timestamp is found", () => {
    fc.assert(
      fc.property(records, (all) => {
        const batch = buildBatch({ records: all, timestampMs: 5 });
        const expected = Math.max(-1, ...all.map(({ timestamp = -1 }) => timestamp));
        expect(validate(batch)).toBe(expected);
      }),
    );
  });

  test.each([
    ["just young enough", NOW_MS - 10, 10, 0],
    ["just not too far ahead", NOW_MS + 10, 0, 10],
    ["without a time", -1, 0, 0],
    ["of any time where there is no bound", 0, Infinity, 0],
  ])("may be %s", (_name, timestamp, before, after) => {
    expect(validate(at(timestamp), within(before, after))).toBe(timestamp);
  });
});

describe("records against the rules", () => {
  test("are named, each by its place, with the window that they miss", () => {
    const batch = at(NOW_MS, NOW_MS - 11, NOW_MS, NOW_MS + 21);
    const run = (): number => validate(batch, within(10, 20));
    expect(recordErrorsOf(run)).toEqual({ name: "INVALID_TIMESTAMP", indexes: [1, 3] });
    expect(refusalOf(run).message).toContain(`[${NOW_MS - 10}, ${NOW_MS + 20}]`);
  });

  test("need a key on a compacted topic, an empty one will do", () => {
    const keys = [Buffer.from("k"), null, Buffer.alloc(0), null];
    const batch = buildBatch({
      records: keys.map((key) => ({ key, value })),
      timestampMs: NOW_MS,
    });
    const run = (): number => validate(batch, { needsKey: true, timestamps: null });
    expect(recordErrorsOf(run)).toEqual({ name: "INVALID_RECORD", indexes: [1, 3] });
  });

  test("are called after a timestamp when one is among the reasons, as Kafka does", () => {
    const batch = buildBatch({
      records: [
        { key: null, value },
        { key: value, value, timestamp: 0 },
      ],
      timestampMs: NOW_MS,
    });
    const rules = { ...within(10, 10), needsKey: true };
    expect(recordErrorsOf(() => validate(batch, rules))).toEqual({
      name: "INVALID_TIMESTAMP",
      indexes: [0, 1],
    });
  });

  test("are named up to a hundred: the answer stays in proportion", () => {
    const batch = at(...Array.from({ length: 500 }, () => 0));
    expect(recordErrorsOf(() => validate(batch, within(10, 10))).indexes).toHaveLength(100);
  });
});

describe("a body that is not what the header says", () => {
  test("is refused where the reader of records refuses it, and nowhere else", () => {
    fc.assert(
      fc.property(
        records,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
        fc.integer({ min: -3, max: 3 }),
        fc.nat(5),
        (all, changes, extraCount, cutBytes) => {
          const batch = buildBatch({ records: all, timestampMs: 5 });
          const body = Buffer.from(batch.subarray(BATCH_OVERHEAD));
          for (const [position, byte] of changes) body[position % body.length] = byte;
          const cut = body.subarray(0, body.length - cutBytes);
          const recordCount = all.length + (changes.length === 1 ? extraCount : 0);
          fc.pre(recordCount > 0);
          batch.writeInt32BE(recordCount, 57);
          expect(isTaken(() => validateRecords(batch, cut, LAX))).toBe(
            isTaken(() => {
              let next = 0;
              for (const { offsetDelta } of iterateRecords(cut, recordCount)) {
                if (offsetDelta !== next++) throw new KafkaError("INVALID_RECORD");
              }
            }),
          );
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["an offset that is not the next", [14, 0, 0, 2, 1, 1, 0, 0], 1],
    ["fewer records than it says", [12, 0, 0, 0, 1, 1, 0], 2],
    ["more bytes than records", [12, 0, 0, 0, 1, 1, 0, 0], 1],
    ["a record longer than what it holds", [14, 0, 0, 0, 1, 1, 0, 9], 1],
    ["a key length below null", [12, 0, 0, 0, 3, 1, 0], 1],
    ["a header without a key", [16, 0, 0, 0, 1, 1, 2, 1, 1], 1],
    ["more headers than there is room for", [12, 0, 0, 0, 1, 1, 8], 1],
    ["a varint without an end", [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1],
  ])("is refused: %s", (_name, body, recordCount) => {
    const batch = at(NOW_MS);
    batch.writeInt32BE(recordCount, 57);
    const refusal = refusalOf(() => validateRecords(batch, Buffer.from(body), LAX));
    expect(refusal.errorName).toBe("INVALID_RECORD");
  });
});

function isTaken(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(KafkaError);
    return false;
  }
}
