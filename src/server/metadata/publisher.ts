import { InvariantError } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";
import type { Logger } from "../../base/logger.ts";
import type { LogConfig } from "../../storage/log.ts";
import type { MetadataDelta } from "./image-builder.ts";
import {
  brokerOverrides,
  clusterOverrides,
  type MetadataImage,
  NO_LEADER,
  type PartitionImage,
  type TopicImage,
  topicOverrides,
} from "./image.ts";
import { replicaDirectory } from "./replica-directories.ts";
import { toLogConfig, type TopicConfigs } from "./topic-configs.ts";
import { GROUP_METADATA_TOPIC } from "./topic-names.ts";

/** A replica of this node, as ReplicaManager takes it. */
export interface PublishedReplica {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid;
  readonly directoryId: Uuid;
  readonly leaderEpoch: number;
  readonly config: LogConfig;
  readonly minInsyncReplicas: number;
}

export interface PublishedLeadership extends PublishedReplica {
  readonly partitionEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** Whether the controller could let another replica lead without this node's help (R15). */
  readonly isElectableElsewhere: boolean;
}

export interface PublishedFollower extends PublishedReplica {
  /** NO_LEADER: nobody, for now. */
  readonly leaderId: number;
}

/** ReplicaManager, as far as the metadata drives it. `P` is its partition. */
export interface ReplicaHost<P> {
  /** These are the cluster's topics from now on. */
  follow(image: MetadataImage): void;
  becomeLeader(leadership: PublishedLeadership): Promise<P>;
  becomeFollower(follower: PublishedFollower): Promise<void>;
  remove(topic: string, partitionIndex: number): Promise<void>;
  updateConfig(topic: string, config: LogConfig, minInsyncReplicas: number): void;
}

/** GroupCoordinator, as far as the metadata drives it. */
export interface CoordinatorHost<P> {
  onLeadership(partitionIndex: number, leaderEpoch: number, partition: P): void;
  onResignation(partitionIndex: number): void;
}

/** Takes the change between two images into this node. */
export interface MetadataPublisher {
  /** Resolves when this node serves the new image. Calls do not overlap. */
  apply(delta: MetadataDelta): Promise<void>;
}

export interface PublisherDependencies<P> {
  readonly replicas: ReplicaHost<P>;
  readonly coordinator: CoordinatorHost<P>;
  readonly topicConfigs: TopicConfigs;
  readonly logger: Logger;
}

export interface PublisherOptions {
  readonly nodeId: number;
  /** Partitions opened or removed at a time; the disk gains nothing from more. */
  readonly concurrency?: number;
}

const DEFAULT_CONCURRENCY = 32;

type Task = () => Promise<void>;

/** Of a topic. */
interface Settings {
  readonly config: LogConfig;
  readonly minInsyncReplicas: number;
  readonly isUncleanElectionEnabled: boolean;
}

/** Makes the replicas and coordinators of this node follow the image. */
export class Publisher<P> implements MetadataPublisher {
  readonly #replicas: ReplicaHost<P>;
  readonly #coordinator: CoordinatorHost<P>;
  readonly #topicConfigs: TopicConfigs;
  readonly #logger: Logger;
  readonly #nodeId: number;
  readonly #concurrency: number;
  /** Partitions of existing topics that could not be led, with the newest attempt. */
  readonly #failed = new Map<string, Task>();

  constructor(dependencies: PublisherDependencies<P>, options: PublisherOptions) {
    this.#replicas = dependencies.replicas;
    this.#coordinator = dependencies.coordinator;
    this.#topicConfigs = dependencies.topicConfigs;
    this.#logger = dependencies.logger;
    this.#nodeId = options.nodeId;
    this.#concurrency = options.concurrency ?? DEFAULT_CONCURRENCY;
  }

  /**
   * Deletions first: a name may come back at once with another id (E16). A partition that cannot be
   * opened or removed is logged and left out; the others are served.
   */
  async apply(delta: MetadataDelta): Promise<void> {
    this.#replicas.follow(delta.image);
    await this.#run(delta.removedTopics.flatMap((topic) => this.#removals(topic)));
    const changes = delta.changedTopics.flatMap((topic) =>
      this.#changes(delta.image, delta.previous.topicsById.get(topic.topicId), topic),
    );
    await this.#run(changes);
    this.#reconfigure(delta);
  }

  /** Tries again to lead what the disk has refused: there is room again. */
  async retry(): Promise<void> {
    const tasks = [...this.#failed].map(([key, task]) => async () => {
      // The cluster may have decided otherwise since.
      if (this.#failed.get(key) === task) await task();
    });
    await this.#run(tasks);
  }

  /** What is set for brokers holds for every topic that has not its own. */
  #reconfigure({ previous, image, reconfiguredTopics }: MetadataDelta): void {
    const isBrokerChanged =
      clusterOverrides(previous) !== clusterOverrides(image) ||
      brokerOverrides(previous, this.#nodeId) !== brokerOverrides(image, this.#nodeId);
    const topics = isBrokerChanged ? image.topicsByName.keys() : reconfiguredTopics;
    for (const topic of topics) {
      const { config, minInsyncReplicas } = this.#settings(image, topic);
      this.#replicas.updateConfig(topic, config, minInsyncReplicas);
    }
  }

