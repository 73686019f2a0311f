import { assert, must } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";
import type { CommittedBatch } from "../../raft/raft-client.ts";
import { decodeMetadataRecord, type MetadataRecord } from "../../protocol/metadata-records.ts";
import {
  type BrokerImage,
  type ConfigImage,
  configKey,
  EMPTY_IMAGE,
  type MetadataImage,
  type PartitionImage,
  type TopicImage,
  TOPIC_RESOURCE,
} from "./image.ts";
import { hasCollisionCharacters, unifyCollisionCharacters } from "./topic-names.ts";

/** What lies between two images. */
export interface MetadataDelta {
  readonly previous: MetadataImage;
  readonly image: MetadataImage;
  /** Topics that are new or changed and still there. */
  readonly changedTopics: readonly TopicImage[];
  /** Topics of `previous` that are gone. */
  readonly removedTopics: readonly TopicImage[];
  /** Ids of topics that are gone, those that came and went included. */
  readonly removedTopicIds: ReadonlySet<Uuid>;
  /** Names of topics that were there before and whose own settings changed. */
  readonly reconfiguredTopics: readonly string[];
}

type RecordOf<K extends MetadataRecord["kind"]> = Extract<MetadataRecord, { kind: K }>["record"];

/** The delta from nothing to the image. */
export function wholeImage(image: MetadataImage): MetadataDelta {
  return {
    previous: EMPTY_IMAGE,
    image,
    changedTopics: [...image.topicsById.values()],
    removedTopics: [],
    removedTopicIds: new Set(),
    reconfiguredTopics: [],
  };
}

/** -2 in a PartitionChangeRecord: the leader stays. */
const LEADER_UNCHANGED = -2;
const RECOVERY_STATE_UNCHANGED = -1;
/** Kafka's three-valued changes of a registration. */
const FENCE = 1;
const UNFENCE = -1;

/**
 * Adds records to an image. What is not touched is shared with the image it began with; a map is
 * copied when its first entry changes. Replaying the same records gives the same image (K5). A record
 * that does not fit the state means that the log is not what was written: InvariantError.
 */
export class ImageBuilder {
  readonly #previous: MetadataImage;
  #offset: number;
  #epoch: number;
  #nextProducerId: number;
  readonly #features: CopyOnWrite<string, number>;
  readonly #brokers: CopyOnWrite<number, BrokerImage>;
  readonly #topicsByName: CopyOnWrite<string, TopicImage>;
  readonly #topicsById: CopyOnWrite<Uuid, TopicImage>;
  readonly #collidingNames: CopyOnWrite<string, string>;
  readonly #configs: CopyOnWrite<string, ConfigImage>;
  readonly #touchedTopicIds = new Set<Uuid>();
  readonly #reconfiguredTopics = new Set<string>();
  /** Partitions of touched topics, copied so that a large topic is not copied at every record. */
  readonly #partitions = new Map<Uuid, PartitionImage[]>();

  constructor(image: MetadataImage) {
    this.#previous = image;
    this.#offset = image.offset;
    this.#epoch = image.epoch;
    this.#nextProducerId = image.nextProducerId;
    this.#features = new CopyOnWrite(image.features);
    this.#brokers = new CopyOnWrite(image.brokers);
    this.#topicsByName = new CopyOnWrite(image.topicsByName);
    this.#topicsById = new CopyOnWrite(image.topicsById);
    this.#collidingNames = new CopyOnWrite(image.collidingNames);
    this.#configs = new CopyOnWrite(image.configs);
  }

