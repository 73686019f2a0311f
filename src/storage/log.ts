import { assert } from "../base/assert.ts";
import { DiskError } from "../base/disk.ts";
import type { Offload } from "../base/offload.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  batchLastOffset,
  batchMaxTimestamp,
  batchSizeBytes,
  stampBatch,
  stampLogAppendTime,
} from "../protocol/records/batch.ts";
import { replaceFile } from "./atomic-file.ts";
import { encodeEpochCheckpoint } from "./checkpoint.ts";
import { DirectorySync } from "./directory-sync.ts";
import { EPOCH_CHECKPOINT, offsetFileName, PARTITION_METADATA } from "./file-names.ts";
import type { LeaderEpochs } from "./leader-epochs.ts";
import type {
  LogAppendOptions,
  LogAppendResult,
  LogConfig,
  LogDependencies,
  LogListener,
  LogOptions,
  LogReadOptions,
  LogReadResult,
  TimestampedOffset,
} from "./log-config.ts";
import { createLog } from "./log-creation.ts";
import { LogReads } from "./log-reads.ts";
import { LogSegments } from "./log-segments.ts";
import { LogWriter } from "./log-writer.ts";
import { encodeProducerSnapshot } from "./producer-snapshot.ts";
import type { ProducerState } from "./producer-state.ts";
import { type RecoveredLog, recoverLog } from "./recovery.ts";
import { SegmentCache } from "./segment-cache.ts";
import { Segment, type SegmentDependencies } from "./segment.ts";
import { type LogTail, TailCache } from "./tail-cache.ts";
import type { AbortedTransaction } from "./txn-index.ts";

export type {
  AppendOrigin,
  LogAppendOptions,
  LogAppendResult,
  LogConfig,
  LogDependencies,
  LogListener,
  LogOptions,
  LogReadOptions,
  LogReadResult,
  TimestampedOffset,
} from "./log-config.ts";

/** Open inactive segments of a log that shares no cache with others. */
const OWN_CACHE_COUNT = 16;

/**
 * One partition's log: Kafka's segment files, one writer, many readers.
 *
 * Three marks: what was appended (`logEndOffset`), what is in the page cache (`writtenEndOffset`: it
 * survives the process) and what survives the power (`flushedEndOffset`). `safeEndOffset` is the one
 * that acknowledgements and high watermarks may rely on: R4.
 */
export class Log {
  readonly directory: string;
  /** For those who read and maintain the log; it changes by the log's own methods. */
  readonly segments: LogSegments;
  readonly #dependencies: LogDependencies;
  readonly #segmentDependencies: SegmentDependencies;
  readonly #parentSync: DirectorySync;
  readonly #options: LogOptions;
  readonly #reads: LogReads;
  readonly #epochs: LeaderEpochs;
  readonly #producers: ProducerState;
  readonly #writer: LogWriter;
  readonly #tail: LogTail;
  #config: LogConfig;
  #listener: LogListener | null = null;
  #logEndOffset: number;
  /** Invariant: logStartOffset <= flushedEndOffset <= writtenEndOffset <= logEndOffset (S12). */
  readonly #logStartOffset: number;
  #snapshotOffset: number;
  /** Whether the directory itself and its partition.metadata would survive a power cut. */
  #isDirectoryDurable: boolean;
  #closing: Promise<void> | null = null;
  #isClosed = false;

