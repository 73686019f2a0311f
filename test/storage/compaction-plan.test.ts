import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CleaningAbortedError, CleaningPace } from "../../src/storage/cleaning-pace.ts";
import {
  type CleanableSegment,
  type CleaningLimits,
  groupSegments,
  planCleaning,
} from "../../src/storage/cleaning-plan.ts";
import { OffsetMap } from "../../src/storage/offset-map.ts";
import { ManualClock } from "./support/manual-clock.ts";

/** Segments of 100 offsets and 1000 bytes each; the last one is active. */
function segments(count: number): CleanableSegment[] {
  return Array.from({ length: count }, (_, index) => ({
    baseOffset: 100 * index,
    endOffset: 100 * index + 100,
    sizeBytes: 1000,
    maxTimestampMs: 10 * index,
    isActive: index === count - 1,
  }));
}

const LIMITS: CleaningLimits = {
  endOffset: 10_000,
  cleanedOffset: 0,
  logStartOffset: 0,
  minCompactionLagMs: 0,
  nowMs: 1000,
};

describe("what is cleaned", () => {
  test("all but the active segment, and all of it is dirty at first", () => {
    expect(planCleaning(segments(4), LIMITS)).toMatchObject({
      firstDirtyOffset: 0,
      firstUncleanableOffset: 300,
      dirtyBytes: 3000,
      dirtyRatio: 1,
    });
  });

  test("nothing at or above the limit, be it in the middle of a segment (S14)", () => {
    const plan = planCleaning(segments(4), { ...LIMITS, endOffset: 299 });
    expect(plan.firstUncleanableOffset).toBe(200);
    expect(plan.segments.map(({ baseOffset }) => baseOffset)).toEqual([0, 100]);
    expect(planCleaning(segments(4), { ...LIMITS, endOffset: 300 }).firstUncleanableOffset).toBe(
      300,
    );
    expect(planCleaning(segments(4), { ...LIMITS, endOffset: 0 }).dirtyBytes).toBe(0);
  });

  test("the ratio counts what came since the last round", () => {
    const plan = planCleaning(segments(5), { ...LIMITS, cleanedOffset: 300 });
    expect(plan).toMatchObject({ firstDirtyOffset: 300, dirtyBytes: 1000, dirtyRatio: 0.25 });
    expect(planCleaning(segments(5), { ...LIMITS, cleanedOffset: 400 }).dirtyBytes).toBe(0);
  });

  test("of very many segments the oldest, and the rest in the rounds that follow", () => {
    const many = { ...LIMITS, endOffset: Infinity };
    const first = planCleaning(segments(300), many);
    expect(first).toMatchObject({ firstUncleanableOffset: 12_800, dirtyBytes: 299_000 });
    expect(first.segments.length).toBe(128);
    const next = planCleaning(segments(300), { ...many, cleanedOffset: 12_800 });
    expect(next).toMatchObject({ firstDirtyOffset: 12_800, firstUncleanableOffset: 25_600 });
    expect(next.dirtyRatio).toBeCloseTo(171 / 299);
  });

  test("a checkpoint beyond the log or below its start is not believed", () => {
    expect(planCleaning(segments(3), { ...LIMITS, cleanedOffset: 900 }).firstDirtyOffset).toBe(0);
    const cut = segments(5).slice(2);
    expect(planCleaning(cut, { ...LIMITS, logStartOffset: 250 }).firstDirtyOffset).toBe(250);
    const plan = planCleaning(segments(5), { ...LIMITS, cleanedOffset: 100, logStartOffset: 250 });
    expect(plan.firstDirtyOffset).toBe(250);
  });

  test("what is younger than the minimum lag waits, and all after it", () => {
    const limits = { ...LIMITS, minCompactionLagMs: 985 };
    expect(planCleaning(segments(4), limits).firstUncleanableOffset).toBe(200);
    // What was cleaned before stays cleanable.
    const later = { ...limits, cleanedOffset: 300 };
    expect(planCleaning(segments(4), later).firstUncleanableOffset).toBe(300);
  });
});

