import type { Clock } from "../base/clock.ts";
import { type Disk, DiskError, isNotFound, isOutOfSpace } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import type { Offload } from "../base/offload.ts";
import {
  BATCH_OVERHEAD,
  batchLastOffset,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  isControl,
} from "../protocol/records/batch.ts";
import { KafkaError } from "../protocol/errors.ts";
import { CleanedTransactions } from "./cleaned-transactions.ts";
import { CleaningAbortedError, CleaningPace } from "./cleaning-pace.ts";
import { type CleaningPlan, groupSegments, planCleaning } from "./cleaning-plan.ts";
import type { CompactionRules } from "./compaction.ts";
import type { Log } from "./log.ts";
import { OffsetMap } from "./offset-map.ts";
import type { ProducerSnapshotEntry } from "./producer-snapshot.ts";
import type { Segment } from "./segment.ts";
import { cleanGroup, mapKeys, type SegmentCleanerDependencies } from "./segment-cleaner.ts";
import { removeCleaned, swapSegments } from "./segment-swap.ts";

export interface LogCleanerDependencies {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly offload: Offload;
}

export interface LogCleanerOptions {
  /** log.initial.task.delay.ms: it leaves the start of the node alone. */
  readonly initialDelayMs: number;
  /** log.cleaner.backoff.ms: how long it waits when no log is dirty enough. */
  readonly backoffMs: number;
  /** log.cleaner.dedupe.buffer.size: what the keys of one round may take. */
  readonly dedupeBufferBytes: number;
  /** log.cleaner.io.max.bytes.per.second, reads and writes together; Infinity: no limit. */
  readonly maxBytesPerSecond: number;
}

/** The logs as their keeper knows them. */
export interface CleanableLogs {
  /** All that are open, compacted or not. */
  logsOnline(): Iterable<Log>;
  /** Where the last round ended (cleaner-offset-checkpoint); 0: there was none. */
  cleanedOffset(log: Log): number;
  /**
   * Nothing at or above it may be cleaned: the least of the high watermark, the last stable offset and
   * the recovery point as it is on disk. Recovery takes a gap above that for damage.
   */
  cleanableEndOffset(log: Log): number;
  /** Makes the end of a round durable. Throws DiskError. */
  checkpointCleaned(log: Log, cleanedOffset: number): Promise<void>;
}

/**
 * Compacts the logs of a node (S14), the dirtiest first, one at a time, in the background: in slices
 * and within its share of the disk. What it touches was decided long ago: whole inactive segments,
 * flushed, below the high watermark and below every open transaction. A log that cannot be read whole
 * is reported and left alone until the next start.
 */
export class LogCleaner {
  readonly #dependencies: LogCleanerDependencies;
  readonly #options: LogCleanerOptions;
  readonly #logs: CleanableLogs;
  readonly #pace: CleaningPace;
  readonly #uncleanable = new WeakSet<Log>();
  #running: Promise<void> | null = null;

  constructor(
    dependencies: LogCleanerDependencies,
    logs: CleanableLogs,
    options: LogCleanerOptions,
  ) {
    this.#dependencies = dependencies;
    this.#logs = logs;
    this.#options = options;
    this.#pace = new CleaningPace(dependencies.clock, options);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the round that runs, wherever it is. Resolves when it touches no file any more. Idempotent. */
  async close(): Promise<void> {
    this.#pace.stop();
    await this.#running;
  }

  /** Cleans the log that needs it most; false: none does. */
  async cleanDirtiest(): Promise<boolean> {
    const found = await this.#findDirtiest();
    if (found === null) return false;
    const { log, plan } = found;
    try {
      await this.#clean(log, plan);
      return true;
    } catch (error) {
      this.#refused(log, error);
      return false;
    }
  }

  async #run(): Promise<void> {
    await this.#pace.wait(this.#options.initialDelayMs);
    while (!this.#pace.isStopped) {
      if (!(await this.cleanDirtiest())) await this.#pace.wait(this.#options.backoffMs);
    }
  }