  private constructor(
    dependencies: LogDependencies,
    segmentDependencies: SegmentDependencies,
    options: LogOptions,
    recovered: RecoveredLog,
  ) {
    this.#dependencies = dependencies;
    this.#segmentDependencies = segmentDependencies;
    this.#options = options;
    this.directory = options.directory;
    this.#config = options.config;
    const parentPath = options.directory.slice(0, options.directory.lastIndexOf("/")) || "/";
    this.#parentSync = dependencies.parentSync ?? new DirectorySync(dependencies.disk, parentPath);
    this.#epochs = recovered.epochs;
    this.#producers = recovered.producers;
    this.#logEndOffset = recovered.logEndOffset;
    const firstBase = recovered.segments[0]?.baseOffset ?? recovered.logEndOffset;
    this.#logStartOffset = Math.min(
      Math.max(options.logStartOffset ?? 0, firstBase),
      recovered.logEndOffset,
    );
    this.#snapshotOffset = -1;
    this.#isDirectoryDurable = options.isClean === true && !recovered.isNew;
    this.segments = new LogSegments(
      recovered.segments.length > 0 ? recovered.segments : [this.#newSegment()],
    );
    const tailCache = dependencies.tailCache ?? new TailCache({ capacityBytes: 0 });
    this.#tail = tailCache.open(() => this.#writer.writtenEndOffset);
    this.#reads = new LogReads(dependencies.clock, this, this.#tail);
    this.#writer = new LogWriter(
      {
        clock: dependencies.clock,
        timers: dependencies.timers,
        syncFiles: () => this.#syncFiles(),
        syncNames: () => this.#syncNames(),
        onAdvance: () => this.#listener?.onAdvance(),
        onFailure: (error) => this.#onFailure(error),
      },
      {
        segment: this.segments.active,
        endOffset: recovered.logEndOffset,
        flushedEndOffset: recovered.flushedEndOffset,
        hasNewNames: !this.#isDirectoryDurable,
        config: options.config,
      },
    );
  }

  /**
   * Opens the log in the directory, or makes it, and recovers what a crash has left: afterwards all
   * that is below `logEndOffset` is durable. What is damaged where it was durable is left alone, and
   * reads of it are refused (R10). Throws DiskError.
   */
  static async open(dependencies: LogDependencies, options: LogOptions): Promise<Log> {
    const { disk, clock, logger } = dependencies;
    const cache = dependencies.segmentCache ?? new SegmentCache(OWN_CACHE_COUNT);
    const report = dependencies.recoveryReport;
    const segmentDependencies = { disk, clock, logger, cache, report };
    const recovered =
      (await recoverLog(segmentDependencies, options)) ??
      (await createLog(segmentDependencies, options));
    const log = new Log(dependencies, segmentDependencies, options, recovered);
    if (recovered.flushedEndOffset < recovered.logEndOffset) {
      await log.flush();
    }
    return log;
  }

  get logStartOffset(): number {
    return this.#logStartOffset;
  }

  /** The offset that the next record gets. */
  get logEndOffset(): number {
    return this.#logEndOffset;
  }

  /** All below it is in the page cache: it survives the death of the process (R1). */
  get writtenEndOffset(): number {
    return this.#writer.writtenEndOffset;
  }

  /** All below it is synced: it survives a power cut. */
  get flushedEndOffset(): number {
    return this.#writer.flushedEndOffset;
  }

  /**
   * What the flush policy counts as safe now (R4). It steps back when data has waited too long for
   * its sync (flush.ms), so a high watermark takes the greatest value it has seen.
   */
  get safeEndOffset(): number {
    return this.#writer.safeEndOffset;
  }

  /** -1: nothing was ever appended. */
  get latestLeaderEpoch(): number {
    return this.#epochs.latestEpoch;
  }

  /** Set once a write or sync has failed, or when the log was found damaged: for ever (R9). */
  get failure(): DiskError | null {
    return this.#writer.failure;
  }

  /** Where its segments begin, oldest first. */
  get segmentBaseOffsets(): readonly number[] {
    return this.segments.list.map((segment) => segment.baseOffset);
  }

  /** One listener; a new one replaces it. */
  setListener(listener: LogListener): void {
    this.#listener = listener;
  }

  updateConfig(config: LogConfig): void {
    this.#config = config;
    this.segments.active.indexIntervalBytes = config.indexIntervalBytes;
    this.#writer.updateConfig(config);
  }

  /**
   * Appends one whole batch, synchronously: checks it against its producer's last batches, gives it
   * offsets and stamps them into `batch`, and copies it: its memory is the caller's again.
   * A client's batch has passed `validateClientBatch`; the leader epoch never falls.
   * Throws KafkaError OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_TIMESTAMP,
   * RECORD_LIST_TOO_LARGE, KAFKA_STORAGE_ERROR, NOT_LEADER_OR_FOLLOWER (closed).
   */
  append(batch: Buffer, options: LogAppendOptions): LogAppendResult {
    this.refuseUnlessUsable();
    assert(batch.length === batchSizeBytes(batch), "one whole batch is appended");
    const isStamped = options.origin === "client" && this.#config.timestampType === "LogAppendTime";
    const nowMs = this.#dependencies.clock.wallMs();
    if (options.origin === "client") this.#checkClientBatch(batch, nowMs);
    const duplicate = this.#producers.check(batch);
    if (duplicate !== null) {
      return {
        kind: "duplicate",
        baseOffset: duplicate.baseOffset,
        lastOffset: duplicate.lastOffset,
        logAppendTimeMs: isStamped ? duplicate.timestampMs : -1,
        logStartOffset: this.#logStartOffset,
      };
    }
    const baseOffset = this.#logEndOffset;
    stampBatch(batch, 0, baseOffset, options.leaderEpoch);
    if (isStamped) stampLogAppendTime(batch, 0, nowMs);
    const lastOffset = batchLastOffset(batch);
    assert(lastOffset >= baseOffset, "a batch has an offset at least");
    this.#maybeRoll(batch, lastOffset);
    this.#epochs.assign(options.leaderEpoch, baseOffset);
    const completed = this.#producers.update(batch, 0, this.#dependencies.clock.nowMs());
    const active = this.segments.active;
    active.add(batch);
    if (completed?.isAborted === true) active.noteAborted(completed);
    this.#logEndOffset = lastOffset + 1;
    this.#writer.write(active, this.#tail.add(batch, lastOffset + 1), lastOffset + 1);
    return {
      kind: "appended",
      baseOffset,
      lastOffset,
      logAppendTimeMs: isStamped ? nowMs : -1,
      logStartOffset: this.#logStartOffset,
    };
  }

  /**
   * Whole batches from the one that contains `offset` on, all below `endOffset`, and of them only what
   * is written; at most `maxBytes`, but one batch at least with `minOneBatch`. Comes to an end at the
   * end of a segment: an empty answer means that there is nothing (yet) below `endOffset`.
   * Throws KafkaError OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR, NOT_LEADER_OR_FOLLOWER.
   */
  async read(options: LogReadOptions): Promise<LogReadResult> {
    return await this.#reads.read(options);
  }

  /** The first record below `endOffset` with that timestamp or a later one. Throws as `read` does. */
  async findByTimestamp(
    timestampMs: bigint,
    endOffset: number,
    offload: Offload,
  ): Promise<TimestampedOffset | null> {
    return await this.#reads.findByTimestamp(timestampMs, endOffset, offload);
  }

  /** The first record below `endOffset` with the greatest timestamp (KIP-734). Throws as `read` does. */
  async findMaxTimestamp(endOffset: number, offload: Offload): Promise<TimestampedOffset | null> {
    return await this.#reads.findMaxTimestamp(endOffset, offload);
  }

  /** The leader epoch that wrote, or will write, the offset; -1 when it is not known. */
  leaderEpochAt(offset: number): number {
    return this.#epochs.epochAt(offset);
  }

  /** Kafka's answer to OffsetForLeaderEpoch (KIP-101, KIP-279); both -1 when there is none. */
  endOffsetForEpoch(epoch: number): { leaderEpoch: number; endOffset: number } {
    return this.#epochs.endOffsetFor(epoch, this.#logEndOffset);
  }

  /**
   * Where the oldest transaction begins that is open, or whose marker lies at or above the high
   * watermark; null: there is none, all below the high watermark is stable (X7).
   */
  firstUnstableOffset(highWatermark: number): number | null {
    return this.#producers.firstUnstableOffset(highWatermark);
  }

  /**
   * The transactions with records in the range that were aborted (X6), in the order of their markers.
   * Throws as `read` does.
   */
  async abortedTransactions(
    startOffset: number,
    endOffset: number,
  ): Promise<readonly AbortedTransaction[]> {
    return await this.#reads.abortedTransactions(startOffset, endOffset);
  }

  /** Forgets idempotent producers that have not been heard of for so long. */
  expireProducers(idleMs: number): void {
    this.#producers.removeSeenBefore(this.#dependencies.clock.nowMs() - idleMs);
  }

  /** Resolves when all that was appended before is durable. Throws KafkaError KAFKA_STORAGE_ERROR. */
  async flush(): Promise<void> {
    this.refuseUnlessUsable();
    await this.#writer.flush(this.#logEndOffset);
  }

  /**
   * Takes no more batches, writes and syncs what there is, and leaves the directory so that the next
   * start with `isClean` need not scan it. After a failure it only closes the files. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close(true);
    return this.#closing;
  }

  /** Closes the files and leaves the rest as it is: the log is deleted, or moved aside. */
  abandon(): Promise<void> {
    this.#closing ??= this.#close(false);
    return this.#closing;
  }

  /** Its directory is offline because another file in it has failed (R9). */
  fail(error: DiskError): void {
    this.#writer.fail(error);
  }

  async #close(isOrderly: boolean): Promise<void> {
    this.#isClosed = true;
    try {
      if (isOrderly) await this.#settle();
    } finally {
      this.#writer.stop();
      this.#tail.clear();
      await this.#writer.quiet();
      await Promise.all(this.segments.list.map((segment) => segment.close()));
    }
  }

  async #settle(): Promise<void> {
    await this.#writer.settle();
    const active = this.segments.active;
    if (this.failure !== null || !active.isCreated) return;
    try {
      if (active.sizeBytes > 0) await active.storeIndexes(true, true);
      await this.#writeSnapshot();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#writer.fail(error);
    }
  }

  /** Not synced: if a power cut after the stop damages it, the next start scans more, no harm done. */
  async #writeSnapshot(): Promise<void> {
    if (this.#snapshotOffset === this.#logEndOffset) return;
    const path = `${this.directory}/${offsetFileName(this.#logEndOffset, ".snapshot")}`;
    const file = await this.#dependencies.disk.open(path, { create: true, truncate: true });
    try {
      await file.writev([encodeProducerSnapshot(this.#producers.snapshot())], 0);
    } finally {
      await file.close();
    }
  }

  #checkClientBatch(batch: Buffer, nowMs: number): void {
    if (batch.length > this.#config.segmentBytes) {
      throw new KafkaError(
        "RECORD_LIST_TOO_LARGE",
        `the batch has ${batch.length} bytes, a segment has at most ${this.#config.segmentBytes}`,
      );
    }
    const timestampMs = batchMaxTimestamp(batch);
    if (this.#config.timestampType === "LogAppendTime" || timestampMs < 0) return;
    const { timestampBeforeMaxMs, timestampAfterMaxMs } = this.#config;
    if (nowMs - timestampMs > timestampBeforeMaxMs || timestampMs - nowMs > timestampAfterMaxMs) {
      throw new KafkaError(
        "INVALID_TIMESTAMP",
        `timestamp ${timestampMs} is not within ${timestampBeforeMaxMs} ms before and ` +
          `${timestampAfterMaxMs} ms after the broker's time ${nowMs}`,
      );
    }
  }

  #maybeRoll(batch: Buffer, lastOffset: number): boolean {
    const timestampMs = batchMaxTimestamp(batch);
    const next = { sizeBytes: batch.length, lastOffset, timestampMs };
    if (!this.segments.active.shouldRoll(next, this.#config)) return false;
    const bytes = encodeProducerSnapshot(this.#producers.snapshot());
    this.segments.active.roll({ offset: this.#logEndOffset, bytes });
    this.#snapshotOffset = this.#logEndOffset;
    this.segments.push(this.#newSegment());
    return true;
  }

  #newSegment(): Segment {
    return Segment.active(this.#segmentDependencies, {
      directory: this.directory,
      baseOffset: this.#logEndOffset,
      indexIntervalBytes: this.#config.indexIntervalBytes,
    });
  }

  async #syncFiles(): Promise<boolean> {
    const { disk } = this.#dependencies;
    let isRenamed = false;
    if (this.#epochs.isDirty) {
      const content = encodeEpochCheckpoint(this.#epochs.entries);
      this.#epochs.markWritten();
      await replaceFile(disk, `${this.directory}/${EPOCH_CHECKPOINT}`, content);
      isRenamed = true;
    }
    if (!this.#isDirectoryDurable && this.#options.topicId !== undefined) {
      const file = await disk.open(`${this.directory}/${PARTITION_METADATA}`);
      try {
        await file.datasync();
      } finally {
        await file.close();
      }
    }
    return isRenamed;
  }

  async #syncNames(): Promise<void> {
    const own = this.#dependencies.disk.syncDir(this.directory);
    await (this.#isDirectoryDurable ? own : Promise.all([own, this.#parentSync.sync()]));
    this.#isDirectoryDurable = true;
  }

  #onFailure(error: DiskError): void {
    this.#dependencies.logger.error({ directory: this.directory, error }, "the log has failed");
    this.#tail.clear();
    this.#options.onFailure?.(error);
    this.#listener?.onFailure(error);
  }

  /** Throws KafkaError KAFKA_STORAGE_ERROR, NOT_LEADER_OR_FOLLOWER (closed). */
  refuseUnlessUsable(): void {
    if (this.failure !== null) {
      throw new KafkaError("KAFKA_STORAGE_ERROR", this.failure.message, { cause: this.failure });
    }
    if (this.#isClosed) throw new KafkaError("NOT_LEADER_OR_FOLLOWER", "the log is closed");
  }
}
