import type { Clock } from "../base/clock.ts";
import { type Disk, DiskError, isNotFound, isOutOfSpace } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import { MailboxClosedError } from "../base/mailbox.ts";
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
import {
  type CleanableSegment,
  type CleaningPlan,
  groupSegments,
  planCleaning,
} from "./cleaning-plan.ts";
import type { CompactionRules } from "./compaction.ts";
import type { Log } from "./log.ts";
import type { LogSegments } from "./log-segments.ts";
import { OffsetMap } from "./offset-map.ts";
import type { ProducerSnapshotEntry } from "./producer-snapshot.ts";
import type { Segment } from "./segment.ts";
import { cleanGroup, mapKeys } from "./segment-cleaner.ts";
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
  /** Nothing at or above it may be cleaned: the lesser of the high watermark and the last stable offset. */
  stableEndOffset(log: Log): number;
  /**
   * Notes, durably, how far the log is durable: recovery takes a gap above that for damage. Throws
   * CleaningAbortedError when the directory does not take it.
   */
  checkpointFlushed(log: Log): Promise<void>;
  /** Makes the end of a round durable. Throws as `checkpointFlushed` does. */
  checkpointCleaned(log: Log, cleanedOffset: number): Promise<void>;
}

/** Segments whose indexes are loaded at a time. */
const OPENED_AT_ONCE = 16;

