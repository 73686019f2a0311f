import { expect } from "vitest";
import type { Disk } from "../../../src/base/disk.ts";
import { uuidFromBytes } from "../../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../../src/base/logger.ts";
import { SeededRandom } from "../../../src/base/random.ts";
import { TimerQueue } from "../../../src/base/timer-queue.ts";
import {
  batchLastOffset,
  batchProducerId,
  isControl,
  isTransactional,
} from "../../../src/protocol/records/batch.ts";
import { readBatchRecords } from "../../../src/protocol/records/record.ts";
import { InlineOffload } from "../../../src/server/offload.ts";
import { ProcessClock } from "../../../src/sim/sim-clock.ts";
import { decodeOffsetCheckpoint } from "../../../src/storage/checkpoint.ts";
import type { Log, LogConfig } from "../../../src/storage/log.ts";
import { readUnlessMissing } from "../../../src/storage/log-files.ts";
import { LogManager, type LogManagerOptions } from "../../../src/storage/log-manager.ts";
import { DIRECTORY, diskWorld } from "../../sim/support/world.ts";
import { CONFIG, split } from "./log-world.ts";

export const offload = await InlineOffload.open();

/** Compacted as soon as there is anything to compact, in small segments. */
export const COMPACTED: LogConfig = {
  ...CONFIG,
  segmentBytes: 500,
  indexIntervalBytes: 150,
  cleanupPolicy: { compacts: true, deletes: false },
  minCleanableDirtyRatio: 0.01,
  retentionMs: Infinity,
  fileDeleteDelayMs: 5,
};

const CLEANER = {
  initialDelayMs: 1,
  backoffMs: 2,
  maxBytesPerSecond: Infinity,
  dedupeBufferBytes: 1_000_000,
};

/** Enough for all that a test writes: who reads may never see there what was compacted. */
const TAIL_BYTES = 4 * 1024 * 1024;

/** How a process ends. */
export type End = "kill" | "power" | "order";

/** A record as a reader finds it. */
export interface FoundRecord {
  readonly offset: number;
  readonly key: string;
  readonly value: string | null;
  readonly timestamp: number;
  readonly header: string;
}

export interface FoundLog {
  readonly batches: readonly Buffer[];
  readonly records: readonly FoundRecord[];
  /** What a consumer at read_committed takes, open transactions included. */
  readonly committed: readonly FoundRecord[];
}

/** A disk, and processes one after the other whose LogManager compacts the logs on it. */
export class CompactionWorld {
  readonly #world: ReturnType<typeof diskWorld>;
  readonly #options: Partial<LogManagerOptions>;
  #process;
  #clock: ProcessClock;
  #manager: LogManager | null = null;
  /** Files that were renamed because a swap puts them in place. */
  #swapCount = 0;
  #starts = 0;

  constructor(seed: number, options: Partial<LogManagerOptions> = {}) {
    this.#world = diskWorld(seed);
    this.#options = options;
    this.#process = this.#world.disk.process();
    this.#clock = new ProcessClock(this.#world.clock);
  }

  get manager(): LogManager {
    return this.#manager!;
  }

  get wallMs(): number {
    return this.#clock.wallMs();
  }

