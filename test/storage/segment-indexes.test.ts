import { expect, test } from "vitest";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import { SegmentIndexes } from "../../src/storage/segment-indexes.ts";

function batchAt(baseOffset: number, timestampMs: number): Buffer {
  return buildBatch({ records: [{ key: null, value: Buffer.alloc(50) }], baseOffset, timestampMs });
}

function noteAll(batches: readonly Buffer[]): SegmentIndexes {
  const indexes = SegmentIndexes.empty(0);
  let position = 0;
  for (const batch of batches) {
    indexes.note(batch, 0, position, 0);
    position += batch.length;
  }
  return indexes;
}

test("indexes made anew forget the greatest time of a batch that was found damaged (flips 9274, 17954)", () => {
  const batches = [batchAt(0, 10), batchAt(1, 99), batchAt(2, 20), batchAt(3, 30)];
  const older = noteAll(batches);
  const [first, , third, fourth] = batches;
  if (first === undefined || third === undefined || fourth === undefined) throw new Error("four");

  const rebuilt = noteAll([first, third, fourth]);
  rebuilt.addTail(older, 4 * first.length, 4);
  rebuilt.noteEnd();

  expect(rebuilt.times.last()).toEqual({ timestampMs: 30, offset: 3 });
});
