import { assert } from "../base/assert.ts";
import type { Uuid } from "../base/ids.ts";
import { Mailbox } from "../base/mailbox.ts";
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import type { Log, LogAppendResult, LogConfig } from "../storage/log.ts";
import { AckQueue, type AckSource, type AckWaiter, type RequiredAcks } from "./delayed.ts";
import { noTraffic, type Traffic } from "./traffic.ts";
import { UnexposedBytes } from "./unexposed-bytes.ts";
import { hasEnoughInsyncReplicas, type IsrSizes, nextHighWatermark } from "./high-watermark.ts";

/** What a partition needs of its log. */
export type PartitionLog = Pick<
  Log,
  | "abortedTransactions"
  | "advanceLogStartOffset"
  | "append"
  | "endOffsetForEpoch"
  | "failure"
  | "findByTimestamp"
  | "findMaxTimestamp"
  | "firstUnstableOffset"
  | "latestLeaderEpoch"
  | "leaderEpochAt"
  | "logEndOffset"
  | "logStartOffset"
  | "producerEntries"
  | "read"
  | "safeEndOffset"
  | "setListener"
  | "unsyncedBytes"
  | "updateConfig"
>;

/** What the controller decided about a partition, as of one leader epoch and partition epoch. */
export interface Leadership {
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly replicas: readonly number[];
  /** Committed by the controller. This replica is its only member until followers exist. */
  readonly isr: readonly number[];
}

/** A topic's settings as far as a partition obeys them. */
export interface PartitionConfig {
  readonly log: LogConfig;
  readonly minInsyncReplicas: number;
}

/** Who appends. Only clients are held to acks and the ISR's size; a coordinator always asks for all. */
export interface AppendOptions {
  readonly requiredAcks: RequiredAcks;
  readonly origin: "client" | "coordinator";
}

/** A parked reader. It is told synchronously, so it only takes a note and wakes later. */
export interface PartitionWatcher {
  /** The high watermark has moved over about `bytes`. */
  onExposed(bytes: number): void;
  /** The partition is led here no more, or its log has failed. Last call. */
  onEnd(): void;
}

/**
 * One partition that this node leads. All that changes it is synchronous and runs on the event loop
 * alone (one writer): appends in the order of the calls, advances when the log says so, the end of
 * leadership. Only the log's own promises lie between.
 */
export class Partition implements AckSource {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid;
  #log: PartitionLog;
  /** Since this replica leads. */
  readonly traffic: Traffic = noTraffic();
  #config: PartitionConfig;
  #leadership: Leadership;
  /** Of `#leadership` and `#config`. */
  #isrSizes: IsrSizes;
  #isLeader = true;
  /** Where the log ended when the leader epoch began. */
  #leaderEpochStartOffset: number;
  /** Invariant: logStartOffset <= highWatermark <= logEndOffset, and it never falls (S12, R-8). */
  #highWatermark: number;
  /** Clients' batches that are not ready yet, and all that came after them. */
  readonly #arrivals = new Mailbox();
  readonly #unexposed = new UnexposedBytes();
  #exposedBytes = 0;
  #onHealed: () => void = () => undefined;
  /** Wait for this replica's own safe position. */
  readonly #leaderAcks = new AckQueue();
  /** Wait for the high watermark. */
  readonly #allAcks = new AckQueue();
  readonly #watchers = new Set<PartitionWatcher>();

