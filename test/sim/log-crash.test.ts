import { describe, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { randomBelow, SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { batchSizeBytes } from "../../src/protocol/records/batch.ts";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import { ProcessClock } from "../../src/sim/sim-clock.ts";
import { Log } from "../../src/storage/log.ts";
import { DEFAULT_LOG_CONFIG, type LogConfig } from "../../src/storage/log-config.ts";
import { DIRECTORY, diskWorld } from "./support/world.ts";

const CONFIG: LogConfig = {
  ...DEFAULT_LOG_CONFIG,
  segmentBytes: 2000,
  segmentMs: Infinity,
  indexIntervalBytes: 200,
  segmentIndexBytes: 10_000,
  maxMessageBytes: 1_000_000,
  timestampAfterMaxMs: Infinity,
};

/** One process after the other opens the same log, appends to it, and is killed or loses power. */
async function crashes(seed: number, flushMessages: number): Promise<{ lostCount: number }> {
  const random = new SeededRandom(seed).fork("test");
  const { clock, disk, run, steps } = diskWorld(seed, randomBelow(random, 2) === 0 ? 50 : Infinity);
  /** The batches of the log as this test believes it to be; the durable ones come first. */
  let batches: Buffer[] = [];
  let lostCount = 0;
  for (let life = 0; life < 6; life += 1) {
    const processClock = new ProcessClock(clock);
    const process = disk.process();
    const opening = Log.open(
      {
        disk: process,
        clock: processClock,
        logger: SILENT_LOGGER,
        timers: new TimerQueue(processClock),
      },
      { directory: `${DIRECTORY}/topic-0`, config: { ...CONFIG, flushMessages } },
    );
    const cut = (): boolean => {
      processClock.kill();
      process.kill();
      if (randomBelow(random, 3) === 0) return false;
      disk.cutPower();
      return true;
    };
    if (randomBelow(random, 3) === 0) {
      // S6: recovery itself is cut off, and the next one ends as it would have.
      await steps(randomBelow(random, 30));
      cut();
      continue;
    }
    const log = await run(opening);
    expect(log.failure).toBeNull();
    expect(log.logEndOffset).toBeLessThanOrEqual(batches.length);
    lostCount += batches.length - log.logEndOffset;
    batches = batches.slice(0, log.logEndOffset);
    expect(log.flushedEndOffset).toBe(log.logEndOffset);
    await expectContent(log, batches, run);
    for (let count = randomBelow(random, 25); count > 0; count -= 1) {
      const batch = buildBatch({
        records: [{ key: null, value: random.bytes(randomBelow(random, 300)) }],
        timestampMs: clock.wallMs,
      });
      log.append(batch, { leaderEpoch: life, origin: "client" });
      batches.push(batch);
      if (randomBelow(random, 3) === 0) await steps(randomBelow(random, 12));
    }
    await steps(randomBelow(random, 20));
    const { writtenEndOffset, flushedEndOffset, safeEndOffset } = log;
    if (flushMessages === 1) expect(safeEndOffset).toBe(flushedEndOffset);
    const durableEndOffset = cut() ? flushedEndOffset : writtenEndOffset;
    const after = await run(reopened(clock, disk));
    // S3, S4 and R1: a prefix of what was appended, with all in it that had to survive.
    expect(after.logEndOffset).toBeGreaterThanOrEqual(durableEndOffset);
    expect(after.logEndOffset).toBeLessThanOrEqual(batches.length);
    await expectContent(after, batches.slice(0, after.logEndOffset), run);
    await run(after.close());
    lostCount += batches.length - after.logEndOffset;
    batches = batches.slice(0, after.logEndOffset);
  }
  return { lostCount };
}

function reopened(
  clock: ConstructorParameters<typeof ProcessClock>[0],
  disk: ReturnType<typeof diskWorld>["disk"],
): Promise<Log> {
  const processClock = new ProcessClock(clock);
  return Log.open(
    {
      disk: disk.process(),
      clock: processClock,
      logger: SILENT_LOGGER,
      timers: new TimerQueue(processClock),
    },
    { directory: `${DIRECTORY}/topic-0`, config: CONFIG },
  );
}

async function expectContent(
  log: Log,
  batches: readonly Buffer[],
  run: <T>(promise: Promise<T>) => Promise<T>,
): Promise<void> {
  const found: Buffer[] = [];
  let offset = 0;
  while (offset < log.logEndOffset) {
    const options = { offset, endOffset: log.logEndOffset, maxBytes: 700, minOneBatch: true };
    const { records, nextOffset } = await run(log.read(options));
    expect(nextOffset).toBeGreaterThan(offset);
    for (let at = 0; at < records.length; at += batchSizeBytes(records, at)) {
      found.push(records.subarray(at, at + batchSizeBytes(records, at)));
    }
    offset = nextOffset;
  }
  expect(found.length).toBe(batches.length);
  for (const [index, batch] of batches.entries()) expect(found[index]?.equals(batch)).toBe(true);
}

describe("a log that is killed and loses power, again and again", () => {
  test.each([
    ["each batch synced", 1],
    ["a sync after three", 3],
    ["no sync", Infinity],
  ])("with %s it keeps a prefix, and all that it called durable", async (_name, flushMessages) => {
    let lostCount = 0;
    for (let seed = 0; seed < 25; seed += 1) {
      try {
        lostCount += (await crashes(seed, flushMessages)).lostCount;
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    // Where nothing is synced something must be lost, or the test could not fail.
    expect(lostCount).toBeGreaterThan(0);
  });
});