  #removals(topic: TopicImage): Task[] {
    return topic.partitions
      .filter((partition) => partition.replicas.includes(this.#nodeId))
      .map((partition) => () => this.#remove(topic, partition));
  }

  #changes(image: MetadataImage, before: TopicImage | undefined, topic: TopicImage): Task[] {
    // Worked out once for a topic, however many partitions it has.
    const settings = this.#settings(image, topic.name);
    return topic.partitions.flatMap((partition) => {
      const old = before?.partitions[partition.partitionIndex];
      if (old === partition) return [];
      if (this.#isLed(partition)) return [() => this.#lead(topic, old, partition, settings)];
      const wasReplica = old?.replicas.includes(this.#nodeId) === true;
      if (!partition.replicas.includes(this.#nodeId)) {
        return wasReplica ? [() => this.#remove(topic, partition)] : [];
      }
      // A log that nobody leads is opened, as it may be asked how far it goes (R11); not where there is no other.
      const isAlone = partition.replicas.length === 1 && (!wasReplica || old.leader === NO_LEADER);
      const isUntouched = partition.leader === NO_LEADER && isAlone;
      return isUntouched ? [] : [() => this.#follow(topic, old, partition, settings)];
    });
  }

  #isLed({ leader }: PartitionImage): boolean {
    return leader === this.#nodeId;
  }

  async #lead(
    topic: TopicImage,
    old: PartitionImage | undefined,
    partition: PartitionImage,
    settings: Settings,
  ): Promise<void> {
    const { partitionIndex, leaderEpoch } = partition;
    const key = `${topic.name}-${partitionIndex}`;
    const hasFailed = this.#failed.has(key);
    this.#failed.set(key, () => this.#lead(topic, old, partition, settings));
    await this.#guard(topic.name, partitionIndex, "led", async () => {
      const leadership = this.#leadership(topic, partition, settings);
      const led = await this.#replicas.becomeLeader(leadership);
      this.#failed.delete(key);
      const wasLed = old !== undefined && this.#isLed(old) && old.leaderEpoch === leaderEpoch;
      if ((!wasLed || hasFailed) && topic.name === GROUP_METADATA_TOPIC) {
        this.#coordinator.onLeadership(partitionIndex, leaderEpoch, led);
      }
    });
  }

  async #follow(
    topic: TopicImage,
    old: PartitionImage | undefined,
    partition: PartitionImage,
    settings: Settings,
  ): Promise<void> {
    const { partitionIndex, leader } = partition;
    const key = `${topic.name}-${partitionIndex}`;
    if (old !== undefined && this.#isLed(old)) this.#end(topic, partition);
    this.#failed.set(key, () => this.#follow(topic, undefined, partition, settings));
    await this.#guard(topic.name, partitionIndex, "followed", async () => {
      const replica = this.#replica(topic, partition, settings);
      await this.#replicas.becomeFollower({ ...replica, leaderId: leader });
      this.#failed.delete(key);
    });
  }

  async #remove(topic: TopicImage, partition: PartitionImage): Promise<void> {
    this.#end(topic, partition);
    await this.#guard(topic.name, partition.partitionIndex, "removed", () =>
      this.#replicas.remove(topic.name, partition.partitionIndex),
    );
  }

  /** Whatever goes on with the partition here ends. */
  #end(topic: TopicImage, { partitionIndex }: PartitionImage): void {
    if (topic.name === GROUP_METADATA_TOPIC) this.#coordinator.onResignation(partitionIndex);
    this.#failed.delete(`${topic.name}-${partitionIndex}`);
  }

  #leadership(
    topic: TopicImage,
    partition: PartitionImage,
    settings: Settings,
  ): PublishedLeadership {
    const { partitionEpoch, replicas, isr, eligibleLeaderReplicas } = partition;
    const others = replicas.filter((brokerId) => brokerId !== this.#nodeId);
    const isEligible = (brokerId: number): boolean =>
      settings.isUncleanElectionEnabled ||
      isr.includes(brokerId) ||
      eligibleLeaderReplicas.includes(brokerId);
    return {
      ...this.#replica(topic, partition, settings),
      ...{ partitionEpoch, replicas, isr },
      isElectableElsewhere: others.some(isEligible),
    };
  }

  #replica(
    topic: TopicImage,
    partition: PartitionImage,
    { config, minInsyncReplicas }: Settings,
  ): PublishedReplica {
    const { partitionIndex, leaderEpoch } = partition;
    return {
      topic: topic.name,
      topicId: topic.topicId,
      directoryId: replicaDirectory(partition, this.#nodeId),
      ...{ partitionIndex, leaderEpoch, config, minInsyncReplicas },
    };
  }

  #settings(image: MetadataImage, topic: string): Settings {
    const topicConfigs = this.#topicConfigs.under(image);
    const effective = topicConfigs.effective(topicOverrides(image, topic));
    return {
      config: toLogConfig(effective),
      minInsyncReplicas: effective["min.insync.replicas"],
      isUncleanElectionEnabled: effective["unclean.leader.election.enable"],
    };
  }

  async #guard(topic: string, partitionIndex: number, what: string, task: Task): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      // Handled: the partition answers errors by itself, and one bad disk must not stop the rest.
      this.#logger.error({ topic, partitionIndex, err: error }, `partition could not be ${what}`);
    }
  }

  async #run(tasks: readonly Task[]): Promise<void> {
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) await task();
    };
    await Promise.all(Array.from({ length: Math.min(this.#concurrency, tasks.length) }, worker));
  }
}