  /**
   * Takes over the log and leads from now on; `highWatermark` is the one that was checkpointed. Only
   * the manager calls it.
   */
  constructor(
    log: PartitionLog,
    identity: { readonly topic: string; readonly partitionIndex: number; readonly topicId: Uuid },
    leadership: Leadership,
    start: PartitionConfig & { readonly highWatermark: number },
  ) {
    checkLeadership(leadership);
    this.topic = identity.topic;
    this.partitionIndex = identity.partitionIndex;
    this.topicId = identity.topicId;
    this.#log = log;
    this.#leadership = leadership;
    this.#config = start;
    this.#isrSizes = isrSizesOf(leadership, start);
    this.#leaderEpochStartOffset = log.logEndOffset;
    // A power cut may have left the log shorter than the checkpoint says.
    this.#highWatermark = Math.min(
      Math.max(start.highWatermark, log.logStartOffset),
      log.logEndOffset,
    );
    this.#listen();
    this.#advance();
  }

  get log(): PartitionLog {
    return this.#log;
  }

  get leaderEpoch(): number {
    return this.#leadership.leaderEpoch;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  /** End of what is committed: clients never see a byte beyond it (S18). */
  get highWatermark(): number {
    return this.#highWatermark;
  }

  /** End of what read_committed sees: no transaction below it is open, or ends above the watermark (X7). */
  get lastStableOffset(): number {
    return this.log.firstUnstableOffset(this.#highWatermark) ?? this.#highWatermark;
  }

  get logStartOffset(): number {
    return this.log.logStartOffset;
  }

  get logEndOffset(): number {
    return this.log.logEndOffset;
  }

  /** Committed, and not synced here: what was acknowledged and a power cut would take from this replica. */
  get ackedUnsyncedBytes(): number {
    return Math.max(0, this.log.unsyncedBytes - this.#unexposed.totalBytes);
  }

  get isrSizes(): IsrSizes {
    return this.#isrSizes;
  }

  /** About how many bytes the high watermark has moved over since this replica leads. Never falls. */
  get exposedBytes(): number {
    return this.#exposedBytes;
  }

  get maxMessageBytes(): number {
    return this.#config.log.maxMessageBytes;
  }

  /**
   * Whether the high watermark is known to hold all that was committed before this leader epoch. Until
   * then "latest" would go backwards for clients of the leader before.
   */
  get isHighWatermarkKnown(): boolean {
    return this.#highWatermark >= this.#leaderEpochStartOffset;
  }

  /**
   * Why the partition does not serve a client that knows `currentLeaderEpoch` (-1: none), or null:
   * KAFKA_STORAGE_ERROR, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, NOT_LEADER_OR_FOLLOWER (KIP-320).
   */
  refusal(currentLeaderEpoch: number): ErrorName | null {
    if (this.log.failure !== null) return "KAFKA_STORAGE_ERROR";
    if (currentLeaderEpoch !== -1 && currentLeaderEpoch !== this.#leadership.leaderEpoch) {
      return currentLeaderEpoch < this.#leadership.leaderEpoch
        ? "FENCED_LEADER_EPOCH"
        : "UNKNOWN_LEADER_EPOCH";
    }
    return this.#isLeader ? null : "NOT_LEADER_OR_FOLLOWER";
  }

  /**
   * Appends synchronously: offsets are assigned and bytes queued when it returns. A client's batch has
   * been through validateClientBatch. Throws KafkaError: those of `refusal`, NOT_ENOUGH_REPLICAS (R6),
   * and what Log.append refuses; then nothing was appended. A repeat of an idempotent batch comes back as
   * "duplicate" with its old offsets, and must wait for its ack as the first did (X2).
   */
  append(batch: Buffer, options: AppendOptions): LogAppendResult {
    this.#refuseUnlessAppendable(options);
    const result = this.log.append(batch, {
      leaderEpoch: this.#leadership.leaderEpoch,
      origin: options.origin,
    });
    if (result.kind === "appended") {
      this.#unexposed.add(result.lastOffset + 1, batch.length);
      this.traffic.messagesIn += result.lastOffset - result.baseOffset + 1;
      this.traffic.bytesIn += batch.length;
    }
    return result;
  }

  /**
   * `append` of a batch that may have to be made ready first. Batches are appended in the order of the
   * calls, however long one takes; at once when nothing has to be waited for. Throws (or rejects) as
   * `append` and `prepare` do.
   */
  appendPrepared(
    prepare: (config: LogConfig) => Buffer | Promise<Buffer>,
    options: AppendOptions,
  ): LogAppendResult | Promise<LogAppendResult> {
    this.#refuseUnlessAppendable(options);
    if (this.#arrivals.depth > 0) {
      return this.#arrivals.run(async () => this.append(await prepare(this.#config.log), options));
    }
    const prepared = prepare(this.#config.log);
    if (!(prepared instanceof Promise)) return this.append(prepared, options);
    // Whether we still lead is looked at again when it is ready.
    return this.#arrivals.run(async () => this.append(await prepared, options));
  }

  /**
   * `append`, and a promise that settles when the ack may be given: it rejects with KafkaError
   * NOT_LEADER_OR_FOLLOWER or KAFKA_STORAGE_ERROR when it never may be. Who answers many partitions at
   * once uses `append` and an AckGroup instead.
   */
  appendAsLeader(
    batch: Buffer,
    options: AppendOptions,
  ): { readonly result: LogAppendResult; readonly acked: Promise<void> } {
    const result = this.append(batch, options);
    return { result, acked: this.#whenAcked(result.lastOffset + 1, options.requiredAcks) };
  }

  /** Resolves when the high watermark has reached `endOffset`; rejects as `appendAsLeader` does. */
  whenCommitted(endOffset: number): Promise<void> {
    return this.#whenAcked(endOffset, -1);
  }

  /** Settles the waiter once, at once if its mark is there already. */
  awaitAck(waiter: AckWaiter, requiredAcks: RequiredAcks): void {
    const refusal = this.refusal(-1);
    if (refusal !== null) {
      waiter.settle(new KafkaError(refusal));
    } else if (waiter.endOffset <= this.#mark(requiredAcks)) {
      waiter.settle(null);
    } else {
      this.#acks(requiredAcks).add(waiter);
    }
  }

  forgetAck(waiter: AckWaiter): void {
    this.#leaderAcks.remove(waiter);
    this.#allAcks.remove(waiter);
  }

  /** Tells the watcher of each advance until `unwatch`. False: there will be none, the partition ended. */
  watch(watcher: PartitionWatcher): boolean {
    if (this.refusal(-1) !== null) return false;
    this.#watchers.add(watcher);
    return true;
  }

  unwatch(watcher: PartitionWatcher): void {
    this.#watchers.delete(watcher);
  }

  /**
   * Deletes the records below the offset, -1: below the high watermark. They are out of sight before the
   * call returns; when the promise resolves, whole segments of them are gone for good, and the log's new
   * start has yet to be noted (the manager does both). Rejects with KafkaError: those of `refusal`,
   * POLICY_VIOLATION, OFFSET_OUT_OF_RANGE.
   */
  async deleteRecordsBefore(offset: number): Promise<void> {
    const refusal = this.refusal(-1);
    if (refusal !== null) throw new KafkaError(refusal);
    if (!this.#config.log.cleanupPolicy.deletes) {
      throw new KafkaError("POLICY_VIOLATION", "the topic's cleanup.policy has no delete");
    }
    const startOffset = offset === -1 ? this.#highWatermark : offset;
    // Records above it are nobody's yet (S13).
    if (startOffset < 0 || startOffset > this.#highWatermark) {
      const end = this.#highWatermark;
      throw new KafkaError("OFFSET_OUT_OF_RANGE", `offset ${offset} is not within 0 to ${end}`);
    }
    await this.log.advanceLogStartOffset(startOffset);
  }

  /**
   * Goes on with the log in another place; the one before was closed in order. Serves again then, in the same
   * leader epoch. Only the manager calls it.
   */
  replaceLog(log: PartitionLog): void {
    this.#log = log;
    log.updateConfig(this.#config.log);
    this.#listen();
    this.#healed();
  }

  /** Called when the partition serves again after its disk was full, or its log has moved. One; a new one replaces it. */
  setHealListener(onHealed: () => void): void {
    this.#onHealed = onHealed;
  }

  /** The controller's next decision that leaves this replica the leader. Only the manager calls it. */
  updateLeadership(leadership: Leadership): void {
    checkLeadership(leadership);
    assert(this.#isLeader, "a partition that ended does not lead again");
    assert(
      leadership.leaderEpoch >= this.#leadership.leaderEpoch,
      "leader epochs do not go back",
      () => ({ topic: this.topic, from: this.#leadership, to: leadership }),
    );
    if (leadership.leaderEpoch > this.#leadership.leaderEpoch) {
      this.#leaderEpochStartOffset = this.log.logEndOffset;
    }
    this.#leadership = leadership;
    this.#isrSizes = isrSizesOf(leadership, this.#config);
    this.#advance();
  }

  /** New settings of the topic. Only the manager calls it. */
  updateConfig(config: PartitionConfig): void {
    this.#config = config;
    this.#isrSizes = isrSizesOf(this.#leadership, config);
    this.log.updateConfig(config.log);
    // A lower min.insync.replicas may be what the high watermark was waiting for.
    this.#advance();
  }

  /** Leads no more: nothing that is not acknowledged yet ever will be from here. Idempotent. */
  resign(): void {
    if (!this.#isLeader) return;
    this.#isLeader = false;
    this.#end(new KafkaError("NOT_LEADER_OR_FOLLOWER"));
  }

  #listen(): void {
    this.#log.setListener({
      onAdvance: () => this.#advance(),
      onFailure: (error) => this.#end(storageError(error)),
      onHealed: () => this.#healed(),
    });
  }

  #refuseUnlessAppendable({ requiredAcks }: AppendOptions): void {
    const refusal = this.refusal(-1);
    if (refusal !== null) throw new KafkaError(refusal);
    if (requiredAcks === -1 && !hasEnoughInsyncReplicas(this.#isrSizes)) {
      throw new KafkaError("NOT_ENOUGH_REPLICAS");
    }
    const { latestLeaderEpoch } = this.log;
    if (latestLeaderEpoch > this.#leadership.leaderEpoch) {
      // Its directory came from another cluster: epochs in a log never fall (S10).
      throw new KafkaError(
        "KAFKA_STORAGE_ERROR",
        `the log was written in leader epoch ${latestLeaderEpoch}, and this is ${this.leaderEpoch}`,
      );
    }
  }

  /** Moves the marks to where the log's safe position allows (R4), and wakes all who waited for it. */
  #advance(): void {
    if (!this.#isLeader || this.log.failure !== null) return;
    const { safeEndOffset, logStartOffset, logEndOffset } = this.log;
    this.#leaderAcks.release(safeEndOffset);
    const highWatermark = nextHighWatermark(
      Math.max(this.#highWatermark, logStartOffset),
      [safeEndOffset],
      this.#isrSizes,
    );
    if (highWatermark === this.#highWatermark) return;
    assert(highWatermark <= logEndOffset, "the high watermark lies within the log", () => ({
      topic: this.topic,
      partitionIndex: this.partitionIndex,
      highWatermark,
      logEndOffset,
    }));
    this.#highWatermark = highWatermark;
    this.#allAcks.release(highWatermark);
    const bytes = this.#unexposed.takeUpTo(highWatermark);
    this.#exposedBytes += bytes;
    for (const watcher of this.#watchers) watcher.onExposed(bytes);
  }

  /**
   * Serves again, in the same leader epoch. What was assigned and never written is gone: its acks were
   * refused when the log failed, and its offsets are given out again.
   */
  #healed(): void {
    if (!this.#isLeader) return;
    const { logEndOffset } = this.log;
    assert(this.#highWatermark <= logEndOffset, "what was committed is still there", () => ({
      topic: this.topic,
      partitionIndex: this.partitionIndex,
      highWatermark: this.#highWatermark,
      logEndOffset,
    }));
    this.#leaderEpochStartOffset = Math.min(this.#leaderEpochStartOffset, logEndOffset);
    this.#unexposed.truncateTo(logEndOffset);
    this.#advance();
    this.#onHealed();
  }

  #end(refusal: KafkaError): void {
    this.#leaderAcks.refuse(refusal);
    this.#allAcks.refuse(refusal);
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher.onEnd();
  }

  #whenAcked(endOffset: number, requiredAcks: RequiredAcks): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (refusal: KafkaError | null): void => {
        if (refusal === null) resolve();
        else reject(refusal);
      };
      this.awaitAck({ endOffset, settle }, requiredAcks);
    });
  }

  #acks(requiredAcks: RequiredAcks): AckQueue {
    return requiredAcks === -1 ? this.#allAcks : this.#leaderAcks;
  }

  #mark(requiredAcks: RequiredAcks): number {
    return requiredAcks === -1 ? this.#highWatermark : this.log.safeEndOffset;
  }
}

function isrSizesOf(leadership: Leadership, config: PartitionConfig): IsrSizes {
  return {
    committedIsrSize: leadership.isr.length,
    minInsyncReplicas: config.minInsyncReplicas,
    replicationFactor: leadership.replicas.length,
  };
}

/** The marks count this replica alone: another member of the ISR would be passed over. */
function checkLeadership(leadership: Leadership): void {
  assert(leadership.isr.length <= 1, "followers need replication", () => leadership);
}

function storageError(cause: Error): KafkaError {
  return new KafkaError("KAFKA_STORAGE_ERROR", undefined, { cause });
}
