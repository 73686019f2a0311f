import { describe, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import type { LogConfig, SegmentSummary } from "../../src/storage/log-config.ts";
import { Retention, retentionCut, type RetentionMarks } from "../../src/storage/retention.ts";
import { batchOf, CLIENT, logWorld, readAll } from "./support/log-world.ts";
import { settle } from "./support/manual-clock.ts";

const NOW_MS = 1_800_000_000_000;
const KEEP = {
  cleanupPolicy: { compacts: false, deletes: true },
  retentionBytes: Infinity,
  retentionMs: Infinity,
};
const MARKS: RetentionMarks = {
  nowMs: NOW_MS,
  logStartOffset: 0,
  highWatermark: Infinity,
  unchangedForMs: () => 0,
};

/** Ten records and 100 bytes each, by their ages; the last one is active. */
function segments(...agesMs: number[]): SegmentSummary[] {
  return agesMs.map((ageMs, index) => ({
    baseOffset: index * 10,
    endOffset: index * 10 + 10,
    sizeBytes: 100,
    maxTimestampMs: NOW_MS - ageMs,
    isActive: index === agesMs.length - 1,
  }));
}

function cutAt(...args: Parameters<typeof retentionCut>): number | null {
  return retentionCut(...args)?.endOffset ?? null;
}

describe("by time", () => {
  const config = { ...KEEP, retentionMs: 1_000 };

  test("go those whose newest record is too old, up to the first that is not", () => {
    expect(cutAt(segments(3_000, 1_001, 1_000, 5_000, 0), config, MARKS)).toBe(20);
    expect(cutAt(segments(1_000, 3_000), config, MARKS)).toBeNull();
  });

  test("goes the active one when all have expired, and is rolled for it; an empty one does not", () => {
    const all = segments(3_000, 2_000);
    expect(retentionCut(all, config, MARKS)).toMatchObject({ endOffset: 20, hasActive: true });
    const empty = { ...must(all[1], "two"), endOffset: 10, sizeBytes: 0, maxTimestampMs: -1 };
    const marks = { ...MARKS, unchangedForMs: () => 9_999 };
    expect(retentionCut([must(all[0], "two"), empty], config, marks)).toMatchObject({
      endOffset: 10,
      hasActive: false,
    });
  });

  test.each([
    ["from the future", -3_600_000],
    ["that is none", NOW_MS + 1],
  ])(
    "a stamp %s neither deletes nor protects: the time we have seen it counts (E8)",
    (_name, age) => {
      const all = segments(age, 0);
      const marks = (unchangedMs: number) => ({ ...MARKS, unchangedForMs: () => unchangedMs });
      expect(cutAt(all, config, marks(1_000))).toBeNull();
      expect(cutAt(all, config, marks(1_001))).toBe(10);
    },
  );

  test("a clock that was set back makes nothing older, and one set right again goes on", () => {
    const all = segments(2_000, 0);
    const back = { ...MARKS, nowMs: NOW_MS - 3_600_000 };
    expect(cutAt(all, config, back)).toBeNull();
    expect(cutAt(all, config, MARKS)).toBe(10);
  });
});

describe("by size", () => {
  test.each([
    [400, null],
    [399, null],
    [301, null],
    [300, 10],
    [200, 20],
    [199, 20],
    [0, 40],
  ])("of 400 bytes with retention.bytes=%d those below %s go", (retentionBytes, expected) => {
    expect(cutAt(segments(0, 0, 0, 0), { ...KEEP, retentionBytes }, MARKS)).toBe(expected);
  });

  test("what time takes counts, too", () => {
    const config = { ...KEEP, retentionBytes: 300, retentionMs: 1_000 };
    expect(cutAt(segments(2_000, 0, 0, 0), config, MARKS)).toBe(10);
  });
});

describe("whatever the reason", () => {
  test("nothing goes that reaches beyond the high watermark (S13)", () => {
    const config = { ...KEEP, retentionMs: 1_000, retentionBytes: 0 };
    const all = segments(9_000, 9_000, 9_000);
    expect(cutAt(all, config, { ...MARKS, highWatermark: 19 })).toBe(10);
    expect(cutAt(all, config, { ...MARKS, highWatermark: 9, logStartOffset: 30 })).toBeNull();
  });

  test("without delete in its policy a log loses only what lies below its start", () => {
    const compacted = {
      ...{ retentionBytes: 0, retentionMs: 0 },
      cleanupPolicy: { compacts: true, deletes: false },
    };
    expect(cutAt(segments(9, 9, 9), compacted, MARKS)).toBeNull();
    expect(cutAt(segments(9, 9, 9), compacted, { ...MARKS, logStartOffset: 19 })).toBe(10);
    // The active one is only rolled for its age or size.
    expect(cutAt(segments(9, 9), KEEP, { ...MARKS, logStartOffset: 20 })).toBe(10);
  });
});

describe("applied to a log", () => {
  const HOUR_MS = 3_600_000;

  /** Four segments of two records, an hour apart; the last one is active. */
  async function filled(config: Partial<LogConfig> = {}) {
    const world = logWorld();
    const log = await world.open({ retentionMs: HOUR_MS * 2.5, segmentMs: 60_000, ...config });
    const startMs = world.clock.wallMs();
    for (let hour = 0; hour < 4; hour += 1) {
      log.append(batchOf(2, 20, { timestampMs: startMs + hour * HOUR_MS }), CLIENT);
      await log.flush();
    }
    let highWatermark = 8;
    const retention = new Retention(world.clock);
    const look = async (afterMs: number): Promise<number> => {
      await world.clock.advance(afterMs);
      await retention.apply([{ log, highWatermark }]);
      return log.logStartOffset;
    };
    const stayAt = (offset: number) => (highWatermark = offset);
    return { ...world, log, look, stayAt, startMs };
  }

  test("moves the start behind what has expired, and what is there still reads", async () => {
    const { log, look } = await filled();
    expect(await look(HOUR_MS)).toBe(0);
    expect(await look(2 * HOUR_MS)).toBe(2);
    expect(log.segmentBaseOffsets).toEqual([2, 4, 6]);
    expect(await readAll(log)).toHaveLength(3);
    await expect(
      log.read({ offset: 1, endOffset: 8, maxBytes: 1, minOneBatch: true }),
    ).rejects.toMatchObject({ errorName: "OFFSET_OUT_OF_RANGE" });
  });

  test("empties a log of which all has expired, and its offsets go on", async () => {
    const { log, look } = await filled();
    await look(7 * HOUR_MS);
    expect(await look(1)).toBe(8);
    expect(log.sizeBytes).toBe(0);
    expect(log.append(batchOf(1), CLIENT).baseOffset).toBe(8);
  });

  test("waits for the high watermark (S13)", async () => {
    const { look, stayAt } = await filled();
    stayAt(3);
    expect(await look(7 * HOUR_MS)).toBe(2);
    stayAt(8);
    await look(1);
    expect(await look(1)).toBe(8);
  });

  test("counts a stamp from the future from when we have seen it last change (E8)", async () => {
    const { log, look, stayAt, startMs } = await filled({ retentionMs: HOUR_MS });
    log.append(batchOf(1, 20, { timestampMs: startMs + 1_000_000 * HOUR_MS }), CLIENT);
    await log.flush();
    // Those before it have expired by their own stamps.
    expect(await look(4.5 * HOUR_MS)).toBe(8);
    expect(await look(0.9 * HOUR_MS)).toBe(8);
    log.append(batchOf(1, 20, { timestampMs: startMs + 1_000_000 * HOUR_MS }), CLIENT);
    expect(await look(0.9 * HOUR_MS)).toBe(8);
    stayAt(10);
    expect(await look(0.9 * HOUR_MS)).toBe(8);
    await look(0.2 * HOUR_MS);
    expect(await look(1)).toBe(10);
  });

  test.each([true, false])("goes on after a restart (in order: %s)", async (isClean) => {
    const { log, open, clock } = await filled();
    await (isClean ? log.close() : log.abandon());
    const again = await open({ retentionMs: HOUR_MS * 2.5, segmentMs: 60_000 }, { isClean });
    await clock.advance(3 * HOUR_MS);
    const state = { isOver: false };
    void new Retention(clock).apply([{ log: again, highWatermark: 8 }]).then(() => {
      state.isOver = true;
    });
    for (let turn = 0; turn < 10; turn += 1) await settle();
    expect({ ...state, logStartOffset: again.logStartOffset }).toEqual({
      isOver: true,
      logStartOffset: 2,
    });
  });

  test("leaves a log alone that was closed or has failed, and goes on with the others", async () => {
    const one = await filled();
    const two = await filled();
    await one.log.close();
    await two.clock.advance(3 * HOUR_MS);
    const logs = [one.log, two.log].map((log) => ({ log, highWatermark: 8 }));
    await new Retention(two.clock).apply(logs);
    await settle();
    expect(one.log.logStartOffset).toBe(0);
    expect(two.log.logStartOffset).toBe(2);
  });
});