  async #findDirtiest(): Promise<{ readonly log: Log; readonly plan: CleaningPlan } | null> {
    let dirtiest: { readonly log: Log; readonly plan: CleaningPlan } | null = null;
    for (const log of this.#logs.logsOnline()) {
      if (!log.config.cleanupPolicy.compacts || this.#uncleanable.has(log)) continue;
      if (log.failure !== null || log.segments.list.length === 1) continue;
      try {
        // Only what is durable is compacted, and without a flush policy nothing else would make it so.
        await log.flush();
        const plan = await this.#plan(log);
        const isDirtier = plan.dirtyRatio > (dirtiest?.plan.dirtyRatio ?? -1);
        if (isDirtier && (await this.#isDue(log, plan))) dirtiest = { log, plan };
      } catch (error) {
        this.#refused(log, error);
      }
      if (this.#pace.isStopped) return null;
    }
    return dirtiest;
  }

  async #plan(log: Log): Promise<CleaningPlan> {
    return planCleaning(await log.segmentSummaries(), {
      endOffset: this.#logs.cleanableEndOffset(log),
      cleanedOffset: this.#logs.cleanedOffset(log),
      logStartOffset: log.logStartOffset,
      minCompactionLagMs: log.config.minCompactionLagMs,
      nowMs: this.#dependencies.clock.wallMs(),
    });
  }

  async #isDue(log: Log, plan: CleaningPlan): Promise<boolean> {
    if (plan.dirtyBytes === 0) return false;
    const { minCleanableDirtyRatio, maxCompactionLagMs } = log.config;
    if (plan.dirtyRatio > minCleanableDirtyRatio) return true;
    if (maxCompactionLagMs === Infinity) return false;
    const overdueMs = this.#dependencies.clock.wallMs() - maxCompactionLagMs;
    for (const segment of segmentsOf(log, plan)) {
      if (segment.baseOffset < plan.firstDirtyOffset) continue;
      const timestampMs = await firstTimestamp(segment);
      if (timestampMs > 0 && timestampMs < overdueMs) return true;
    }
    return false;
  }

  async #clean(log: Log, plan: CleaningPlan): Promise<void> {
    const { clock, logger } = this.#dependencies;
    const { directory } = log;
    const { firstDirtyOffset, firstUncleanableOffset } = plan;
    const startMs = clock.nowMs();
    let rest: readonly Segment[] = segmentsOf(log, plan);
    const dependencies: SegmentCleanerDependencies = {
      ...this.#dependencies,
      pace: this.#pace,
      checkWanted: () => this.#checkWanted(log, rest),
    };
    const map = new OffsetMap({
      keyCount: firstUncleanableOffset - firstDirtyOffset,
      maxBytes: this.#options.dedupeBufferBytes,
    });
    const mappedOffset = await mapKeys(dependencies, directory, {
      segments: plan.segments,
      startOffset: firstDirtyOffset,
      map,
      transactions: await transactionsOf(log, firstDirtyOffset, firstUncleanableOffset),
    });
    const rules = rulesFor(log, map, mappedOffset, clock.wallMs());
    const transactions = await transactionsOf(log, 0, firstUncleanableOffset);
    const touched = rest.filter(({ baseOffset }) => baseOffset < mappedOffset);
    const sizes = { before: 0, after: 0 };
    for (const group of await this.#group(log, plan, touched)) {
      const cleaned = await cleanGroup(dependencies, directory, {
        baseOffsets: group,
        rules,
        transactions,
        indexIntervalBytes: log.config.indexIntervalBytes,
      });
      this.#checkWanted(log, rest);
      if (cleaned.isUnchanged) {
        await removeCleaned(this.#dependencies.disk, directory, cleaned.baseOffset);
      } else {
        await this.#replace(log, group);
      }
      sizes.before += cleaned.oldSizeBytes;
      sizes.after += cleaned.isUnchanged ? cleaned.oldSizeBytes : cleaned.sizeBytes;
      rest = rest.filter(({ baseOffset }) => !group.includes(baseOffset));
    }
    await this.#logs.checkpointCleaned(log, mappedOffset);
    logger.info(
      {
        directory,
        fromOffset: firstDirtyOffset,
        toOffset: mappedOffset,
        keyCount: map.keyCount,
        bytesBefore: sizes.before,
        bytesAfter: sizes.after,
        durationMs: Math.round(clock.nowMs() - startMs),
      },
      "compacted a log",
    );
  }

  /** The base offsets of what becomes one segment each. */
  async #group(
    log: Log,
    plan: CleaningPlan,
    segments: readonly Segment[],
  ): Promise<readonly (readonly number[])[]> {
    const endOffsets = new Map(plan.segments.map((each) => [each.baseOffset, each]));
    const groupable = [];
    for (const segment of segments) {
      const summary = endOffsets.get(segment.baseOffset);
      if (summary === undefined) throw new CleaningAbortedError("a segment has gone");
      const sizes = await segment.use(({ indexes }) =>
        Promise.resolve({
          indexBytes: indexes.offsets.bytes.sizeBytes,
          timeIndexBytes: indexes.times.bytes.sizeBytes,
        }),
      );
      groupable.push({ ...summary, ...sizes });
    }
    const groups = groupSegments(groupable, log.config);
    return groups.map((group) => group.map(({ baseOffset }) => baseOffset));
  }

