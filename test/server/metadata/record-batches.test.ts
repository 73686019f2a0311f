import fc from "fast-check";
import { expect, test } from "vitest";
import { recordBatches } from "../../../src/server/metadata/record-batches.ts";

test("the records of a decision stay in their order, none is lost, and no batch is too large (R5)", () => {
  const sizes = fc.array(fc.nat({ max: 200 }), { maxLength: 60 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 10 }), (lengths, maxRecords) => {
      const records = lengths.map((length, index) => Buffer.alloc(length, index));
      const batches = recordBatches(records, { maxRecords, maxBytes: 500 });
      expect(batches.flat()).toEqual(records);
      for (const batch of batches) {
        expect(batch.length).toBeGreaterThan(0);
        expect(batch.length).toBeLessThanOrEqual(maxRecords);
        const bytes = batch.reduce((sum, { length }) => sum + length + 32, 0);
        expect(batch.length === 1 || bytes <= 500).toBe(true);
      }
    }),
  );
});

test("what may be one batch is one: all of it survives a crash or nothing", () => {
  const records = Array.from({ length: 10_000 }, () => Buffer.alloc(100));
  expect(recordBatches(records)).toHaveLength(1);
  expect(recordBatches([...records, Buffer.alloc(1)]).map(({ length }) => length)).toEqual([
    10_000, 1,
  ]);
});
