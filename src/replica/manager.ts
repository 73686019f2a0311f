import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { MemoryBudget } from "../base/memory-budget.ts";
import { Mailbox, MailboxClosedError } from "../base/mailbox.ts";
import { TimerQueue } from "../base/timer-queue.ts";
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import type { LogConfig } from "../storage/log.ts";
import { type AckGroup, Deadlines } from "./delayed.ts";
import { DelayedFetch, type FetchOptions, type FetchTarget } from "./delayed-fetch.ts";
import { FollowedPartition } from "./followed-partition.ts";
import type { ClusterTopic, ClusterTopics, HostedPartition, HostedTopic } from "./hosted-topic.ts";
import {
  configOf,
  type FollowerAssignment,
  type LeaderAssignment,
  type ReplicaAssignment,
} from "./assignments.ts";
import { IsrChanges } from "./isr-changes.ts";
import type { LeaderContext } from "./leader-context.ts";
import { Partition } from "./partition.ts";
import type { PartitionLog } from "./partition-log.ts";
import type { AskedLog, LogEnd } from "./log-ends.ts";
import type { LogStore } from "./log-store.ts";
import { ALONE, type Replication } from "./replication.ts";
import type { LedPartitions } from "./replication-ports.ts";
import { addTraffic, noTraffic, type Traffic } from "./traffic.ts";

interface OwnTopic extends HostedTopic {
  readonly partitions: Map<number, HostedPartition>;
}

/** Produce timeouts are 30 s and more; a fetch's wait is half a second. */
const PRODUCE_GRANULARITY_MS = 100;
const FETCH_GRANULARITY_MS = 10;
const NO_LEADER = -1;

/**
 * All partitions of this node: who asks for one by name or id finds it here, and the controller's
 * decisions arrive here. Changes of one partition run one at a time, in the order of the calls.
 */
export class ReplicaManager implements LedPartitions {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #logs: LogStore;
  readonly #memory: MemoryBudget;
  readonly #timers: TimerQueue;
  readonly #produceDeadlines: Deadlines;
  readonly #fetchDeadlines: Deadlines;
  readonly #topicsByName = new Map<string, OwnTopic>();
  readonly #topicsById = new Map<Uuid, OwnTopic>();
  #cluster: ClusterTopics = { topicsByName: new Map(), topicsById: new Map() };
  /** One per partition that is changing. */
  readonly #changes = new Map<string, { readonly mailbox: Mailbox; pendingCount: number }>();
  readonly #replication: Replication;
  readonly #isrChanges: IsrChanges;
  readonly #leaderContext: LeaderContext;
  /** Have acks that are due, and must not be given before there is a lease again (R15). */
  readonly #heldBack = new Set<Partition>();
  /** Of partitions that are here no more. */
  readonly #pastTraffic = noTraffic();
  #isClosed = false;

