import { assert, must } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";
import type { CommittedBatch } from "../../raft/raft-client.ts";
import { decodeMetadataRecord, type MetadataRecord } from "../../protocol/metadata-records.ts";
import { CopyOnWrite } from "./copy-on-write.ts";
import {
  type BrokerImage,
  type ConfigImage,
  configKey,
  type ControllerImage,
  EMPTY_IMAGE,
  type MetadataImage,
  type PartitionImage,
  type TopicImage,
  TOPIC_RESOURCE,
} from "./image.ts";
import {
  brokerOf,
  type BrokerRecord,
  changedRegistration,
  controllerOf,
  isBrokerRecord,
  isTopicRecord,
  mergeChange,
  partitionOf,
  type RecordOf,
  type TopicRecord,
} from "./record-replay.ts";
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

/** The delta between two images that no records lead from one to the other: a snapshot was loaded. */
export function deltaBetween(previous: MetadataImage, image: MetadataImage): MetadataDelta {
  const removedTopics = [...previous.topicsById.values()].filter(
    ({ topicId }) => !image.topicsById.has(topicId),
  );
  return {
    previous,
    image,
    changedTopics: [...image.topicsById.values()],
    removedTopics,
    removedTopicIds: new Set(removedTopics.map(({ topicId }) => topicId)),
    // The images share nothing, so every topic's settings may be others.
    reconfiguredTopics: [...image.topicsById.values()].flatMap(({ name, topicId }) =>
      previous.topicsById.has(topicId) ? [name] : [],
    ),
  };
}

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
  readonly #controllers: CopyOnWrite<number, ControllerImage>;
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
    this.#controllers = new CopyOnWrite(image.controllers);
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

  /** Says up to where the log is contained, once the records of a snapshot have been replayed. */
  moveTo(offset: number, epoch: number): void {
    assert(offset >= this.#offset, "an image never goes back (K17)");
    this.#offset = offset;
    this.#epoch = epoch;
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
      controllers: this.#controllers.handOut(),
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
        this.#brokers.set(record.brokerId, brokerOf(record));
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
      case "brokerRegistrationChange": {
        const broker = this.#registered(record.brokerId, record.brokerEpoch);
        this.#brokers.set(record.brokerId, changedRegistration(broker, record));
        return;
      }
      case "registerController":
        this.#controllers.set(record.controllerId, controllerOf(record));
        return;
    }
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