describe("groups of segments", () => {
  const limits = { segmentBytes: 2500, segmentIndexBytes: 100 };
  const small = (index: number) => ({
    baseOffset: 100 * index,
    endOffset: 100 * index + 100,
    sizeBytes: 1000,
    indexBytes: 16,
    timeIndexBytes: 24,
  });
  const basesOf = (groups: { baseOffset: number }[][]): number[][] =>
    groups.map((group) => group.map(({ baseOffset }) => baseOffset));

  test("never go beyond the size of a segment, and one that is larger stays alone", () => {
    const huge = { ...small(2), sizeBytes: 9000 };
    const list = [small(0), small(1), huge, small(3), small(4), small(5)];
    expect(basesOf(groupSegments(list, limits))).toEqual([[0, 100], [200], [300, 400], [500]]);
  });

  test("never go beyond the size of an index", () => {
    const wide = (index: number) => ({ ...small(index), sizeBytes: 10, timeIndexBytes: 48 });
    expect(basesOf(groupSegments([0, 1, 2].map(wide), limits))).toEqual([[0, 100], [200]]);
    const tall = (index: number) => ({ ...small(index), sizeBytes: 10, indexBytes: 48 });
    expect(basesOf(groupSegments([0, 1, 2].map(tall), limits))).toEqual([[0, 100], [200]]);
  });

  test("are not so many that a process which dies often never gets one done", () => {
    const many = Array.from({ length: 150 }, (_, index) => ({ ...small(index), sizeBytes: 1 }));
    const wide = { segmentBytes: 1000, segmentIndexBytes: 10_000 };
    expect(groupSegments(many, wide).map(({ length }) => length)).toEqual([64, 64, 22]);
  });

  test("never reach farther than an index can tell", () => {
    const far = { ...small(1), sizeBytes: 10, endOffset: 2 ** 31 };
    expect(basesOf(groupSegments([small(0), far], limits))).toEqual([[0, 100]]);
    const farther = { ...far, endOffset: 2 ** 31 + 1 };
    expect(basesOf(groupSegments([small(0), farther], limits))).toEqual([[0], [100]]);
  });
});

describe("the map of keys", () => {
  test("knows the newest offset of each key, as a Map does", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 3 }), { maxLength: 500 }), (keys) => {
        const map = new OffsetMap({ keyCount: keys.length, maxBytes: 1_000_000 });
        const model = new Map<string, number>();
        keys.forEach((key, index) => {
          expect(map.put(Buffer.from(key), index * 2 ** 33)).toBe(true);
          model.set(key, index * 2 ** 33);
        });
        expect(map.keyCount).toBe(model.size);
        for (const [key, offset] of model) expect(map.get(Buffer.from(key))).toBe(offset);
        expect(map.get(Buffer.from("long key"))).toBeNull();
      }),
    );
  });

  test("refuses a new key when its memory is full, but still moves the ones it has", () => {
    const map = new OffsetMap({ keyCount: 1_000_000, maxBytes: 24 * 100 });
    let count = 0;
    while (map.put(Buffer.from(`key-${count}`), count)) count += 1;
    expect(count).toBe(90);
    expect(map.put(Buffer.from("key-3"), 999)).toBe(true);
    expect([map.get(Buffer.from("key-3")), map.get(Buffer.from("key-4"))]).toEqual([999, 4]);
  });
});

describe("the pace", () => {
  test("stays within its bytes per second", async () => {
    const clock = new ManualClock();
    const pace = new CleaningPace(clock, { maxBytesPerSecond: 1000 });
    const state = { isOver: false };
    const spent = pace.spend(500).then(() => {
      state.isOver = true;
    });
    await clock.advance(499);
    expect(state.isOver).toBe(false);
    await clock.advance(2);
    await spent;
  });

  test("a stop wakes who waits, and ends who goes on", async () => {
    const clock = new ManualClock();
    const pace = new CleaningPace(clock, { maxBytesPerSecond: 1 });
    const spent = pace.spend(1_000_000);
    pace.stop();
    await spent;
    await expect(pace.breathe()).rejects.toThrow(CleaningAbortedError);
  });
});
