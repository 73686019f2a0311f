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
import type { ClusterTopic, ClusterTopics, HostedPartition, HostedTopic } from "./hosted-topic.ts";
import { Partition, type PartitionLog } from "./partition.ts";
import { addTraffic, noTraffic, type Traffic } from "./traffic.ts";

/** Where partitions' logs live: LogManager, as far as replicas need it. */
export interface LogStore {
  openLog(
    id: {
      readonly topic: string;
      readonly partitionIndex: number;
      readonly topicId: Uuid;
      readonly directoryId?: Uuid;
    },
    config: LogConfig,
  ): Promise<PartitionLog>;
  deleteLog(topic: string, partitionIndex: number): Promise<void>;
  /** Notes the log's start, durably. */
  checkpointLogStart(log: PartitionLog): Promise<void>;
  /** What replication-offset-checkpoint held when this process started. */
  checkpointedHighWatermark(topic: string, partitionIndex: number): number | undefined;
  /** Asked for what replication-offset-checkpoint is to hold. */
  setHighWatermarkSource(
    source: (topic: string, partitionIndex: number) => number | undefined,
  ): void;
}

/** A partition that this node is to lead, as the controller decided it. */
export interface LeaderAssignment {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid;
  /** Where the cluster knows it to lie; left out: anywhere. */
  readonly directoryId?: Uuid;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  readonly config: LogConfig;
  readonly minInsyncReplicas: number;
}

interface OwnTopic extends HostedTopic {
  readonly partitions: Map<number, HostedPartition>;
}

/** Produce timeouts are 30 s and more; a fetch's wait is half a second. */
const PRODUCE_GRANULARITY_MS = 100;
const FETCH_GRANULARITY_MS = 10;

/**
 * All partitions of this node: who asks for one by name or id finds it here, and the controller's
 * decisions arrive here. Changes of one partition run one at a time, in the order of the calls.
 */
export class ReplicaManager {
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
  /** Of partitions that are here no more. */
  readonly #pastTraffic = noTraffic();
  #isClosed = false;