  /** Applies a batch of the log. */
  replayBatch(batch: CommittedBatch): void {
    assert(batch.baseOffset === this.#offset + 1, "batches are replayed without gaps (K5)", () => ({
      baseOffset: batch.baseOffset,
      offset: this.#offset,
    }));
    for (const value of batch.records) this.replay(decodeMetadataRecord(value));
    this.#offset = batch.lastOffset;
    this.#epoch = batch.leaderEpoch;
  }

  /** Applies one record without moving the offset. */
  replay(entry: MetadataRecord): void {
    if (isTopicRecord(entry)) this.#replayTopic(entry);
    else if (isBrokerRecord(entry)) this.#replayBroker(entry);
    else this.#replaySetting(entry);
  }

  /** The new image and what led to it. The builder is used up. */
  build(): MetadataDelta {
    for (const topicId of this.#partitions.keys()) this.#freeze(topicId);
    this.#partitions.clear();
    const image: MetadataImage = {
      offset: this.#offset,
      epoch: this.#epoch,
      features: this.#features.handOut(),
      brokers: this.#brokers.handOut(),
      topicsByName: this.#topicsByName.handOut(),
      topicsById: this.#topicsById.handOut(),
      collidingNames: this.#collidingNames.handOut(),
      configs: this.#configs.handOut(),
      nextProducerId: this.#nextProducerId,
    };
    const previous = this.#previous;
    const touched = [...this.#touchedTopicIds];
    return {
      previous,
      image,
      changedTopics: touched.flatMap((topicId) => image.topicsById.get(topicId) ?? []),
      removedTopics: touched.flatMap((topicId) =>
        image.topicsById.has(topicId) ? [] : (previous.topicsById.get(topicId) ?? []),
      ),
      removedTopicIds: new Set(touched.filter((topicId) => !image.topicsById.has(topicId))),
      reconfiguredTopics: [...this.#reconfiguredTopics].filter((name) => {
        const topicId = image.topicsByName.get(name)?.topicId;
        return topicId !== undefined && topicId === previous.topicsByName.get(name)?.topicId;
      }),
    };
  }

  #replayTopic({ kind, record }: TopicRecord): void {
    switch (kind) {
      case "topic":
        this.#addTopic(record);
        return;
      case "partition":
        this.#partitionsOf(record.topicId)[record.partitionId] = partitionOf(record);
        return;
      case "partitionChange": {
        const partitions = this.#partitionsOf(record.topicId);
        const partition = must(partitions[record.partitionId], "a changed partition exists");
        partitions[record.partitionId] = mergeChange(partition, record);
        return;
      }
      case "removeTopic":
        this.#removeTopic(record.topicId);
        return;
      case "clearElr":
        this.#clearElr(record.topicName);
        return;
    }
  }

  #replaySetting({ kind, record }: Exclude<MetadataRecord, TopicRecord | BrokerRecord>): void {
    switch (kind) {
      case "config":
        this.#replayConfig(record);
        return;
      case "featureLevel":
        if (record.featureLevel === 0) this.#features.delete(record.name);
        else this.#features.set(record.name, record.featureLevel);
        return;
      case "producerIds":
        assert(record.nextProducerId > this.#nextProducerId, "producer ids only rise (X4)");
        this.#nextProducerId = record.nextProducerId;
        return;
      case "noOp":
        return;
      default:
        // Never written here; to pass over it would be to lead with half a state.
        assert(false, "a metadata record is of a kind that is supported", () => kind);
    }
  }

  #addTopic({ name, topicId }: RecordOf<"topic">): void {
    assert(!this.#topicsByName.current.has(name), "a new topic's name is free", () => name);
    const topic: TopicImage = { name, topicId, partitions: [] };
    this.#topicsByName.set(name, topic);
    this.#topicsById.set(topicId, topic);
    this.#touchedTopicIds.add(topicId);
    if (hasCollisionCharacters(name)) {
      this.#collidingNames.set(unifyCollisionCharacters(name), name);
    }
  }

  #removeTopic(topicId: Uuid): void {
    const { name } = must(this.#topicsById.current.get(topicId), "a removed topic exists");
    this.#topicsById.delete(topicId);
    this.#topicsByName.delete(name);
    this.#configs.delete(configKey(TOPIC_RESOURCE, name));
    this.#partitions.delete(topicId);
    this.#touchedTopicIds.add(topicId);
    const unified = unifyCollisionCharacters(name);
    if (this.#collidingNames.current.get(unified) === name) this.#collidingNames.delete(unified);
  }

  /** R6: after a change of min.insync.replicas nobody is eligible by the old rule. Empty: all topics. */
  #clearElr(topicName: string): void {
    const topics = this.#topicsByName.current;
    const cleared =
      topicName === ""
        ? [...topics.values()]
        : [must(topics.get(topicName), "a topic whose ELR is cleared exists")];
    for (const { topicId } of cleared) {
      const partitions = this.#partitionsOf(topicId);
      for (const [index, partition] of partitions.entries()) {
        if (partition.eligibleLeaderReplicas.length + partition.lastKnownElr.length === 0) continue;
        partitions[index] = {
          ...partition,
          eligibleLeaderReplicas: [],
          lastKnownElr: [],
          partitionEpoch: partition.partitionEpoch + 1,
        };
      }
    }
  }

  #replayBroker({ kind, record }: BrokerRecord): void {
    switch (kind) {
      case "registerBroker":
        this.#brokers.set(record.brokerId, {
          brokerId: record.brokerId,
          brokerEpoch: record.brokerEpoch,
          incarnationId: record.incarnationId,
          endPoints: record.endPoints,
          rack: record.rack,
          logDirs: record.logDirs,
          isFenced: record.fenced,
          isInControlledShutdown: record.inControlledShutdown,
        });
        return;
      case "unregisterBroker":
        this.#registered(record.brokerId, record.brokerEpoch);
        this.#brokers.delete(record.brokerId);
        return;
      case "fenceBroker":
      case "unfenceBroker": {
        const broker = this.#registered(record.id, record.epoch);
        this.#brokers.set(record.id, { ...broker, isFenced: kind === "fenceBroker" });
        return;
      }
      case "brokerRegistrationChange":
        this.#changeRegistration(record);
        return;
    }
  }

  #changeRegistration(record: RecordOf<"brokerRegistrationChange">): void {
    const broker = this.#registered(record.brokerId, record.brokerEpoch);
    this.#brokers.set(record.brokerId, {
      ...broker,
      isFenced: record.fenced === FENCE || (broker.isFenced && record.fenced !== UNFENCE),
      isInControlledShutdown:
        broker.isInControlledShutdown || record.inControlledShutdown === FENCE,
      logDirs: record.logDirs.length > 0 ? record.logDirs : broker.logDirs,
    });
  }

  #registered(brokerId: number, brokerEpoch: number): BrokerImage {
    const broker = must(this.#brokers.current.get(brokerId), "a changed broker is registered");
    assert(broker.brokerEpoch === brokerEpoch, "a change names the broker's incarnation (K16)");
    return broker;
  }

  #replayConfig(record: RecordOf<"config">): void {
    const key = configKey(record.resourceType, record.resourceName);
    const config = new Map(this.#configs.current.get(key));
    if (record.value === null) config.delete(record.name);
    else config.set(record.name, record.value);
    if (config.size === 0) this.#configs.delete(key);
    else this.#configs.set(key, config);
    if (record.resourceType === TOPIC_RESOURCE) this.#reconfiguredTopics.add(record.resourceName);
  }

  #partitionsOf(topicId: Uuid): PartitionImage[] {
    let partitions = this.#partitions.get(topicId);
    if (partitions === undefined) {
      const topic = must(this.#topicsById.current.get(topicId), "a partition's topic exists");
      partitions = [...topic.partitions];
      this.#partitions.set(topicId, partitions);
      this.#touchedTopicIds.add(topicId);
    }
    return partitions;
  }

  #freeze(topicId: Uuid): void {
    const partitions = must(this.#partitions.get(topicId), "a touched topic has partitions");
    for (let index = 0; index < partitions.length; index += 1) {
      assert(partitions[index] !== undefined, "partitions have no gaps");
    }
    const topic = must(this.#topicsById.current.get(topicId), "a touched topic exists");
    const frozen = { ...topic, partitions };
    this.#topicsById.set(topicId, frozen);
    this.#topicsByName.set(topic.name, frozen);
  }
}

