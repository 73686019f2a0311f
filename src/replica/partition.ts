import { assert } from "../base/assert.ts";
import type { Uuid } from "../base/ids.ts";
import { Mailbox } from "../base/mailbox.ts";
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import type { LogAppendResult, LogConfig, LogReadOptions, LogReadResult } from "../storage/log.ts";
import { isrSizesOf, type Leadership, type PartitionConfig } from "./assignments.ts";
import type { AckSource, AckWaiter, RequiredAcks } from "./delayed.ts";
import { endOfEpoch } from "./end-of-epoch.ts";
import { FollowerSessions, type SessionHost } from "./follower-sessions.ts";
import {
  type BrokerIncarnations,
  type IsrProposal,
  IsrState,
  type LeaderMarks,
} from "./isr-state.ts";
import { type AckMarks, markOf, PartitionAcks } from "./partition-acks.ts";
import type { PartitionLog } from "./partition-log.ts";
import { judgePosition } from "./reconcile.ts";
import type { FollowerAnswer, ReplicaPosition } from "./replication-messages.ts";
import type { LeaderContext } from "./leader-context.ts";
import type {
  Follower,
  FollowerSession,
  LedPartition,
  LedPartitionWatcher,
} from "./replication-ports.ts";
import { noTraffic, type Traffic } from "./traffic.ts";
import { UnexposedBytes } from "./unexposed-bytes.ts";
import { hasEnoughInsyncReplicas, type IsrSizes, nextHighWatermark } from "./high-watermark.ts";

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
export class Partition implements AckSource, LedPartition, SessionHost {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid;
  readonly #context: LeaderContext;
  #log: PartitionLog;
  readonly #isr: IsrState;
  readonly #sessions = new FollowerSessions();
  #writtenBeforeFailure = 0;
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
  readonly #acks = new PartitionAcks();
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
    context: LeaderContext,
  ) {
    this.#context = context;
    this.#isr = new IsrState(context.nodeId, leadership, context.nowMs());
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

  get replicas(): readonly number[] {
    return this.#leadership.replicas;
  }

  /** Committed by the controller. */
  get isr(): readonly number[] {
    return this.#leadership.isr;
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
    if (this.#leadership.replicas.length > 1) {
      this.#isr.willAppend(this.logEndOffset, this.#context.nowMs());
    }
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
      return;
    }
    const isDue = waiter.endOffset <= markOf(this.#ackMarks, requiredAcks);
    if (isDue && this.#mayAck()) {
      waiter.settle(null);
      return;
    }
    this.#acks.add(waiter, requiredAcks);
    if (isDue) this.#context.onHeldBack(this);
  }

  /** Gives the acks that have been due since the lease was lost (R15). */
  releaseAcks(): void {
    if (this.#isLeader && this.log.failure === null) this.#release();
  }

  forgetAck(waiter: AckWaiter): void {
    this.#acks.remove(waiter);
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

  /** See LedPartition. */
  follow(
    follower: Follower,
    statement: ReplicaPosition & { readonly leaderEpoch: number },
    watcher: LedPartitionWatcher,
  ): FollowerSession | FollowerAnswer {
    const error =
      this.refusal(statement.leaderEpoch) ??
      (this.#leadership.replicas.includes(follower.brokerId) ? null : "NOT_LEADER_OR_FOLLOWER");
    if (error !== null) return { kind: "refused", error };
    const { logStartOffset, logEndOffset } = this;
    const view = {
      ...{ logStartOffset, logEndOffset },
      endOfEpoch: (epoch: number) => endOfEpoch(this, epoch),
    };
    const answer = judgePosition(view, statement);
    if (answer !== null) return answer;
    const session = this.#sessions.begin(this, follower, watcher);
    this.#isr.connect(follower, this.#marks, this.#context.nowMs());
    return session;
  }

  readForFollower(options: Omit<LogReadOptions, "endOffset">): Promise<LogReadResult> {
    return this.log.read({ ...options, endOffset: this.logEndOffset });
  }

  onProgress(follower: Follower, receivedOffset: number, safeOffset: number): void {
    const progress = { receivedOffset, safeOffset };
    this.#isr.progress(follower, progress, this.#marks, this.#context.nowMs());
    this.#advance();
    if (!this.#leadership.isr.includes(follower.brokerId)) this.#context.onIsrNews(this);
  }

  onSessionEnd(follower: Follower): void {
    this.#isr.disconnect(follower, this.#marks, this.#context.nowMs());
  }

  /** See IsrState. */
  proposeIsr(lagMaxMs: number, brokers: BrokerIncarnations): IsrProposal | null {
    if (this.refusal(-1) !== null) return null;
    return this.#isr.propose(this.#marks, { nowMs: this.#context.nowMs(), lagMaxMs }, brokers);
  }

  /** See IsrState. */
  settleIsr(proposal: IsrProposal, outcome: "refused" | "unknown" | "told"): void {
    this.#isr.settle(proposal, outcome);
    this.#advance();
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
    const advanced = this.log.advanceLogStartOffset(startOffset);
    this.#sessions.tell();
    await advanced;
  }

  /**
   * Goes on with the log in another place; the one before was closed in order. Serves again then, in the same
   * leader epoch. Only the manager calls it.
   */
  replaceLog(log: PartitionLog): void {
    this.#sessions.endAll("NOT_LEADER_OR_FOLLOWER");
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
    assert(this.#isLeader, "a partition that ended does not lead again");
    assert(
      leadership.leaderEpoch >= this.#leadership.leaderEpoch,
      "leader epochs do not go back",
      () => ({ topic: this.topic, from: this.#leadership, to: leadership }),
    );
    if (leadership.leaderEpoch > this.#leadership.leaderEpoch) {
      this.#leaderEpochStartOffset = this.log.logEndOffset;
      this.#sessions.endAll("FENCED_LEADER_EPOCH");
    }
    this.#leadership = leadership;
    this.#isr.update(leadership, this.#context.nowMs());
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
      onFailure: (error) => {
        this.#writtenBeforeFailure = this.log.writtenEndOffset;
        this.#end(storageError(error));
      },
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
    const highWatermark = nextHighWatermark(
      Math.max(this.#highWatermark, logStartOffset),
      [safeEndOffset, ...this.#isr.safePositions()],
      this.#isrSizes,
    );
    const bytes = this.#expose(highWatermark, logEndOffset);
    this.#release();
    this.#sessions.tell();
    if (bytes === null) return;
    for (const watcher of this.#watchers) watcher.onExposed(bytes);
  }

  /** Moves the high watermark; about how many bytes it has moved over, or null when it has not. */
  #expose(highWatermark: number, logEndOffset: number): number | null {
    if (highWatermark === this.#highWatermark) return null;
    assert(highWatermark <= logEndOffset, "the high watermark lies within the log", () => ({
      topic: this.topic,
      partitionIndex: this.partitionIndex,
      highWatermark,
      logEndOffset,
    }));
    this.#highWatermark = highWatermark;
    const bytes = this.#unexposed.takeUpTo(highWatermark);
    this.#exposedBytes += bytes;
    return bytes;
  }

  /** Gives the acks that are due, or holds them back (R15). */
  #release(): void {
    const marks = this.#ackMarks;
    if (!this.#acks.areDue(marks)) return;
    if (this.#mayAck()) this.#acks.release(marks);
    else this.#context.onHeldBack(this);
  }

  /** No ack of any kind while another replica could have been elected without this one knowing (R15). */
  #mayAck(): boolean {
    return !this.#leadership.isElectableElsewhere || this.#context.holdsLease();
  }

  get #ackMarks(): AckMarks {
    return { safeEndOffset: this.log.safeEndOffset, highWatermark: this.#highWatermark };
  }

  get #marks(): LeaderMarks {
    return {
      highWatermark: this.#highWatermark,
      logEndOffset: this.logEndOffset,
      leaderEpochStartOffset: this.#leaderEpochStartOffset,
    };
  }

  /**
   * Serves again, in the same leader epoch. What was assigned and never written is gone: its acks were
   * refused when the log failed, and its offsets are given out again.
   */
  #healed(): void {
    if (!this.#isLeader) return;
    const { logEndOffset } = this.log;
    if (this.#leadership.replicas.length > 1 && logEndOffset < this.#writtenBeforeFailure) {
      // Followers may have had what is gone: its offsets must not be given out again in this leader epoch.
      this.resign();
      return;
    }
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
    this.#sessions.endAll(refusal.errorName);
    this.#acks.refuse(refusal);
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
}

function storageError(cause: Error): KafkaError {
  return new KafkaError("KAFKA_STORAGE_ERROR", undefined, { cause });
}