  constructor(dependencies: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly logs: LogStore;
    /** What fetches may read at a time; default: without a limit. */
    readonly memory?: MemoryBudget;
    readonly nodeId: number;
    /** Default: this node is the whole cluster. */
    readonly replication?: Replication;
  }) {
    this.#clock = dependencies.clock;
    this.#logger = dependencies.logger;
    this.#logs = dependencies.logs;
    this.#memory = dependencies.memory ?? new MemoryBudget(0);
    // A log that is open and not led yet keeps the mark that it was found with.
    this.#logs.setHighWatermarkSource(
      (topic, partitionIndex) =>
        replicaOf(this.#topicsByName.get(topic)?.partitions.get(partitionIndex))?.highWatermark ??
        this.#logs.checkpointedHighWatermark(topic, partitionIndex),
    );
    this.#timers = new TimerQueue(dependencies.clock);
    const timing = { clock: dependencies.clock, timers: this.#timers };
    this.#produceDeadlines = new Deadlines(timing, { granularityMs: PRODUCE_GRANULARITY_MS });
    this.#fetchDeadlines = new Deadlines(timing, { granularityMs: FETCH_GRANULARITY_MS });
    this.#replication = dependencies.replication ?? ALONE;
    const { timers } = timing;
    this.#isrChanges = new IsrChanges({ ...this.#replication, timers, logger: this.#logger });
    this.#leaderContext = {
      nodeId: dependencies.nodeId,
      nowMs: () => dependencies.clock.nowMs(),
      holdsLease: this.#replication.holdsLease,
      onHeldBack: (partition) => this.#heldBack.add(partition),
      onIsrNews: (partition) => this.#isrChanges.consider(partition),
    };
    this.#watchLag();
  }

  /** From now on these are the topics of the cluster, whoever leads their partitions. */
  follow(cluster: ClusterTopics): void {
    this.#cluster = cluster;
  }

  /** The topic of that name with the partitions that are here; undefined: the cluster has none. */
  topicByName(name: string): HostedTopic | undefined {
    return this.#topicsByName.get(name) ?? elsewhere(this.#cluster.topicsByName.get(name));
  }

  /** The topic of that id with the partitions that are here; undefined: the cluster has none. */
  topicById(topicId: Uuid): HostedTopic | undefined {
    return this.#topicsById.get(topicId) ?? elsewhere(this.#cluster.topicsById.get(topicId));
  }

  /** All topics with partitions here. */
  get topics(): IterableIterator<HostedTopic> {
    return this.#topicsByName.values();
  }

  /** Of all partitions that are, or were, here. */
  totalTraffic(): Traffic {
    const total = noTraffic();
    addTraffic(total, this.#pastTraffic);
    for (const topic of this.topics) {
      for (const partition of topic.partitions.values()) {
        const traffic = onlineOf(partition)?.traffic;
        if (traffic !== undefined) addTraffic(total, traffic);
      }
    }
    return total;
  }

  get parkedCounts(): { readonly produce: number; readonly fetch: number } {
    return {
      produce: this.#produceDeadlines.parkedCount,
      fetch: this.#fetchDeadlines.parkedCount,
    };
  }

  topicName(topicId: Uuid): string | undefined {
    return this.topicById(topicId)?.name;
  }

  /** The partition if it is led here and its log is readable. */
  partition(topic: string, partitionIndex: number): Partition | undefined {
    return onlineOf(this.#topicsByName.get(topic)?.partitions.get(partitionIndex));
  }

  /** The same by the topic's id. */
  partitionById(topicId: Uuid, partitionIndex: number): Partition | undefined {
    return onlineOf(this.#topicsById.get(topicId)?.partitions.get(partitionIndex));
  }

  /**
   * Finds the partition of a request's topic, or why it is not served here: NOT_LEADER_OR_FOLLOWER says that
   * it is led elsewhere.
   */
  find(
    topic: HostedTopic | undefined,
    partitionIndex: number,
    isById: boolean,
  ): Partition | ErrorName {
    const partition = topic?.partitions.get(partitionIndex);
    if (partition instanceof Partition) return partition;
    if (partition === "offline") return "KAFKA_STORAGE_ERROR";
    if (partition instanceof FollowedPartition) return "NOT_LEADER_OR_FOLLOWER";
    if (topic === undefined) return isById ? "UNKNOWN_TOPIC_ID" : "UNKNOWN_TOPIC_OR_PARTITION";
    const { partitions = [] } = this.#cluster.topicsById.get(topic.topicId) ?? {};
    return partitionIndex >= 0 && partitionIndex < partitions.length
      ? "NOT_LEADER_OR_FOLLOWER"
      : "UNKNOWN_TOPIC_OR_PARTITION";
  }

  /** Resolves when all acks of the group are settled, by `timeoutMs` at the latest. */
  waitForAcks(acks: AckGroup, timeoutMs: number): Promise<void> {
    return acks.wait(this.#produceDeadlines, timeoutMs);
  }

  /**
   * Deletes the records of the partition below the offset, -1: below its high watermark. No crash brings
   * them back when it resolves, with the offset of the first that is left. Rejects as
   * `Partition.deleteRecordsBefore` does.
   */
  async deleteRecords(partition: Partition, offset: number): Promise<number> {
    await partition.deleteRecordsBefore(offset);
    await this.#logs.checkpointLogStart(partition.log);
    const { topic, partitionIndex, logStartOffset } = partition;
    this.#logger.info(
      { topic, partitionIndex, logStartOffset },
      "records were deleted by a client",
    );
    return logStartOffset;
  }

  /** A fetch of these partitions, which are named by id or by name. It does nothing before its `run`. */
  fetch(targets: readonly FetchTarget[], isById: boolean, options: FetchOptions): DelayedFetch {
    const dependencies = {
      clock: this.#clock,
      deadlines: this.#fetchDeadlines,
      memory: this.#memory,
      find: ({ topic, topicId, partition }: FetchTarget): Partition | ErrorName => {
        const hosted = isById ? this.topicById(topicId) : this.topicByName(topic);
        return this.find(hosted, partition, isById);
      },
    };
    return new DelayedFetch(dependencies, targets, options);
  }

  /** See LedPartitions. */
  ledPartition(topicId: Uuid, partitionIndex: number): Partition | ErrorName {
    return this.find(this.topicById(topicId), partitionIndex, true);
  }

  /** How far the logs go that are open here (R11). */
  logEnds(asked: readonly AskedLog[]): LogEnd[] {
    return asked.flatMap(({ topicId, partitionIndex }) => {
      const replica = replicaOf(this.#topicsById.get(topicId)?.partitions.get(partitionIndex));
      if (replica === undefined) return [];
      const { latestLeaderEpoch, logEndOffset, failure } = replica.log;
      const end = { lastEpoch: latestLeaderEpoch, endOffset: logEndOffset };
      return [{ topicId, partitionIndex, ...end, isDamaged: failure !== null }];
    });
  }

  /** A controller has confirmed this node again: acks that were held back are given. */
  onLease(): void {
    const heldBack = [...this.#heldBack];
    this.#heldBack.clear();
    for (const partition of heldBack) partition.releaseAcks();
  }

  /** Other brokers have come, gone, or may lead again: whoever was kept out of an ISR may be let in. */
  onBrokers(): void {
    for (const partition of this.#led()) {
      if (partition.isr.length < partition.replicas.length) this.#isrChanges.consider(partition);
    }
  }

  /**
   * Opens (or recovers, or creates) the partition's log and leads it; for a partition that is led here
   * already, takes the newer epochs over. A topic of another id with the same name is removed first.
   * A log that cannot be opened leaves the partition offline (KAFKA_STORAGE_ERROR) and rejects with
   * the log's error.
   */
  becomeLeader(assignment: LeaderAssignment): Promise<Partition> {
    return this.#change(assignment.topic, assignment.partitionIndex, async () => {
      await this.#makeWay(assignment);
      const hosted = this.#hosted(assignment);
      if (hosted instanceof Partition && hosted.isLeader) {
        hosted.updateConfig(configOf(assignment));
        hosted.updateLeadership(assignment);
        return hosted;
      }
      const followed = hosted instanceof FollowedPartition ? hosted : null;
      if (followed !== null) await this.#unfollow(followed);
      return await this.#lead(assignment, followed?.highWatermark ?? null);
    });
  }

  /**
   * Follows the leader from now on, by the partition's own log, which is opened or made. What was led here until now
   * ends at the call. Rejects as `becomeLeader` does.
   */
  becomeFollower(assignment: FollowerAssignment): Promise<void> {
    const { topic, partitionIndex, leaderId, leaderEpoch, config } = assignment;
    this.partition(topic, partitionIndex)?.resign();
    // Others take over what a node led that stops.
    if (this.#isClosed) return Promise.resolve();
    return this.#change(topic, partitionIndex, async () => {
      await this.#makeWay(assignment);
      const hosted = replicaOf(this.#hosted(assignment));
      if (hosted instanceof FollowedPartition) {
        if (hosted.leaderId === leaderId && hosted.leaderEpoch === leaderEpoch) {
          hosted.updateConfig(config);
          return;
        }
        await this.#unfollow(hosted);
      }
      if (hosted instanceof Partition) this.#endLed(hosted);
      await this.#follow(assignment, hosted?.highWatermark ?? null);
    });
  }

  /**
   * Ends the partition here and deletes its log: its topic was deleted, or this node is none of its
   * replicas any more. From the call on it is not found here, and all who wait for it are told.
   */
  remove(topic: string, partitionIndex: number): Promise<void> {
    this.#forget(topic, partitionIndex);
    return this.#change(topic, partitionIndex, async () => {
      // Once more: it may have been opened between the call and this turn.
      this.#forget(topic, partitionIndex);
      await this.#logs.deleteLog(topic, partitionIndex);
    });
  }

  /**
   * Gives the partition the log that `open` makes of the one before, when no other change of it is under
   * way. When that fails, it is offline. Does nothing when the partition is not led here any more.
   */
  replaceLog(partition: Partition, open: () => Promise<PartitionLog>): Promise<void> {
    const { topic, partitionIndex } = partition;
    return this.#change(topic, partitionIndex, async () => {
      const hosts = this.#topicsByName.get(topic)?.partitions;
      if (hosts?.get(partitionIndex) !== partition) return;
      try {
        partition.replaceLog(await open());
      } catch (error) {
        hosts.set(partitionIndex, "offline");
        partition.resign();
        throw error;
      }
    });
  }

  /** New settings of the topic, for all its partitions here. */
  updateConfig(topic: string, config: LogConfig, minInsyncReplicas: number): void {
    const partitions = this.#topicsByName.get(topic)?.partitions.values() ?? [];
    for (const partition of partitions) {
      if (partition instanceof FollowedPartition) partition.updateConfig(config);
      onlineOf(partition)?.updateConfig({ log: config, minInsyncReplicas });
    }
  }

  /**
   * Ends all partitions: what waits and what still comes is answered NOT_LEADER_OR_FOLLOWER. The logs
   * stay open, they are the log manager's, which may yet ask for high watermarks. Resolves when no
   * change of a partition is under way. Idempotent.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#isrChanges.close();
    const ends: Promise<void>[] = [];
    for (const topic of this.#topicsByName.values()) {
      for (const partition of topic.partitions.values()) {
        onlineOf(partition)?.resign();
        if (partition instanceof FollowedPartition) ends.push(this.#unfollow(partition));
      }
    }
    await Promise.all(ends);
    await Promise.all([...this.#changes.values()].map(({ mailbox }) => mailbox.close()));
    this.#timers.close();
  }

  /** An older topic of the name ends. */
  async #makeWay({ topic, topicId, partitionIndex }: ReplicaAssignment): Promise<void> {
    const present = this.#topicsByName.get(topic);
    if (present === undefined || present.topicId === topicId) return;
    this.#forgetTopic(present);
    await this.#logs.deleteLog(topic, partitionIndex);
  }

  async #lead(assignment: LeaderAssignment, knownMark: number | null): Promise<Partition> {
    const log = await this.#openLog(assignment);
    const highWatermark = knownMark ?? this.#checkpointed(assignment);
    const start = { ...configOf(assignment), highWatermark };
    const partition = new Partition(log, assignment, assignment, start, this.#leaderContext);
    // Closed while the log was opening: it must not acknowledge any more.
    if (this.#isClosed) partition.resign();
    this.#host(assignment, partition);
    return partition;
  }

  async #follow(assignment: FollowerAssignment, knownMark: number | null): Promise<void> {
    const log = await this.#openLog(assignment);
    log.updateConfig(assignment.config);
    const highWatermark = knownMark ?? this.#checkpointed(assignment);
    const followed = new FollowedPartition(log, assignment, highWatermark, {
      logger: this.#logger,
      checkpointRecoveryPoint: (each) => this.#logs.checkpointRecoveryPoint(each),
      onFailed: (partition) => this.#replication.streams.unfollow(partition),
      onReady: (partition) => this.#replication.streams.follow(partition.leaderId, partition),
    });
    this.#host(assignment, followed);
    if (this.#isClosed) await followed.close();
    else if (followed.leaderId !== NO_LEADER)
      this.#replication.streams.follow(followed.leaderId, followed);
  }

  async #unfollow(followed: FollowedPartition): Promise<void> {
    this.#replication.streams.unfollow(followed);
    await followed.close();
  }

  /** Read when the log is open: what an older topic of the name had left is gone then. */
  #checkpointed({ topic, partitionIndex }: ReplicaAssignment): number {
    return this.#logs.checkpointedHighWatermark(topic, partitionIndex) ?? 0;
  }

  async #openLog(assignment: ReplicaAssignment): Promise<PartitionLog> {
    const { topic, partitionIndex } = assignment;
    try {
      return await this.#logs.openLog(assignment, assignment.config);
    } catch (error) {
      if (isStorageError(error)) {
        this.#logger.error({ topic, partitionIndex, err: error }, "partition is offline");
        this.#host(assignment, "offline");
      }
      throw error;
    }
  }

  /** Looks twice in the time that a follower may be behind. */
  #watchLag(): void {
    const lagMaxMs = this.#replication.lagMaxMs();
    if (lagMaxMs === Infinity) return;
    this.#timers.after(lagMaxMs / 2, () => {
      for (const partition of this.#led()) {
        if (partition.isr.length > 1) this.#isrChanges.consider(partition);
      }
      this.#watchLag();
    });
  }

  *#led(): IterableIterator<Partition> {
    for (const { partitions } of this.#topicsByName.values()) {
      for (const partition of partitions.values()) {
        if (partition instanceof Partition) yield partition;
      }
    }
  }

  #hosted({ topicId, partitionIndex }: ReplicaAssignment): HostedPartition | undefined {
    return this.#topicsById.get(topicId)?.partitions.get(partitionIndex);
  }

  #host(assignment: ReplicaAssignment, partition: HostedPartition): void {
    let topic = this.#topicsByName.get(assignment.topic);
    assert(
      topic === undefined || topic.topicId === assignment.topicId,
      "a topic of another id was removed first",
    );
    if (topic === undefined) {
      topic = { name: assignment.topic, topicId: assignment.topicId, partitions: new Map() };
      this.#topicsByName.set(topic.name, topic);
      this.#topicsById.set(topic.topicId, topic);
    }
    topic.partitions.set(assignment.partitionIndex, partition);
  }

  #forgetTopic(topic: HostedTopic): void {
    for (const partitionIndex of [...topic.partitions.keys()]) {
      this.#forget(topic.name, partitionIndex);
    }
  }

  #forget(name: string, partitionIndex: number): void {
    const topic = this.#topicsByName.get(name);
    const partition = topic?.partitions.get(partitionIndex);
    if (topic === undefined || partition === undefined) return;
    topic.partitions.delete(partitionIndex);
    if (topic.partitions.size === 0) {
      this.#topicsByName.delete(name);
      this.#topicsById.delete(topic.topicId);
    }
    if (partition instanceof FollowedPartition) void this.#unfollow(partition);
    const online = onlineOf(partition);
    if (online !== undefined) this.#endLed(online);
  }

  /** Last, so that whoever it wakes finds the partition gone. */
  #endLed(partition: Partition): void {
    addTraffic(this.#pastTraffic, partition.traffic);
    this.#heldBack.delete(partition);
    partition.resign();
  }

  async #change<T>(topic: string, partitionIndex: number, task: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new MailboxClosedError("the replica manager is closed");
    const key = `${topic}-${partitionIndex}`;
    let change = this.#changes.get(key);
    if (change === undefined) {
      change = { mailbox: new Mailbox(), pendingCount: 0 };
      this.#changes.set(key, change);
    }
    change.pendingCount += 1;
    try {
      return await change.mailbox.run(task);
    } finally {
      change.pendingCount -= 1;
      if (change.pendingCount === 0) this.#changes.delete(key);
    }
  }
}

/** Whether the disk is to blame, and not a bug of ours. */
function isStorageError(error: unknown): boolean {
  return (
    error instanceof DiskError ||
    (error instanceof KafkaError && error.errorName === "KAFKA_STORAGE_ERROR")
  );
}

/** The replica that is here, whoever leads. */
function replicaOf(hosted: HostedPartition | undefined): Partition | FollowedPartition | undefined {
  return typeof hosted === "object" ? hosted : undefined;
}

function onlineOf(partition: HostedPartition | undefined): Partition | undefined {
  return partition instanceof Partition ? partition : undefined;
}

const NO_PARTITIONS: ReadonlyMap<number, HostedPartition> = new Map();

function elsewhere(topic: ClusterTopic | undefined): HostedTopic | undefined {
  return topic && { name: topic.name, topicId: topic.topicId, partitions: NO_PARTITIONS };
}