  async start(): Promise<LogManager> {
    this.#process = this.#world.disk.process();
    this.#clock = new ProcessClock(this.#world.clock);
    this.#starts += 1;
    const dependencies = {
      disk: this.#watched(this.#process),
      clock: this.#clock,
      random: new SeededRandom(this.#starts),
      logger: SILENT_LOGGER,
      timers: new TimerQueue(this.#clock),
      offload,
    };
    const options = {
      ...{ logDirs: [DIRECTORY], nodeId: 1, clusterId: "cluster", cleaner: CLEANER },
      ...{
        checkpointIntervalMs: 7,
        highWatermarkCheckpointIntervalMs: 3,
        tailCacheBytes: TAIL_BYTES,
      },
      ...this.#options,
    };
    this.#manager = await this.run(LogManager.open(dependencies, options));
    return this.#manager;
  }

  open(topic: string, config: LogConfig): Promise<Log> {
    const topicId = uuidFromBytes(Buffer.from(topic.padEnd(16)));
    return this.run(this.manager.openLog({ topic, partitionIndex: 0, topicId }, config));
  }

  async end(how: End): Promise<void> {
    if (how === "order") {
      await this.run(this.manager.close(1));
      return;
    }
    this.#clock.kill();
    this.#process.kill();
    if (how === "power") this.#world.disk.cutPower();
  }

  /** Runs events until the promise settles. */
  run<T>(promise: Promise<T>): Promise<T> {
    return this.#world.run(promise);
  }

  /** Runs so many events. */
  steps(count: number): Promise<void> {
    return this.#world.steps(count);
  }

  /** Runs events until a swap begins, if one does soon, and so many more. */
  async stepIntoSwap(count: number): Promise<void> {
    const before = this.#swapCount;
    for (let waited = 0; this.#swapCount === before && waited < 1000; waited += 1) {
      await this.steps(1);
    }
    await this.steps(count);
  }

  /** Runs events until so much time has passed. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#world.clock.nowMs + ms;
    while (this.#world.clock.nowMs < endMs) await this.steps(1);
  }

  /** Where the last round ended, by the checkpoint on the disk. */
  async cleanedOffset(topic: string): Promise<number> {
    const path = `${DIRECTORY}/cleaner-offset-checkpoint`;
    const read = (): Promise<Buffer | null> => this.run(readUnlessMissing(this.#process, path));
    // Once more, as SimDisk may miss a file that is being replaced.
    const bytes = (await read()) ?? (await read());
    const entries = bytes === null ? [] : decodeOffsetCheckpoint(bytes);
    return entries.find((entry) => entry.topic === topic)?.offset ?? 0;
  }

  #watched(disk: Disk): Disk {
    const rename = (from: string, to: string): Promise<void> => {
      if (to.endsWith(".swap")) this.#swapCount += 1;
      return disk.rename(from, to);
    };
    return new Proxy(disk, {
      get: (target, name) => {
        if (name === "rename") return rename;
        const member: unknown = Reflect.get(target, name);
        return typeof member === "function" ? (member.bind(target) as unknown) : member;
      },
    });
  }

  /** Everything in the log, as a follower and as a consumer at read_committed would take it. */
  async read(log: Log): Promise<FoundLog> {
    const batches: Buffer[] = [];
    const records: FoundRecord[] = [];
    const committed: FoundRecord[] = [];
    const transactions = await this.run(log.abortedTransactions(0, log.logEndOffset));
    const coming = [...transactions].sort((a, b) => a.firstOffset - b.firstOffset);
    const aborting = new Set<number>();
    for (let offset = log.logStartOffset; offset < log.logEndOffset;) {
      const options = { offset, endOffset: log.logEndOffset, maxBytes: 700, minOneBatch: true };
      const read = await this.run(log.read(options));
      expect(read.nextOffset).toBeGreaterThan(offset);
      offset = read.nextOffset;
      for (const batch of split(read.records)) {
        batches.push(batch);
        const producerId = batchProducerId(batch);
        const found = await readBatchRecords(batch, 0, offload, 1_000_000);
        while (coming[0] !== undefined && coming[0].firstOffset <= batchLastOffset(batch)) {
          aborting.add(coming.shift()!.producerId);
        }
        if (isControl(batch)) {
          if (found[0]?.key?.[3] === 0) aborting.delete(producerId);
          continue;
        }
        const isHidden = isTransactional(batch) && aborting.has(producerId);
        records.push(...found.map(shown));
        if (!isHidden) committed.push(...found.map(shown));
      }
    }
    const { logStartOffset } = log;
    const isThere = ({ offset }: FoundRecord): boolean => offset >= logStartOffset;
    return {
      batches,
      records: records.filter(isThere),
      committed: committed.filter(isThere),
    };
  }
}

function shown(record: Awaited<ReturnType<typeof readBatchRecords>>[number]): FoundRecord {
  return {
    offset: record.offset,
    key: String(record.key),
    value: record.value === null ? null : String(record.value),
    timestamp: record.timestamp,
    header: record.headers.map(({ value }) => String(value)).join(),
  };
}
