import { assert } from "../base/assert.ts";
import { DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import { type Random, randomBelow } from "../base/random.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { KafkaError } from "../protocol/errors.ts";
import { batchBaseOffset, batchLastOffset, batchMaxTimestamp } from "../protocol/records/batch.ts";
import { replaceFile } from "./atomic-file.ts";
import { encodeEpochCheckpoint } from "./checkpoint.ts";
import type { DirectorySync } from "./directory-sync.ts";
import { EPOCH_CHECKPOINT, offsetFileName } from "./file-names.ts";
import type { LeaderEpochs } from "./leader-epochs.ts";
import type { LogConfig } from "./log-config.ts";
import { makeLogDirectory } from "./log-creation.ts";
import { LogSegments } from "./log-segments.ts";
import { LogWriter } from "./log-writer.ts";
import { encodeProducerSnapshot } from "./producer-snapshot.ts";
import type { ProducerState } from "./producer-state.ts";
import type { RecoveredLog } from "./recovery.ts";
import { Segment, type SegmentDependencies } from "./segment.ts";

export interface LogStateDependencies extends SegmentDependencies {
  readonly timers: TimerQueue;
  readonly parentSync: DirectorySync;
  /** For segment.jitter.ms; undefined: none. */
  readonly random: Random | undefined;
  readonly onAdvance: () => void;
  readonly onFailure: (error: DiskError) => void;
}

export interface LogStateOptions {
  readonly directory: string;
  readonly topicId: Uuid | undefined;
  readonly config: LogConfig;
  readonly logStartOffset: number;
  /** Whether the directory and its partition.metadata are known to be there, and durable. */
  readonly isDirectoryDurable: boolean;
}

/**
 * What a log is in memory from one recovery to the next: its segments, what is derived from their
 * batches, and the writer. A truncation and the healing after a full disk make a new one from the files.
 */
export class LogState {
  readonly segments: LogSegments;
  readonly epochs: LeaderEpochs;
  readonly producers: ProducerState;
  readonly writer: LogWriter;
  /** Invariant: logStartOffset <= flushedEndOffset <= writtenEndOffset <= logEndOffset (S12). */
  logStartOffset: number;
  logEndOffset: number;

  readonly #dependencies: LogStateDependencies;
  readonly #directory: string;
  readonly #topicId: Uuid | undefined;
  #config: LogConfig;
  #snapshotOffset = -1;
  #isDirectoryDurable: boolean;

  constructor(
    dependencies: LogStateDependencies,
    options: LogStateOptions,
    recovered: RecoveredLog,
  ) {
    this.#dependencies = dependencies;
    this.#directory = options.directory;
    this.#topicId = options.topicId;
    this.#config = options.config;
    this.#isDirectoryDurable = options.isDirectoryDurable;
    this.epochs = recovered.epochs;
    this.producers = recovered.producers;
    this.logEndOffset = recovered.logEndOffset;
    const firstBase = recovered.segments[0]?.baseOffset ?? recovered.logEndOffset;
    const startOffset = Math.max(options.logStartOffset, firstBase);
    this.logStartOffset = Math.min(startOffset, recovered.logEndOffset);
    this.segments = new LogSegments(
      recovered.segments.length > 0 ? recovered.segments : [this.#newSegment()],
    );
    this.segments.active.rollJitterMs = this.#rollJitterMs();
    this.writer = new LogWriter(
      {
        clock: dependencies.clock,
        timers: dependencies.timers,
        hasDirtyFiles: () => this.epochs.isDirty,
        syncFiles: () => this.#syncFiles(),
        syncNames: () => this.syncNames(),
        onAdvance: dependencies.onAdvance,
        onFailure: dependencies.onFailure,
      },
      {
        segment: this.segments.active,
        endOffset: recovered.logEndOffset,
        flushedEndOffset: recovered.flushedEndOffset,
        hasNewNames: !options.isDirectoryDurable,
        config: options.config,
      },
    );
  }

  get failure(): DiskError | null {
    return this.writer.failure;
  }

  get isDirectoryDurable(): boolean {
    return this.#isDirectoryDurable;
  }

  updateConfig(config: LogConfig): void {
    this.#config = config;
    this.segments.active.indexIntervalBytes = config.indexIntervalBytes;
    this.writer.updateConfig(config);
  }

  /** Takes a stamped batch at the log's end. `bytes` are the same, in memory that stays. */
  append(batch: Buffer, bytes: Buffer, leaderEpoch: number): void {
    const lastOffset = batchLastOffset(batch);
    assert(lastOffset >= this.logEndOffset, "a batch has an offset at least");
    const timestampMs = batchMaxTimestamp(batch);
    const next = { sizeBytes: batch.length, lastOffset, timestampMs };
    if (this.segments.active.shouldRoll(next, rollLimits(this.#config))) this.#roll();
    this.epochs.assign(leaderEpoch, batchBaseOffset(batch));
    const completed = this.producers.update(batch, 0, this.#dependencies.clock.nowMs());
    const { active } = this.segments;
    active.add(batch);
    if (completed?.isAborted === true) active.noteAborted(completed);
    this.logEndOffset = lastOffset + 1;
    this.writer.write(active, bytes, lastOffset + 1);
  }

  /** Begins a new segment, whose file is made at once, unless the active one is empty. */
  maybeRoll(): boolean {
    if (this.segments.active.sizeBytes === 0) return false;
    this.#roll();
    this.writer.begin(this.segments.active);
    return true;
  }

  /**
   * Writes, syncs and finishes all that was appended; nothing may be appended meanwhile. Throws DiskError,
   * and KafkaError NOT_LEADER_OR_FOLLOWER when the log is closed before.
   */
  async settle(): Promise<void> {
    await this.writer.settle();
    if (this.failure !== null) throw this.failure;
    if (this.writer.isStopped) {
      throw new KafkaError("NOT_LEADER_OR_FOLLOWER", "the log is closed");
    }
  }

  /** Leaves the files so that a clean start need not scan them. Throws DiskError. */
  async storeEnd(): Promise<void> {
    const { active } = this.segments;
    if (!active.isCreated) return;
    // Kafka believes the mark of a clean stop, and would append behind the zeros.
    if (await active.trim()) await active.datasync();
    if (active.sizeBytes > 0) await active.storeIndexes(true, true);
    // Not synced: if a power cut after the stop damages it, the next start scans more, no harm done.
    if (this.#snapshotOffset === this.logEndOffset) return;
    const path = `${this.#directory}/${offsetFileName(this.logEndOffset, ".snapshot")}`;
    const file = await this.#dependencies.disk.open(path, { create: true, truncate: true });
    try {
      await file.writev([encodeProducerSnapshot(this.producers.snapshot())], 0);
    } finally {
      await file.close();
    }
  }

  /** Finds out the sizes of segments that were not scanned. Throws DiskError. */
  async measure(): Promise<void> {
    await Promise.all(this.segments.list.map((segment) => segment.measure()));
  }

  /** Resolves when nothing of it reaches the disk any more and its files are closed. */
  async release(): Promise<void> {
    this.writer.stop();
    await this.writer.quiet();
    await Promise.all(this.segments.list.map((segment) => segment.close()));
  }

  /** Makes the directory, if it is not there, and the names of the files in it durable. Throws DiskError. */
  async syncNames(): Promise<void> {
    const { disk, parentSync } = this.#dependencies;
    const directory = this.#directory;
    // No segment was ever made in a directory that was not durable.
    if (this.#isDirectoryDurable || this.#hasFiles) await disk.syncDir(directory);
    else await makeLogDirectory(disk, directory, { topicId: this.#topicId, parentSync });
    this.#isDirectoryDurable = true;
  }

  #roll(): void {
    const bytes = encodeProducerSnapshot(this.producers.snapshot());
    this.segments.active.roll({ offset: this.logEndOffset, bytes });
    this.#snapshotOffset = this.logEndOffset;
    const segment = this.#newSegment();
    segment.rollJitterMs = this.#rollJitterMs();
    this.segments.push(segment);
  }

  #newSegment(): Segment {
    return Segment.active(this.#dependencies, {
      directory: this.#directory,
      baseOffset: this.logEndOffset,
      indexIntervalBytes: this.#config.indexIntervalBytes,
    });
  }

  #rollJitterMs(): number {
    const { segmentJitterMs, segmentMs } = this.#config;
    const { random } = this.#dependencies;
    const boundMs = Math.min(segmentJitterMs, segmentMs, 2 ** 32);
    return boundMs > 0 && random !== undefined ? randomBelow(random, boundMs) : 0;
  }

  async #syncFiles(): Promise<boolean> {
    const isDirty = this.epochs.isDirty;
    if (isDirty) {
      const content = encodeEpochCheckpoint(this.epochs.entries);
      this.epochs.markWritten();
      await replaceFile(this.#dependencies.disk, `${this.#directory}/${EPOCH_CHECKPOINT}`, content);
    }
    return isDirty;
  }

  get #hasFiles(): boolean {
    return this.segments.list.some((segment) => segment.isCreated);
  }
}

/** A compacted topic rolls in time for its greatest compaction lag (KIP-354). */
function rollLimits(config: LogConfig): LogConfig {
  const { cleanupPolicy, segmentMs, maxCompactionLagMs } = config;
  if (!cleanupPolicy.compacts || maxCompactionLagMs >= segmentMs) return config;
  return { ...config, segmentMs: maxCompactionLagMs };
}
