import { expect, test } from "vitest";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { randomBelow, SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { batchBaseOffset } from "../../src/protocol/records/batch.ts";
import { ProcessClock } from "../../src/sim/sim-clock.ts";
import { Log } from "../../src/storage/log.ts";
import { DIRECTORY as DISK, diskWorld } from "../sim/support/world.ts";
import { batchOf, CLIENT, CONFIG, split } from "./support/log-world.ts";

const SEEDS = 30;
const LIVES = 6;
const DIRECTORY = `${DISK}/topic-0`;
const SETTINGS = {
  ...CONFIG,
  segmentBytes: 3 * batchOf(1, 60).length,
  indexIntervalBytes: 1,
  fileDeleteDelayMs: 3,
};

type Change = "truncate" | "remove" | "startAt";

/**
 * One process after the other opens the log, changes its segments and loses power, in the middle of the
 * change or some time after it. What is found then is the log before the change or after it, or on the
 * way between them: never a gap, and never a batch that was cut off behind one that was appended.
 */
class Crasher {
  readonly #world;
  readonly #random;
  /** What may be found, by offset, and which of it must be. */
  #batches = new Map<number, Buffer>();
  #startOffset = 0;
  #mustStart = 0;
  #mustEnd = 0;
  /** A log that was emptied may go on there. */
  #emptyAt: number | null = null;
  #recoveryPoint = 0;
  #logStart = 0;
  #valueCount = 0;
  midwayCount = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed).fork("changes");
    this.#world = diskWorld(seed, this.#below(2) === 0 ? 40 : Infinity);
  }

  async life(): Promise<void> {
    const { clock, disk, run, steps } = this.#world;
    const processClock = new ProcessClock(clock);
    const process = disk.process();
    const timers = new TimerQueue(processClock);
    const log = await run(
      Log.open(
        { disk: process, clock: processClock, logger: SILENT_LOGGER, timers },
        {
          directory: DIRECTORY,
          config: SETTINGS,
          recoveryPoint: this.#recoveryPoint,
          logStartOffset: this.#logStart,
          beforeTruncation: ({ endOffset, logStartOffset }) => {
            this.#recoveryPoint = Math.min(this.#recoveryPoint, endOffset);
            this.#logStart = Math.min(this.#logStart, logStartOffset);
            return Promise.resolve();
          },
        },
      ),
    );
    await this.#check(log);
    await this.#append(log, 4 + this.#below(8));
    await run(log.flush());
    await steps(30);
    this.#recoveryPoint = log.flushedEndOffset;
    this.#mustEnd = log.flushedEndOffset;
    const isOver = await this.#change(log);
    if (isOver) await this.#append(log, this.#below(8));
    await steps(this.#below(40));
    if (isOver) this.#mustEnd = log.flushedEndOffset;
    processClock.kill();
    process.kill();
    disk.cutPower();
  }

  /** Whether it came to its end before the power was cut. */
  async #change(log: Log): Promise<boolean> {
    const { run, steps } = this.#world;
    const kind = (["truncate", "remove", "startAt"] as Change[])[this.#below(3)]!;
    const { logStartOffset, logEndOffset } = log;
    const offset =
      kind === "startAt"
        ? Math.max(0, logEndOffset - 3 + this.#below(6))
        : logStartOffset + this.#below(logEndOffset - logStartOffset + 1);
    this.#allow(kind, offset, log);
    const changing = this.#begin(log, kind, offset);
    changing.catch(() => undefined);
    if (this.#below(2) === 0) {
      await steps(this.#below(25));
      this.midwayCount += 1;
      return false;
    }
    await run(changing);
    this.#mustStart = this.#startOffset = log.logStartOffset;
    this.#recoveryPoint = Math.min(this.#recoveryPoint, log.flushedEndOffset);
    if (kind === "startAt") this.#emptyAt = offset;
    for (const each of this.#batches.keys()) {
      if (each < log.logStartOffset || each >= log.logEndOffset) this.#batches.delete(each);
    }
    expect(log.logEndOffset).toBe(kind === "remove" ? logEndOffset : offset);
    this.#mustEnd = log.flushedEndOffset;
    return true;
  }

  /** From here on the change may be found, begun or done. */
  #allow(kind: Change, offset: number, log: Log): void {
    if (kind === "truncate") this.#mustEnd = Math.min(this.#mustEnd, offset);
    if (kind === "remove") this.#mustStart = log.logEndOffset;
    if (kind !== "startAt") return;
    this.#mustEnd = log.logStartOffset;
    this.#emptyAt = offset;
  }

  #begin(log: Log, kind: Change, offset: number): Promise<unknown> {
    if (kind === "truncate") return log.truncateTo(offset);
    if (kind === "remove") return log.removeSegmentsBelow(offset, "test");
    return log.truncateFullyAndStartAt(offset);
  }

  async #append(log: Log, count: number): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      this.#valueCount += 1;
      const batch = batchOf(1, 60, { timestampMs: 1_000 + this.#valueCount });
      log.append(batch, CLIENT);
      this.#batches.set(batchBaseOffset(batch), Buffer.from(batch));
      if (this.#below(3) === 0) await this.#world.steps(this.#below(12));
    }
  }

  async #check(log: Log): Promise<void> {
    const { run } = this.#world;
    const { logStartOffset, logEndOffset } = log;
    const isEmptied = this.#emptyAt === logStartOffset && logStartOffset === logEndOffset;
    if (!isEmptied) {
      expect(logStartOffset).toBeGreaterThanOrEqual(this.#startOffset);
      expect(logStartOffset).toBeLessThanOrEqual(Math.max(this.#startOffset, this.#mustStart));
      expect(logEndOffset).toBeGreaterThanOrEqual(this.#mustEnd);
    }
    const found = new Map<number, Buffer>();
    for (let offset = logStartOffset; offset < logEndOffset;) {
      const options = { offset, endOffset: logEndOffset, maxBytes: 500, minOneBatch: true };
      const { records, nextOffset } = await run(log.read(options));
      expect(nextOffset).toBeGreaterThan(offset);
      for (const batch of split(records)) found.set(batchBaseOffset(batch), Buffer.from(batch));
      offset = nextOffset;
    }
    const expected = Array.from({ length: logEndOffset - logStartOffset }, (_, i) => {
      return this.#batches.get(logStartOffset + i);
    });
    expect([...found.values()]).toEqual(expected);
    this.#batches = found;
    this.#startOffset = this.#mustStart = this.#logStart = logStartOffset;
    this.#mustEnd = logEndOffset;
    this.#emptyAt = null;
    this.#recoveryPoint = Math.min(this.#recoveryPoint, logEndOffset);
  }

  #below(bound: number): number {
    return randomBelow(this.#random, bound);
  }
}

test(`a power cut in or after a change to the segments leaves no gap and brings nothing back (${SEEDS} seeds; S3, S4, S13, S15)`, async () => {
  let midwayCount = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const crasher = new Crasher(seed);
    try {
      for (let life = 0; life < LIVES; life += 1) await crasher.life();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
    midwayCount += crasher.midwayCount;
  }
  expect(midwayCount).toBeGreaterThan(SEEDS);
}, 60_000);