/** A log that is due, with its segments as they were when it was planned. */
interface DirtyLog {
  readonly log: Log;
  readonly segments: LogSegments;
  readonly plan: CleaningPlan;
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
    try {
      await this.#clean(found);
      return true;
    } catch (error) {
      this.#refused(found.log, error);
      return false;
    }
  }

  async #run(): Promise<void> {
    await this.#pace.wait(this.#options.initialDelayMs);
    while (!this.#pace.isStopped) {
      if (!(await this.cleanDirtiest())) await this.#pace.wait(this.#options.backoffMs);
    }
  }

  async #findDirtiest(): Promise<DirtyLog | null> {
    let dirtiest: DirtyLog | null = null;
    for (const log of this.#logs.logsOnline()) {
      if (!log.config.cleanupPolicy.compacts || this.#uncleanable.has(log)) continue;
      try {
        const found = await this.#look(log);
        if (found !== null && found.plan.dirtyRatio > (dirtiest?.plan.dirtyRatio ?? -1)) {
          dirtiest = found;
        }
      } catch (error) {
        this.#refused(log, error);
      }
      if (this.#pace.isStopped) return null;
    }
    return dirtiest;
  }

  /** null: there is nothing that needs to be cleaned yet. */
  async #look(log: Log): Promise<DirtyLog | null> {
    // What is too old must not wait for the append that would roll it.
    if (await this.#isOverdue(log, log.segments.active)) log.rollSegment();
    const { segments } = log;
    if (segments.list.length === 1) return null;
    const plan = await this.#plan(log);
    return (await this.#isDue(log, plan)) ? { log, segments, plan } : null;
  }

  async #plan(log: Log): Promise<CleaningPlan> {
    const endOffset = this.#logs.stableEndOffset(log);
    return planCleaning(await cleanableSegments(log), {
      endOffset,
      cleanedOffset: this.#logs.cleanedOffset(log),
      logStartOffset: log.logStartOffset,
      minCompactionLagMs: log.config.minCompactionLagMs,
      nowMs: this.#dependencies.clock.wallMs(),
    });
  }

  async #isDue(log: Log, plan: CleaningPlan): Promise<boolean> {
    if (plan.dirtyBytes === 0) return false;
    if (plan.dirtyRatio > log.config.minCleanableDirtyRatio) return true;
    for (const segment of segmentsOf(log, plan)) {
      if (segment.baseOffset < plan.firstDirtyOffset) continue;
      if (await this.#isOverdue(log, segment)) return true;
    }
    return false;
  }

  /** Whether its first records have waited for longer than max.compaction.lag.ms. */
  async #isOverdue(log: Log, segment: Segment): Promise<boolean> {
    const { maxCompactionLagMs } = log.config;
    if (maxCompactionLagMs === Infinity || !segment.isCreated) return false;
    const timestampMs = await firstTimestamp(segment);
    return timestampMs > 0 && timestampMs < this.#dependencies.clock.wallMs() - maxCompactionLagMs;
  }

  async #clean({ log, segments, plan }: DirtyLog): Promise<void> {
    const { clock, logger } = this.#dependencies;
    const { directory } = log;
    const { firstDirtyOffset, firstUncleanableOffset } = plan;
    const startMs = clock.nowMs();
    // What was stable when it was planned is durable now, the markers that have decided it as well: a
    // power cut that took one away would leave its transaction undecided again.
    await log.flush();
    await this.#logs.checkpointFlushed(log);
    let rest: readonly Segment[] = segmentsOf(log, plan);
    const checkWanted = (): void => this.#checkWanted(log, segments, rest);
    checkWanted();
    const dependencies = { ...this.#dependencies, pace: this.#pace, checkWanted };
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
        baseOffsets: group.map(({ baseOffset }) => baseOffset),
        rules,
        transactions,
        indexIntervalBytes: log.config.indexIntervalBytes,
      });
      checkWanted();
      if (cleaned.isUnchanged) {
        await removeCleaned(this.#dependencies.disk, directory, cleaned.baseOffset);
      } else {
        await this.#replace(log, group);
      }
      sizes.before += cleaned.oldSizeBytes;
      sizes.after += cleaned.isUnchanged ? cleaned.oldSizeBytes : cleaned.sizeBytes;
      rest = rest.filter((segment) => !group.includes(segment));
    }
    // Not while it is cut: the checkpoint must never lie above what is left.
    await log.undisturbed(() => {
      checkWanted();
      return this.#logs.checkpointCleaned(log, mappedOffset);
    });
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

  /** What becomes one segment each. */
  async #group(
    log: Log,
    plan: CleaningPlan,
    segments: readonly Segment[],
  ): Promise<readonly (readonly Segment[])[]> {
    const summaries = new Map(plan.segments.map((each) => [each.baseOffset, each]));
    const measure = async (segment: Segment) => {
      const summary = summaries.get(segment.baseOffset);
      if (summary === undefined) throw new CleaningAbortedError("a segment has gone");
      const sizes = await segment.use(({ indexes }) =>
        Promise.resolve({
          indexBytes: indexes.offsets.bytes.sizeBytes,
          timeIndexBytes: indexes.times.bytes.sizeBytes,
        }),
      );
      return { ...summary, ...sizes, segment };
    };
    const groupable = [];
    for (let start = 0; start < segments.length; start += OPENED_AT_ONCE) {
      const some = segments.slice(start, start + OPENED_AT_ONCE);
      groupable.push(...(await Promise.all(some.map(measure))));
    }
    const groups = groupSegments(groupable, log.config);
    return groups.map((group) => group.map(({ segment }) => segment));
  }

  async #replace(log: Log, old: readonly Segment[]): Promise<void> {
    const { disk } = this.#dependencies;
    const baseOffsets = old.map(({ baseOffset }) => baseOffset);
    const isReplaced = await log.replaceSegments(old, () =>
      swapSegments(disk, log.directory, baseOffsets),
    );
    if (!isReplaced) throw new CleaningAbortedError("a segment has gone");
  }

  /** Synchronous, and called after every wait for the disk. */
  #checkWanted(log: Log, segments: LogSegments, rest: readonly Segment[]): void {
    const isOnline = log.failure === null && [...this.#logs.logsOnline()].includes(log);
    // Others than those that it began with: it was cut, and may have grown again.
    const isSame = log.segments === segments;
    const there = new Set(segments.list);
    if (isOnline && isSame && rest.every((segment) => there.has(segment))) return;
    throw new CleaningAbortedError("the log has changed");
  }

  /** What is to be tried again, is; what is damaged is not; what has failed fails the log (R9). */
  #refused(log: Log, error: unknown): void {
    const { logger } = this.#dependencies;
    const { directory } = log;
    if (isOutrun(error)) {
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

/**
 * Whether the log went on without the cleaner: one of its files, or the log itself, was closed or
 * removed meanwhile. Nothing is wrong with the disk then.
 */
function isOutrun(error: unknown): boolean {
  return (
    error instanceof CleaningAbortedError ||
    error instanceof MailboxClosedError ||
    isNotFound(error) ||
    (error instanceof DiskError && error.code === "EBADF")
  );
}

/** What nobody asks for is not looked for: a segment's timestamps cost a read of its indexes. */
async function cleanableSegments(log: Log): Promise<readonly CleanableSegment[]> {
  if (log.config.minCompactionLagMs > 0) return await log.segmentSummaries();
  const { list } = log.segments;
  return list.map(({ baseOffset, sizeBytes, state }, index) => ({
    baseOffset,
    endOffset: list[index + 1]?.baseOffset ?? log.logEndOffset,
    sizeBytes,
    maxTimestampMs: -1,
    isActive: state !== "inactive",
  }));
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
