import { DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { Mailbox } from "../base/mailbox.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { LogConfig } from "../storage/log.ts";
import type { PartitionLog } from "./partition-log.ts";
import { truncationOffset } from "./reconcile.ts";
import { batchesOf, type ReplicatedBatch } from "./replicated-batches.ts";
import type { FollowerAnswer, Frame, ReplicaPosition } from "./replication-messages.ts";
import type { FollowedLog } from "./replication-ports.ts";

export interface FollowedPartitionDependencies {
  readonly logger: Logger;
  /** Notes, durably, how far the log is durable. Throws KafkaError. */
  readonly checkpointRecoveryPoint: (log: PartitionLog) => Promise<void>;
  /** Its log has failed: nothing can be taken in. */
  readonly onFailed: (partition: FollowedPartition) => void;
  /** Its log has healed: it may be followed again. */
  readonly onReady: (partition: FollowedPartition) => void;
}

/**
 * One partition that this node follows: its log becomes what the leader's is. All that changes it is synchronous, but for
 * what cuts the log, and nothing is taken in meanwhile. Nobody reads it here, and nothing is acknowledged.
 */
export class FollowedPartition implements FollowedLog {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid;
  readonly leaderEpoch: number;
  /** -1: nobody leads. */
  readonly leaderId: number;
  readonly #dependencies: FollowedPartitionDependencies;
  #log: PartitionLog;
  #highWatermark: number;
  #onProgress: (() => void) | null = null;
  /** Cuts, one at a time. */
  readonly #cuts = new Mailbox();
  #isClosed = false;
  /** Before the gap that a compaction of the leader has left, and that no checkpoint covers yet; null: none. */
  #gapOffset: number | null = null;
  #gapEndOffset = 0;
  #isSettlingGap = false;

  constructor(
    log: PartitionLog,
    identity: {
      readonly topic: string;
      readonly partitionIndex: number;
      readonly topicId: Uuid;
      readonly leaderId: number;
      readonly leaderEpoch: number;
    },
    highWatermark: number,
    dependencies: FollowedPartitionDependencies,
  ) {
    this.topic = identity.topic;
    this.partitionIndex = identity.partitionIndex;
    this.topicId = identity.topicId;
    this.leaderId = identity.leaderId;
    this.leaderEpoch = identity.leaderEpoch;
    this.#dependencies = dependencies;
    this.#log = log;
    this.#highWatermark = highWatermark;
    this.#highWatermark = this.#withinLog(highWatermark);
    this.#listen();
  }

  get log(): PartitionLog {
    return this.#log;
  }

  /** As far as this node has heard of it: never above its own log's end. */
  get highWatermark(): number {
    return this.#highWatermark;
  }

  get position(): ReplicaPosition {
    const { logStartOffset, logEndOffset, latestLeaderEpoch } = this.#log;
    // An epoch that has no record left says nothing about what comes next.
    const lastFetchedEpoch = logEndOffset > logStartOffset ? latestLeaderEpoch : -1;
    return { fetchOffset: logEndOffset, lastFetchedEpoch, logStartOffset };
  }

  get receivedOffset(): number {
    return this.#log.writtenEndOffset;
  }

  /**
   * Recovery takes a gap in the offsets for damage, unless it lies below the recovery point: so what comes behind one counts when a
   * checkpoint covers it.
   */
  get safeOffset(): number {
    return Math.min(this.#log.safeEndOffset, this.#gapOffset ?? Infinity);
  }

  takeIn(frame: Frame): "taken" | "failed" | Promise<void> {
    const log = this.#log;
    if (log.failure !== null || this.#isClosed) return "failed";
    const batches = batchesOf(frame.records, frame);
    if (batches === null || this.#cuts.depth > 0) return this.#cuts.run(() => Promise.resolve());
    const [first] = batches;
    if (first !== undefined && first.baseOffset < log.logEndOffset) return this.#beginAt(first);
    if (!this.#append(batches)) return Promise.resolve();
    const highWatermark = Math.min(frame.highWatermark, log.logEndOffset);
    this.#highWatermark = Math.max(this.#highWatermark, highWatermark);
    this.#followLogStart(frame.logStartOffset);
    return "taken";
  }

  async settle(answer: FollowerAnswer): Promise<"now" | "later" | "never"> {
    if (this.#isClosed) return "never";
    switch (answer.kind) {
      case "diverging": {
        const { logEndOffset } = this.#log;
        const offset = truncationOffset(this.#log, answer);
        if (offset === logEndOffset) return "later";
        return await this.#cut(offset);
      }
      case "outOfRange":
        return await this.#restartAt(answer.logStartOffset);
      case "refused":
        // The leader has not heard yet that it leads, or its disk has no room.
        return answer.error === "FENCED_LEADER_EPOCH" ? "never" : "later";
    }
  }

  setProgressListener(listener: (() => void) | null): void {
    this.#onProgress = listener;
  }

  updateConfig(config: LogConfig): void {
    this.#log.updateConfig(config);
  }

  /** Goes on with the log in another place. Only the manager calls it, and follows anew then. */
  replaceLog(log: PartitionLog, config: LogConfig): void {
    this.#log = log;
    log.updateConfig(config);
    this.#listen();
  }

  /**
   * Takes nothing in any more; resolves when nothing is cut any more, and a checkpoint covers what came behind a gap: whoever has
   * the log next knows nothing of it. Idempotent.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#onProgress = null;
    await this.#cuts.close();
    if (this.#gapOffset !== null) await this.#coverGap(this.#log);
  }

  #listen(): void {
    this.#log.setListener({
      onAdvance: () => this.#advanced(),
      onFailure: () => this.#dependencies.onFailed(this),
      onHealed: () => {
        if (this.#isClosed) return;
        this.#highWatermark = this.#withinLog(this.#highWatermark);
        this.#dependencies.onReady(this);
      },
    });
  }

  #advanced(): void {
    if (this.#gapOffset !== null) this.#settleGap();
    this.#onProgress?.();
  }

  /** false: one of them does not come behind the log's end, or is of an older epoch. */
  #append(batches: readonly ReplicatedBatch[]): boolean {
    const log = this.#log;
    for (const { baseOffset, leaderEpoch, bytes } of batches) {
      const { logEndOffset } = log;
      if (baseOffset < logEndOffset || leaderEpoch < log.latestLeaderEpoch) return false;
      log.appendReplicated(bytes);
      if (baseOffset === logEndOffset) continue;
      this.#gapOffset ??= logEndOffset;
      this.#gapEndOffset = log.logEndOffset;
    }
    return true;
  }

  /** Once all that came behind the gap is written, a checkpoint is made that covers it. */
  #settleGap(): void {
    if (this.#isClosed || this.#isSettlingGap) return;
    if (this.#log.writtenEndOffset < this.#gapEndOffset) return;
    this.#isSettlingGap = true;
    const coveredOffset = this.#gapEndOffset;
    void this.#coverGap(this.#log).then((isCovered) => {
      this.#isSettlingGap = false;
      if (!isCovered) return;
      if (this.#gapEndOffset === coveredOffset) this.#gapOffset = null;
      this.#advanced();
    });
  }

  /** false: the log has failed, or was closed, and others are told. */
  async #coverGap(log: PartitionLog): Promise<boolean> {
    try {
      await log.flush();
      await this.#dependencies.checkpointRecoveryPoint(log);
      return true;
    } catch (error) {
      if (!isStorage(error)) throw error;
      return false;
    }
  }

  /** What the leader has deleted goes here, too, as far as it is committed (S13). */
  #followLogStart(logStartOffset: number): void {
    const log = this.#log;
    const offset = Math.min(logStartOffset, this.#highWatermark);
    if (offset <= log.logStartOffset) return;
    void log.advanceLogStartOffset(offset).catch((error: unknown) => {
      if (!isStorage(error)) throw error;
    });
  }

  /** The leader's log starts within a batch, and an empty one has to begin where that does. */
  #beginAt({ baseOffset, nextOffset }: ReplicatedBatch): Promise<void> {
    const { logStartOffset, logEndOffset } = this.#log;
    const isEmpty = logStartOffset === logEndOffset;
    if (!isEmpty || nextOffset <= logEndOffset) return Promise.resolve();
    return this.#restartAt(baseOffset).then(() => undefined);
  }

  #restartAt(offset: number): Promise<"now" | "later" | "never"> {
    return this.#change("begins anew", offset, (log) => log.truncateFullyAndStartAt(offset));
  }

  #cut(offset: number): Promise<"now" | "later" | "never"> {
    return this.#change("is cut", offset, (log) =>
      offset < log.logStartOffset ? log.truncateFullyAndStartAt(offset) : log.truncateTo(offset),
    );
  }

  async #change(
    what: string,
    offset: number,
    change: (log: PartitionLog) => Promise<void>,
  ): Promise<"now" | "later" | "never"> {
    const { topic, partitionIndex, leaderId, leaderEpoch } = this;
    const { logger } = this.#dependencies;
    return await this.#cuts.run(async () => {
      const { logEndOffset } = this.#log;
      const highWatermark = this.#highWatermark;
      const facts = {
        topic,
        partitionIndex,
        leaderId,
        leaderEpoch,
        offset,
        logEndOffset,
        highWatermark,
      };
      // Committed records go only after an unclean election, or when the leader has deleted them.
      if (offset < highWatermark) logger.warn(facts, `the log ${what} below its high watermark`);
      else logger.info(facts, `the log ${what} where it parts from its leader's`);
      try {
        await change(this.#log);
      } catch (error) {
        if (!isStorage(error)) throw error;
        return "never";
      }
      this.#gapOffset = null;
      this.#highWatermark = this.#withinLog(this.#highWatermark);
      return "now";
    });
  }

  #withinLog(highWatermark: number): number {
    const { logStartOffset, logEndOffset } = this.#log;
    return Math.min(Math.max(highWatermark, logStartOffset), logEndOffset);
  }
}

function isStorage(error: unknown): boolean {
  return error instanceof KafkaError || error instanceof DiskError;
}