type TopicRecord = Extract<
  MetadataRecord,
  { kind: "topic" | "partition" | "partitionChange" | "removeTopic" | "clearElr" }
>;

type BrokerRecord = Extract<
  MetadataRecord,
  {
    kind:
      | "registerBroker"
      | "unregisterBroker"
      | "fenceBroker"
      | "unfenceBroker"
      | "brokerRegistrationChange";
  }
>;

const TOPIC_KINDS: ReadonlySet<string> = new Set<TopicRecord["kind"]>([
  "topic",
  "partition",
  "partitionChange",
  "removeTopic",
  "clearElr",
]);

const BROKER_KINDS: ReadonlySet<string> = new Set<BrokerRecord["kind"]>([
  "registerBroker",
  "unregisterBroker",
  "fenceBroker",
  "unfenceBroker",
  "brokerRegistrationChange",
]);

function isTopicRecord(entry: MetadataRecord): entry is TopicRecord {
  return TOPIC_KINDS.has(entry.kind);
}

function isBrokerRecord(entry: MetadataRecord): entry is BrokerRecord {
  return BROKER_KINDS.has(entry.kind);
}

function partitionOf(record: RecordOf<"partition">): PartitionImage {
  return {
    partitionIndex: record.partitionId,
    replicas: record.replicas,
    directories: record.directories,
    isr: record.isr,
    removingReplicas: record.removingReplicas,
    addingReplicas: record.addingReplicas,
    eligibleLeaderReplicas: record.eligibleLeaderReplicas ?? [],
    lastKnownElr: record.lastKnownElr ?? [],
    leader: record.leader,
    leaderRecoveryState: record.leaderRecoveryState,
    leaderEpoch: record.leaderEpoch,
    partitionEpoch: record.partitionEpoch,
  };
}

