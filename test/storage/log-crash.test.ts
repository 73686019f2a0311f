import { describe, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { randomBelow, type Random, SeededRandom } from "../../src/base/random.ts";
import type { Uuid } from "../../src/base/ids.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import {
  batchLastOffset,
  batchLeaderEpoch,
  isBatchCrcValid,
} from "../../src/protocol/records/batch.ts";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import { ProcessClock } from "../../src/sim/sim-clock.ts";
import type { Log, LogConfig } from "../../src/storage/log.ts";
import { LogManager } from "../../src/storage/log-manager.ts";
import { DIRECTORY, diskWorld } from "../sim/support/world.ts";
import { CONFIG, split } from "./support/log-world.ts";

type World = ReturnType<typeof diskWorld>;

interface Sent {
  readonly batch: Buffer;
  readonly producerId: number;
  readonly baseSequence: number;
  readonly count: number;
}

/** What the test knows of one partition. */
interface Model {
  topicId: Uuid;
  sent: Sent[];
  /** All below it must be found after the next start, and, if the power is cut before, all below … */
  written: number;
  /** … this. */
  durable: number;
}

const SETTINGS = { ...CONFIG, segmentBytes: 1_500, indexIntervalBytes: 150 };
const PARTITIONS = 3;
const SEEDS = 10;
const OPTIONS = {
  logDirs: [DIRECTORY],
  nodeId: 1,
  clusterId: "cluster",
  // Often, so that recovery begins in the middle of things.
  checkpointIntervalMs: 7,
  highWatermarkCheckpointIntervalMs: 11,
};

/**
 * One process after the other: opens the node's logs, finds what it must, appends, deletes and makes
 * topics anew, and is killed, loses power or is stopped in order, at any moment, also in recovery.
 */
class Crasher {
  readonly #world: World;
  readonly #random: Random;
  readonly #config: LogConfig;
  readonly #models: Model[] = [];
  #topicCount = 0;
  #epoch = 0;
  lostCount = 0;
  cutCount = 0;

  constructor(seed: number, config: LogConfig) {
    this.#random = new SeededRandom(seed).fork("crasher");
    this.#world = diskWorld(seed, this.#chance(2) ? 40 : Infinity);
    this.#config = config;
    for (let i = 0; i < PARTITIONS; i += 1) {
      this.#models.push({ topicId: this.#newTopicId(), sent: [], written: 0, durable: 0 });
    }
  }

