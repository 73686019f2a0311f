import { assert } from "../base/assert.ts";
import { DiskError } from "../base/disk.ts";
import type { Offload } from "../base/offload.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
  batchSizeBytes,
  stampBatch,
  stampLogAppendTime,
} from "../protocol/records/batch.ts";
import { DirectorySync } from "./directory-sync.ts";
import type {
  LogAppendOptions,
  LogAppendResult,
  LogConfig,
  LogDependencies,
  LogListener,
  LogOptions,
  LogReadOptions,
  LogReadResult,
  SegmentSummary,
  TimestampedOffset,
} from "./log-config.ts";
import { LogChanges } from "./log-changes.ts";
import { emptyLog } from "./log-creation.ts";
import { LogReads } from "./log-reads.ts";
import type { LogSegments } from "./log-segments.ts";
import { LogState, type LogStateDependencies } from "./log-state.ts";
import type { ProducerSnapshotEntry } from "./producer-snapshot.ts";
import { type RecoveredLog, recoverLog } from "./recovery.ts";
import { SegmentCache } from "./segment-cache.ts";
import type { Segment, SegmentDependencies } from "./segment.ts";
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
  readonly #dependencies: LogDependencies;
  readonly #segmentDependencies: SegmentDependencies;
  readonly #parentSync: DirectorySync;
  readonly #options: LogOptions;
  readonly #reads: LogReads;
  readonly #tail: LogTail;
  readonly #changes: LogChanges;
  #config: LogConfig;
  #listener: LogListener | null = null;
  #state: LogState;
  #closing: Promise<void> | null = null;
  #isClosed = false;

  private constructor(
    dependencies: LogDependencies,
    segmentDependencies: SegmentDependencies,
    parentSync: DirectorySync,
    options: LogOptions,
    recovered: RecoveredLog,
  ) {
    this.#dependencies = dependencies;
    this.#segmentDependencies = segmentDependencies;
    this.#parentSync = parentSync;
    this.#options = options;
    this.directory = options.directory;
    this.#config = options.config;
    const tailCache = dependencies.tailCache ?? new TailCache({ capacityBytes: 0 });
    this.#tail = tailCache.open(() => this.writtenEndOffset);
    this.#reads = new LogReads(dependencies.clock, this, this.#tail);
    this.#changes = this.#changesOf();
    this.#state = this.#newState(recovered, {
      logStartOffset: options.logStartOffset ?? 0,
      isDirectoryDurable: options.isClean === true && recovered.segments.length > 0,
    });
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
    const parentPath = options.directory.slice(0, options.directory.lastIndexOf("/")) || "/";
    const parentSync = dependencies.parentSync ?? new DirectorySync(disk, parentPath);
    const recovered =
      options.isNew === true ? emptyLog(options) : await recoverLog(segmentDependencies, options);
    const log = new Log(dependencies, segmentDependencies, parentSync, options, recovered);
    await log.#state.measure();
    if (recovered.flushedEndOffset < recovered.logEndOffset) await log.flush();
    return log;
  }

  /** For those who read and maintain the log; it changes by the log's own methods. */
  get segments(): LogSegments {
    return this.#state.segments;
  }

  get config(): LogConfig {
    return this.#config;
  }

  get logStartOffset(): number {
    return this.#state.logStartOffset;
  }

  /** The offset that the next record gets. */
  get logEndOffset(): number {
    return this.#state.logEndOffset;
  }

  /** All below it is in the page cache: it survives the death of the process (R1). */
  get writtenEndOffset(): number {
    return this.#state.writer.writtenEndOffset;
  }

  /** All below it is synced: it survives a power cut. */
  get flushedEndOffset(): number {
    return this.#state.writer.flushedEndOffset;
  }

  /** Of batches that were appended and that no sync has covered: a power cut takes them. */
  get unsyncedBytes(): number {
    return this.#state.writer.unsyncedBytes;
  }

  /**
   * What the flush policy counts as safe now (R4). It steps back when data has waited too long for
   * its sync (flush.ms), so a high watermark takes the greatest value it has seen.
   */
  get safeEndOffset(): number {
    return this.#state.writer.safeEndOffset;
  }

  /** -1: nothing was ever appended. */
  get latestLeaderEpoch(): number {
    return this.#state.epochs.latestEpoch;
  }

  /**
   * Set once a write or sync has failed, or when the log was found damaged: for ever (R9), unless there
   * was no room and `heal` finds that there is again.
   */
  get failure(): DiskError | null {
    return this.#state.failure;
  }

  /** Where its segments begin, oldest first. */
  get segmentBaseOffsets(): readonly number[] {
    return this.segments.list.map((segment) => segment.baseOffset);
  }

  /** Of all segments, with what is not written yet. */
  get sizeBytes(): number {
    return this.segments.list.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  }

  /** Oldest first. Throws as `read` does. */
  async segmentSummaries(): Promise<readonly SegmentSummary[]> {
    return await this.#reads.segmentSummaries();
  }

  /** What a snapshot taken now holds. */
  producerEntries(): readonly ProducerSnapshotEntry[] {
    return this.#state.producers.snapshot();
  }

  /** One listener; a new one replaces it. */
  setListener(listener: LogListener): void {
    this.#listener = listener;
  }

  updateConfig(config: LogConfig): void {
    this.#config = config;
    this.#state.updateConfig(config);
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
    assert(!this.#changes.isCutting, "nothing is appended to a log while it is cut");
    assert(batch.length === batchSizeBytes(batch), "one whole batch is appended");
    const isStamped = options.origin === "client" && this.#config.timestampType === "LogAppendTime";
    const nowMs = this.#dependencies.clock.wallMs();
    if (options.origin === "client") this.#checkClientBatch(batch, nowMs);
    const duplicate = this.#state.producers.check(batch);
    if (duplicate !== null) {
      return {
        kind: "duplicate",
        baseOffset: duplicate.baseOffset,
        lastOffset: duplicate.lastOffset,
        logAppendTimeMs: isStamped ? duplicate.timestampMs : -1,
        logStartOffset: this.logStartOffset,
      };
    }
    const baseOffset = this.logEndOffset;
    stampBatch(batch, 0, baseOffset, options.leaderEpoch);
    if (isStamped) stampLogAppendTime(batch, 0, nowMs);
    const lastOffset = batchLastOffset(batch);
    this.#state.append(batch, this.#tail.add(batch, lastOffset + 1), options.leaderEpoch);
    return {
      kind: "appended",
      baseOffset,
      lastOffset,
      logAppendTimeMs: isStamped ? nowMs : -1,
      logStartOffset: this.logStartOffset,
    };
  }

  /**
   * Appends one whole batch as the leader's log has it, synchronously, with the offsets and the leader epoch
   * that are in it, and copies it. Its CRC was checked. It begins at the log's end, or above it where the
   * leader's log was compacted, and no epoch falls. Throws KafkaError KAFKA_STORAGE_ERROR,
   * NOT_LEADER_OR_FOLLOWER (closed).
   */
  appendReplicated(batch: Buffer): void {
    this.refuseUnlessUsable();
    assert(!this.#changes.isCutting, "nothing is appended to a log while it is cut");
    assert(batch.length === batchSizeBytes(batch), "one whole batch is appended");
    assert(batchBaseOffset(batch) >= this.logEndOffset, "a log's offsets increase (S1)");
    const endOffset = batchLastOffset(batch) + 1;
    this.#state.append(batch, this.#tail.add(batch, endOffset), batchLeaderEpoch(batch));
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
    return this.#state.epochs.epochAt(offset);
  }

  /** Kafka's answer to OffsetForLeaderEpoch (KIP-101, KIP-279); both -1 when there is none. */
  endOffsetForEpoch(epoch: number): { leaderEpoch: number; endOffset: number } {
    return this.#state.epochs.endOffsetFor(epoch, this.logEndOffset);
  }

  /**
   * Where the oldest transaction begins that is open, or whose marker lies at or above the high
   * watermark; null: there is none, all below the high watermark is stable (X7).
   */
  firstUnstableOffset(highWatermark: number): number | null {
    return this.#state.producers.firstUnstableOffset(highWatermark);
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

  /** The greatest producer id that any of its batches since the oldest producer snapshot has, or -1. */
  get greatestProducerId(): number {
    return this.#state.producers.greatestProducerId;
  }

  /** Forgets idempotent producers that have not been heard of for so long. */
  expireProducers(idleMs: number): void {
    this.#state.producers.removeSeenBefore(this.#dependencies.clock.nowMs() - idleMs);
  }

  /** Resolves when all that was appended before is durable. Throws KafkaError KAFKA_STORAGE_ERROR. */
  async flush(): Promise<void> {
    this.refuseUnlessUsable();
    await this.#state.writer.flush(this.logEndOffset);
  }

  /**
   * Takes no more batches, writes and syncs what there is, and leaves the directory so that the next
   * start with `isClean` need not scan it. After a failure it only closes the files. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close(true);
    return this.#closing;
  }

  /**
   * Closes the files and leaves the rest as it is: the log is deleted, or moved aside. Who waits for a
   * flush is refused with NOT_LEADER_OR_FOLLOWER.
   */
  abandon(): Promise<void> {
    this.#closing ??= this.#close(false);
    return this.#closing;
  }

  /** Its directory is offline because another file in it has failed (R9). */
  fail(error: DiskError): void {
    this.#state.writer.fail(error);
  }

  /** Begins a new segment now, whose file is made at once; false when the active one is empty. */
  rollSegment(): boolean {
    this.refuseUnlessUsable();
    return !this.#changes.isCutting && this.#state.maybeRoll();
  }

  /**
   * Moves the log's start up to the offset: readers see it at once. Whole inactive segments below it go;
   * their files are removed after file.delete.delay.ms. When it resolves no crash brings those back; the
   * manager's checkpoint does so for the rest. The caller has checked it against the high watermark (S13).
   * Throws KafkaError KAFKA_STORAGE_ERROR.
   */
  async advanceLogStartOffset(offset: number): Promise<void> {
    this.refuseUnlessUsable();
    if (offset <= this.logStartOffset) return;
    assert(offset <= this.logEndOffset, "a log starts within its bounds (S12)");
    this.#state.logStartOffset = offset;
    await this.removeSegmentsBelow(offset, "records were deleted");
  }

  /**
   * Retention: removes the inactive segments that end at or below the offset, and moves the log's start
   * behind them. Returns how many. The rest is as with `advanceLogStartOffset`.
   */
  removeSegmentsBelow(offset: number, reason: string): Promise<number> {
    return this.#changes.removeSegmentsBelow(offset, reason);
  }

  /**
   * Takes what a compaction has made of some segments for them (S14, S15). `putInPlace` moves the files,
   * while nobody reads the old ones, and returns those that wait for their removal. false: one of the
   * segments is no longer there. Throws KafkaError KAFKA_STORAGE_ERROR.
   */
  replaceSegments(
    old: readonly Segment[],
    putInPlace: () => Promise<readonly string[]>,
  ): Promise<boolean> {
    return this.#changes.replaceSegments(old, putInPlace);
  }

  /**
   * Runs the task when no change of the segments goes on, and lets none begin before it is over: no
   * truncation above all. Throws what the task throws, and KafkaError KAFKA_STORAGE_ERROR.
   */
  undisturbed<T>(task: () => Promise<T>): Promise<T> {
    return this.#changes.undisturbed(task);
  }

  /**
   * Cuts off all batches that reach the offset or lie beyond it, durably, so that no power cut brings
   * them back. Afterwards the log's end is where the last batch that stays ends, and producers and leader
   * epochs are as they were there (S10, S11). The partition's one writer calls it and appends nothing
   * meanwhile. Throws KafkaError KAFKA_STORAGE_ERROR.
   */
  truncateTo(endOffset: number): Promise<void> {
    return this.#changes.truncateTo(endOffset);
  }

  /** Removes all there is, durably; the log is empty and goes on at the offset. Else as `truncateTo`. */
  truncateFullyAndStartAt(offset: number): Promise<void> {
    return this.#changes.truncateFullyAndStartAt(offset);
  }

  /**
   * After a failure for want of room: forgets what is in memory, recovers the directory in place, and
   * the log takes batches again. Whoever waited for what was not written has been refused. Does nothing
   * unless the log has failed. Throws DiskError, and the log stays failed: the failure itself when it is
   * final (R9), or what went wrong now.
   */
  async heal(): Promise<void> {
    if (this.failure === null || this.#isClosed) return;
    if (await this.#changes.heal()) this.#listener?.onHealed?.();
  }

  #changesOf(): LogChanges {
    const { timers } = this.#dependencies;
    const dependencies = { ...this.#segmentDependencies, timers, parentSync: this.#parentSync };
    return new LogChanges(dependencies, {
      state: () => this.#state,
      config: () => this.#config,
      options: this.#options,
      refuseUnlessUsable: () => this.refuseUnlessUsable(),
      newState: (recovered, options) => this.#newState(recovered, options),
      adopt: (state) => {
        this.#tail.clear();
        this.#state = state;
      },
      forgetCachedBelow: (offset) => {
        this.#tail.forgetBelow(offset);
      },
    });
  }

  #newState(
    recovered: RecoveredLog,
    options: { readonly logStartOffset: number; readonly isDirectoryDurable: boolean },
  ): LogState {
    const dependencies: LogStateDependencies = {
      ...this.#segmentDependencies,
      timers: this.#dependencies.timers,
      parentSync: this.#parentSync,
      random: this.#dependencies.random,
      // Of one that has been replaced, or is not in its place yet, nobody needs to hear.
      onAdvance: () => {
        if (this.#state === state) this.#listener?.onAdvance();
      },
      onFailure: (error) => {
        if (this.#state === state) this.#onFailure(error);
      },
    };
    const { directory, topicId } = this.#options;
    const state: LogState = new LogState(
      dependencies,
      { directory, topicId, config: this.#config, ...options },
      recovered,
    );
    return state;
  }

  async #close(isOrderly: boolean): Promise<void> {
    this.#isClosed = true;
    // Whoever is in the middle of a change must not wait for a sync that we no longer want.
    if (!isOrderly) this.#state.writer.stop();
    await this.#changes.close();
    try {
      if (isOrderly) await this.#settle();
    } finally {
      await this.#state.release();
      this.#tail.clear();
    }
  }

  async #settle(): Promise<void> {
    await this.#state.writer.settle();
    if (this.failure !== null) return;
    try {
      await this.#state.storeEnd();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#state.writer.fail(error);
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