/** As Kafka merges: null and the two marks mean "as it was"; a named leader is a new leader epoch. */
function mergeChange(
  partition: PartitionImage,
  change: RecordOf<"partitionChange">,
): PartitionImage {
  const isLeaderChanged = change.leader !== LEADER_UNCHANGED;
  return {
    partitionIndex: partition.partitionIndex,
    replicas: change.replicas ?? partition.replicas,
    directories: change.directories ?? partition.directories,
    isr: change.isr ?? partition.isr,
    removingReplicas: change.removingReplicas ?? partition.removingReplicas,
    addingReplicas: change.addingReplicas ?? partition.addingReplicas,
    eligibleLeaderReplicas: change.eligibleLeaderReplicas ?? partition.eligibleLeaderReplicas,
    lastKnownElr: change.lastKnownElr ?? partition.lastKnownElr,
    leader: isLeaderChanged ? change.leader : partition.leader,
    leaderRecoveryState:
      change.leaderRecoveryState === RECOVERY_STATE_UNCHANGED
        ? partition.leaderRecoveryState
        : change.leaderRecoveryState,
    leaderEpoch: partition.leaderEpoch + (isLeaderChanged ? 1 : 0),
    partitionEpoch: partition.partitionEpoch + 1,
  };
}

/** A map that is copied at its first change. */
class CopyOnWrite<K, V> {
  #map: ReadonlyMap<K, V>;
  #own: Map<K, V> | null = null;

  constructor(map: ReadonlyMap<K, V>) {
    this.#map = map;
  }

  get current(): ReadonlyMap<K, V> {
    return this.#map;
  }

  /** For an image, which does not change: the next change copies again. */
  handOut(): ReadonlyMap<K, V> {
    this.#own = null;
    return this.#map;
  }

  set(key: K, value: V): void {
    this.#writable().set(key, value);
  }

  delete(key: K): void {
    if (this.#map.has(key)) this.#writable().delete(key);
  }

  #writable(): Map<K, V> {
    if (this.#own === null) {
      this.#own = new Map(this.#map);
      this.#map = this.#own;
    }
    return this.#own;
  }
}