  async life(): Promise<void> {
    const { clock, disk, run, steps } = this.#world;
    this.#epoch += 1;
    const processClock = new ProcessClock(clock);
    const process = disk.process();
    const timers = new TimerQueue(processClock);
    const random = this.#random.fork(`manager-${this.#epoch}`);
    const dependencies = {
      disk: process,
      clock: processClock,
      random,
      logger: SILENT_LOGGER,
      timers,
    };
    const kill = (): void => {
      processClock.kill();
      process.kill();
      if (!this.#chance(3)) this.#cutPower();
    };
    const opening = this.#open(dependencies);
    if (this.#chance(3)) {
      // S6: also recovery is cut off, and the next one ends as it would have.
      opening.catch(() => undefined);
      await steps(randomBelow(this.#random, 120));
      kill();
      return;
    }
    const { manager, logs } = await run(opening);
    for (const [index, log] of logs.entries()) await this.#check(log, this.#models[index]!);
    await this.#work(manager, logs);
    if (this.#chance(4)) {
      await run(manager.close(this.#epoch));
      this.#models.forEach((model, index) => {
        model.written = model.durable = logs[index]!.logEndOffset;
      });
      if (this.#chance(2)) this.#cutPower();
      return;
    }
    this.#models.forEach((model, index) => {
      model.written = logs[index]!.writtenEndOffset;
      model.durable = logs[index]!.flushedEndOffset;
    });
    kill();
  }

  #cutPower(): void {
    this.#world.disk.cutPower();
    this.cutCount += 1;
    for (const model of this.#models) model.written = model.durable;
  }

  async #open(
    dependencies: Parameters<typeof LogManager.open>[0],
  ): Promise<{ manager: LogManager; logs: Log[] }> {
    const manager = await LogManager.open(dependencies, OPTIONS);
    const logs = await Promise.all(
      this.#models.map(({ topicId }, partitionIndex) =>
        manager.openLog({ topic: "topic", partitionIndex, topicId }, this.#config),
      ),
    );
    return { manager, logs };
  }

  /** A prefix of what was appended (S1 to S4), with epochs (S10) and producers (S11) to match. */
  async #check(log: Log, model: Model): Promise<void> {
    const { run } = this.#world;
    expect(log.failure).toBeNull();
    expect(log.logEndOffset).toBeGreaterThanOrEqual(model.written);
    expect(log.flushedEndOffset).toBe(log.logEndOffset);
    const found: Buffer[] = [];
    for (let offset = 0; offset < log.logEndOffset;) {
      const maxBytes = 1 + randomBelow(this.#random, 2_000);
      const options = { offset, endOffset: log.logEndOffset, maxBytes, minOneBatch: true };
      const { records, nextOffset } = await run(log.read(options));
      found.push(...split(records));
      expect(nextOffset).toBeGreaterThan(offset);
      offset = nextOffset;
    }
    this.lostCount += model.sent.length - found.length;
    model.sent = model.sent.slice(0, found.length);
    model.sent.forEach(({ batch }, index) => {
      expect(found[index]!.equals(batch)).toBe(true);
      expect(isBatchCrcValid(batch)).toBe(true);
      expect(log.leaderEpochAt(batchLastOffset(batch))).toBe(batchLeaderEpoch(batch));
    });
    model.written = model.durable = log.logEndOffset;
    this.#checkProducers(log, model);
  }

  /** The last five batches of each producer are known again, whatever its snapshot held (X2). */
  #checkProducers(log: Log, model: Model): void {
    const ours = { leaderEpoch: this.#epoch, origin: "client" } as const;
    for (const producerId of [1, 2]) {
      const own = model.sent.filter((sent) => sent.producerId === producerId);
      for (const { batch, baseSequence, count } of own.slice(-5)) {
        const repeat = batchOf(producerId, baseSequence, count, this.#random);
        const lastOffset = batchLastOffset(batch);
        expect(log.append(repeat, ours)).toMatchObject({ kind: "duplicate", lastOffset });
      }
      const last = own.at(-1);
      if (last === undefined) continue;
      const gap = batchOf(producerId, last.baseSequence + last.count + 1, 1, this.#random);
      expect(() => log.append(gap, ours)).toThrow(KafkaError);
    }
  }

  async #work(manager: LogManager, logs: Log[]): Promise<void> {
    const { run, steps } = this.#world;
    for (let count = randomBelow(this.#random, 40); count > 0; count -= 1) {
      const index = randomBelow(this.#random, PARTITIONS);
      if (this.#chance(60)) {
        await run(manager.deleteLog("topic", index));
        const model = { topicId: this.#newTopicId(), sent: [], written: 0, durable: 0 };
        this.#models[index] = model;
        const id = { topic: "topic", partitionIndex: index, topicId: model.topicId };
        logs[index] = await run(manager.openLog(id, this.#config));
      }
      this.#append(logs[index]!, this.#models[index]!);
      if (this.#chance(3)) await steps(randomBelow(this.#random, 25));
    }
    await steps(randomBelow(this.#random, 40));
  }

  #append(log: Log, model: Model): void {
    const producerId = randomBelow(this.#random, 3);
    const last = model.sent.findLast((sent) => sent.producerId === producerId);
    const baseSequence = last === undefined ? 0 : last.baseSequence + last.count;
    const count = 1 + randomBelow(this.#random, 3);
    const batch = batchOf(producerId, baseSequence, count, this.#random);
    const result = log.append(batch, { leaderEpoch: this.#epoch, origin: "client" });
    expect(result.kind).toBe("appended");
    model.sent.push({ batch, producerId, baseSequence, count });
  }

  #newTopicId(): Uuid {
    this.#topicCount += 1;
    return Buffer.alloc(16, this.#topicCount).toString("base64url") as Uuid;
  }

  #chance(oneIn: number): boolean {
    return randomBelow(this.#random, oneIn) === 0;
  }
}

/** Producer 0 stands for one without idempotence. */
function batchOf(producerId: number, baseSequence: number, count: number, random: Random): Buffer {
  return buildBatch({
    timestampMs: 1_800_000_000_000,
    records: Array.from({ length: count }, () => ({
      key: null,
      value: random.bytes(randomBelow(random, 120)),
    })),
    ...(producerId === 0 ? {} : { producerId, producerEpoch: 0, baseSequence }),
  });
}

describe("a node whose process dies and whose power is cut, again and again", () => {
  test.each([
    ["every batch synced", { flushMessages: 1 }],
    ["a sync after four messages", { flushMessages: 4 }],
    ["a sync after 10 ms", { flushMs: 10 }],
    ["no sync", {}],
  ])("with %s keeps a prefix of each log, with all that was durable", async (_name, settings) => {
    let lostCount = 0;
    let cutCount = 0;
    for (let seed = 0; seed < SEEDS; seed += 1) {
      const crasher = new Crasher(seed, { ...SETTINGS, ...settings });
      try {
        for (let life = 0; life < 8; life += 1) await crasher.life();
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
      lostCount += crasher.lostCount;
      cutCount += crasher.cutCount;
    }
    // Something must be lost, or the test could not fail.
    expect(cutCount).toBeGreaterThan(SEEDS);
    expect(lostCount).toBeGreaterThan(SEEDS);
  });
});