  async #replace(log: Log, baseOffsets: readonly number[]): Promise<void> {
    const { disk } = this.#dependencies;
    const isReplaced = await log.replaceSegments(baseOffsets, () =>
      swapSegments(disk, log.directory, baseOffsets),
    );
    if (!isReplaced) throw new CleaningAbortedError("a segment has gone");
  }

  /** Synchronous, and called after every wait for the disk. */
  #checkWanted(log: Log, segments: readonly Segment[]): void {
    const isOnline = log.failure === null && [...this.#logs.logsOnline()].includes(log);
    const { list } = log.segments;
    if (isOnline && segments.every((segment) => list.includes(segment))) return;
    throw new CleaningAbortedError("the log has changed");
  }

  /** What is to be tried again, is; what is damaged is not; what has failed fails the log (R9). */
  #refused(log: Log, error: unknown): void {
    const { logger } = this.#dependencies;
    const { directory } = log;
    if (error instanceof CleaningAbortedError || isNotFound(error)) {
      logger.info({ directory, reason: (error as Error).message }, "the compaction was given up");
    } else if (error instanceof DiskError && isOutOfSpace(error)) {
      logger.warn({ directory, error }, "no room to compact the log: it is tried again");
    } else if (error instanceof DiskError) {
      log.fail(error);
    } else if (error instanceof KafkaError) {
      const isClosed = error.errorName === "NOT_LEADER_OR_FOLLOWER";
      if (log.failure !== null || isClosed) return;
      this.#uncleanable.add(log);
      logger.error(
        { directory, error },
        "the log cannot be compacted and grows: repair or remove the damaged segment, then restart",
      );
    } else {
      throw error;
    }
  }
}

function segmentsOf(log: Log, plan: CleaningPlan): readonly Segment[] {
  const bases = new Set(plan.segments.map(({ baseOffset }) => baseOffset));
  return log.segments.list.filter(({ baseOffset }) => bases.has(baseOffset));
}

async function transactionsOf(
  log: Log,
  startOffset: number,
  endOffset: number,
): Promise<CleanedTransactions> {
  const transactions = new CleanedTransactions();
  transactions.expect(await log.abortedTransactions(startOffset, endOffset));
  return transactions;
}

function rulesFor(log: Log, map: OffsetMap, endOffset: number, nowMs: number): CompactionRules {
  const producers = new Map<number, ProducerSnapshotEntry[]>();
  for (const entry of log.producerEntries()) {
    const entries = producers.get(entry.producerId);
    if (entries === undefined) producers.set(entry.producerId, [entry]);
    else entries.push(entry);
  }
  return {
    nowMs,
    deleteRetentionMs: log.config.deleteRetentionMs,
    newestOffset: (key) => map.get(key),
    endOffset,
    // All that a repeat may ask for (X2); of a producer without data the epoch, for fencing (X3).
    isNeededByProducer: (bytes, at) => {
      const entries = producers.get(batchProducerId(bytes, at));
      if (entries === undefined) return false;
      const lastOffset = batchLastOffset(bytes, at);
      return entries.some((entry) =>
        entry.lastOffset >= 0
          ? entry.lastOffset === lastOffset
          : isControl(bytes, at) && entry.epoch === batchProducerEpoch(bytes, at),
      );
    },
  };
}

/** Of the first batch of a segment; -1: it has none. Throws DiskError. */
async function firstTimestamp(segment: Segment): Promise<number> {
  return await segment.use(async ({ file }) => {
    const header = Buffer.alloc(BATCH_OVERHEAD);
    const readBytes = await file.read(header, 0);
    return readBytes === BATCH_OVERHEAD ? batchMaxTimestamp(header) : -1;
  });
}