  constructor(dependencies: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly logs: LogStore;
    /** What fetches may read at a time; default: without a limit. */
    readonly memory?: MemoryBudget;
  }) {
    this.#clock = dependencies.clock;
    this.#logger = dependencies.logger;
    this.#logs = dependencies.logs;
    this.#memory = dependencies.memory ?? new MemoryBudget(0);
    // A log that is open and not led yet keeps the mark that it was found with.
    this.#logs.setHighWatermarkSource(
      (topic, partitionIndex) =>
        this.partition(topic, partitionIndex)?.highWatermark ??
        this.#logs.checkpointedHighWatermark(topic, partitionIndex),
    );
    this.#timers = new TimerQueue(dependencies.clock);
    const timing = { clock: dependencies.clock, timers: this.#timers };
    this.#produceDeadlines = new Deadlines(timing, { granularityMs: PRODUCE_GRANULARITY_MS });
    this.#fetchDeadlines = new Deadlines(timing, { granularityMs: FETCH_GRANULARITY_MS });
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
   * Finds the partition of a request's topic, or why it is not served here: REPLICA_NOT_AVAILABLE says that
   * it is withheld, NOT_LEADER_OR_FOLLOWER that the cluster has it elsewhere.
   */
  find(
    topic: HostedTopic | undefined,
    partitionIndex: number,
    isById: boolean,
  ): Partition | ErrorName {
    const partition = topic?.partitions.get(partitionIndex);
    if (partition instanceof Partition) return partition;
    if (partition === "offline") return "KAFKA_STORAGE_ERROR";
    if (partition === "withheld") return "REPLICA_NOT_AVAILABLE";
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

  /**
   * Opens (or recovers, or creates) the partition's log and leads it; for a partition that is led here
   * already, takes the newer epochs over. A topic of another id with the same name is removed first.
   * A log that cannot be opened leaves the partition offline (KAFKA_STORAGE_ERROR) and rejects with
   * the log's error.
   */
  becomeLeader(assignment: LeaderAssignment): Promise<Partition> {
    return this.#change(assignment.topic, assignment.partitionIndex, async () => {
      await this.#makeWay(assignment);
      const { topicId, partitionIndex } = assignment;
      const hosted = this.#topicsById.get(topicId)?.partitions.get(partitionIndex);
      if (hosted instanceof Partition) {
        hosted.updateConfig(configOf(assignment));
        hosted.updateLeadership(assignment);
        return hosted;
      }
      return this.#open(assignment);
    });
  }

  /**
   * Leads no more: all who wait for the partition are told so, from the call on. Its log stays open, for
   * when this node leads again.
   */
  resign(topic: string, partitionIndex: number): Promise<void> {
    this.#forget(topic, partitionIndex);
    // Others take over what a node led that stops.
    if (this.#isClosed) return Promise.resolve();
    return this.#change(topic, partitionIndex, () => {
      // Once more: it may have been opened between the call and this turn.
      this.#forget(topic, partitionIndex);
      return Promise.resolve();
    });
  }

  /**
   * Would lead, and does not, since other replicas could be elected and nothing copies records to them: what
   * were acknowledged here would be lost then. A log that is here stays as it is.
   */
  withhold(assignment: LeaderAssignment): Promise<void> {
    return this.#change(assignment.topic, assignment.partitionIndex, async () => {
      await this.#makeWay(assignment);
      this.#forget(assignment.topic, assignment.partitionIndex);
      this.#host(assignment, "withheld");
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
    for (const topic of this.#topicsByName.values()) {
      for (const partition of topic.partitions.values()) onlineOf(partition)?.resign();
    }
    await Promise.all([...this.#changes.values()].map(({ mailbox }) => mailbox.close()));
    this.#timers.close();
  }

  /** An older topic of the name ends. */
  async #makeWay({ topic, topicId, partitionIndex }: LeaderAssignment): Promise<void> {
    const present = this.#topicsByName.get(topic);
    if (present === undefined || present.topicId === topicId) return;
    this.#forgetTopic(present);
    await this.#logs.deleteLog(topic, partitionIndex);
  }

  async #open(assignment: LeaderAssignment): Promise<Partition> {
    const { topic, partitionIndex } = assignment;
    let log: PartitionLog;
    try {
      log = await this.#logs.openLog(assignment, assignment.config);
    } catch (error) {
      if (isStorageError(error)) {
        this.#logger.error({ topic, partitionIndex, err: error }, "partition is offline");
        this.#host(assignment, "offline");
      }
      throw error;
    }
    // Read when it is open: what an older topic of the name had left is gone now.
    const highWatermark = this.#logs.checkpointedHighWatermark(topic, partitionIndex) ?? 0;
    const config = configOf(assignment);
    const partition = new Partition(log, assignment, assignment, { ...config, highWatermark });
    // Closed while the log was opening: it must not acknowledge any more.
    if (this.#isClosed) partition.resign();
    this.#host(assignment, partition);
    return partition;
  }

  #host(assignment: LeaderAssignment, partition: HostedPartition): void {
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
    const online = onlineOf(partition);
    if (online === undefined) return;
    addTraffic(this.#pastTraffic, online.traffic);
    // Last, so that whoever it wakes finds the partition gone.
    online.resign();
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

function onlineOf(partition: HostedPartition | undefined): Partition | undefined {
  return partition instanceof Partition ? partition : undefined;
}

const NO_PARTITIONS: ReadonlyMap<number, HostedPartition> = new Map();

function elsewhere(topic: ClusterTopic | undefined): HostedTopic | undefined {
  return topic && { name: topic.name, topicId: topic.topicId, partitions: NO_PARTITIONS };
}

function configOf(assignment: LeaderAssignment): {
  log: LogConfig;
  minInsyncReplicas: number;
} {
  return { log: assignment.config, minInsyncReplicas: assignment.minInsyncReplicas };
}
