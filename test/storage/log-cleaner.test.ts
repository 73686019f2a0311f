import { describe, expect, test } from "vitest";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import type { Log, LogConfig } from "../../src/storage/log.ts";
import { COMPACTED, CompactionWorld } from "./support/compaction-world.ts";

/** Two records of keys that come again and again, and one of a key of its own. */
function append(log: Log, count: number, timestampMs = 1_000_000): void {
  for (let n = 0; n < count; n += 1) {
    const at = log.logEndOffset;
    const record = (key: string, offset: number) => ({
      key: Buffer.from(key),
      value: Buffer.from(`${offset}`.padEnd(40)),
    });
    const records = [record("a", at), record("b", at + 1), record(`key-${at}`, at + 2)];
    log.append(buildBatch({ records, timestampMs }), { leaderEpoch: 0, origin: "client" });
  }
}

async function offsetsOf(world: CompactionWorld, log: Log): Promise<number[]> {
  return (await world.read(log)).records.map(({ offset }) => offset);
}

/** Time until the checkpoint has passed the offset. */
async function cleanBeyond(world: CompactionWorld, topic: string, offset: number): Promise<void> {
  for (let turn = 0; (await world.cleanedOffset(topic)) < offset; turn += 1) {
    expect(turn).toBeLessThan(200);
    await world.advance(20);
  }
}

async function worldWith(
  options: ConstructorParameters<typeof CompactionWorld>[1] = {},
  config: Partial<LogConfig> = {},
) {
  const world = new CompactionWorld(7, options);
  await world.start();
  const log = await world.open("topic", { ...COMPACTED, ...config });
  return { world, log };
}

/** Of the moments, in events, those that are tried. */
const STRIDE = 11;

describe("while a log is compacted", () => {
  /** How many events a compaction of it takes. */
  async function countEvents(): Promise<number> {
    const { world, log } = await worldWith();
    append(log, 8);
    for (let count = 0; ; count += 1) {
      await world.steps(1);
      if (count % 20 === 0 && (await world.cleanedOffset("topic")) > 0) return count;
    }
  }

  test(
    "it can be deleted at any moment: the other logs of its directory are served and compacted",
    { timeout: 120_000 },
    async () => {
      const eventCount = await countEvents();
      for (let count = 0; count < eventCount; count += STRIDE) {
        const { world, log } = await worldWith();
        append(log, 8);
        await world.steps(count);
        await world.run(world.manager.deleteLog("topic", 0));
        expect(world.manager.directories.every(({ isOnline }) => isOnline)).toBe(true);
        const other = await world.open("other", COMPACTED);
        append(other, 8);
        await cleanBeyond(world, "other", 12);
        expect(other.failure).toBeNull();
      }
    },
  );

  test(
    "it can be cut at any moment: nothing that comes later is taken for compacted (S14)",
    { timeout: 120_000 },
    async () => {
      const eventCount = await countEvents();
      for (let count = 0; count < eventCount; count += STRIDE) {
        const { world, log } = await worldWith();
        append(log, 8);
        await world.steps(count);
        await world.run(log.truncateTo(9));
        expect(await world.cleanedOffset("topic")).toBeLessThanOrEqual(log.logEndOffset);
        append(log, 8);
        await cleanBeyond(world, "topic", 20);
        const found = await world.read(log);
        const below = found.records.filter(({ offset }) => offset < 20).map(({ key }) => key);
        expect(below.toSorted()).toEqual([...new Set(below)].toSorted());
        expect(log.failure).toBeNull();
      }
    },
  );

  test("a power cut after a truncation leaves no checkpoint above the log's end", async () => {
    const { world, log } = await worldWith();
    append(log, 20);
    await cleanBeyond(world, "topic", 40);
    await world.run(log.truncateTo(9));
    await world.end("power");
    await world.start();
    const again = await world.open("topic", COMPACTED);
    expect(await world.cleanedOffset("topic")).toBeLessThanOrEqual(again.logEndOffset);
  });

  test("old segments of it can go at any moment (cleanup.policy=compact,delete)", async () => {
    const { world, log } = await worldWith(
      { retentionCheckIntervalMs: 3, initialTaskDelayMs: 1 },
      { cleanupPolicy: { compacts: true, deletes: true }, retentionBytes: 3000 },
    );
    for (let turn = 0; turn < 40; turn += 1) {
      append(log, 5);
      await world.advance(15);
      expect(world.manager.directories.every(({ isOnline }) => isOnline)).toBe(true);
    }
    // Both were at work: retention by the size that compaction leaves.
    await cleanBeyond(world, "topic", log.logEndOffset - 60);
    expect(log.logStartOffset).toBeGreaterThan(0);
    const found = await offsetsOf(world, log);
    expect(found.length).toBeLessThan((log.logEndOffset - log.logStartOffset) * 0.7);
  });
});

test("many small segments become few though the process is killed again and again on the way", async () => {
  /** Less than half of what it takes to go over all of them once. */
  const LIFE_EVENTS = 8_000;
  const SEGMENTS = 256;
  const world = new CompactionWorld(8);
  await world.start();
  const config = { ...COMPACTED, segmentBytes: 1_000_000 };
  const uncompacted = { compacts: false, deletes: false };
  let log = await world.open("topic", { ...config, cleanupPolicy: uncompacted });
  for (let count = 1; count < SEGMENTS; count += 1) {
    append(log, 1);
    log.rollSegment();
  }
  await world.run(log.flush());
  for (let life = 0; log.segmentBaseOffsets.length > SEGMENTS / 10; life += 1) {
    expect(life).toBeLessThan(20);
    await world.end("kill");
    await world.start();
    log = await world.open("topic", config);
    await world.steps(LIFE_EVENTS);
  }
  expect((await offsetsOf(world, log)).length).toBeGreaterThanOrEqual(SEGMENTS - 1);
});

describe("max.compaction.lag.ms", () => {
  const LAGGING = { maxCompactionLagMs: 500, minCleanableDirtyRatio: 1, segmentBytes: 1_000_000 };

  test("an old record is compacted though nothing is appended any more", async () => {
    const { world, log } = await worldWith({}, LAGGING);
    append(log, 10, world.wallMs);
    await world.advance(400);
    expect(log.segmentBaseOffsets).toEqual([0]);
    await world.advance(300);
    await cleanBeyond(world, "topic", 30);
    // The last of the two keys, and those that came once.
    expect(await offsetsOf(world, log)).toEqual([2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29]);
  });

  test("an append rolls a segment whose first record is as old, whatever segment.ms says", async () => {
    const { world, log } = await worldWith({}, LAGGING);
    append(log, 1, 1_000_000);
    append(log, 1, 1_000_500);
    expect(log.segmentBaseOffsets).toEqual([0]);
    append(log, 1, 1_000_501);
    expect(log.segmentBaseOffsets).toEqual([0, 6]);
    await world.run(log.flush());
  });

  test("without it, a log that is not dirty enough is left alone", async () => {
    const { world, log } = await worldWith({}, { minCleanableDirtyRatio: 1 });
    append(log, 20, world.wallMs);
    await world.advance(2000);
    expect(await world.cleanedOffset("topic")).toBe(0);
    expect((await offsetsOf(world, log)).length).toBe(60);
  });
});
