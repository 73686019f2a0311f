import type { MetadataRecord } from "../../protocol/metadata-records.ts";
import type { BrokerImage, ControllerImage, FeatureRange, PartitionImage } from "./image.ts";

export type RecordOf<K extends MetadataRecord["kind"]> = Extract<
  MetadataRecord,
  { kind: K }
>["record"];

/** -2 in a PartitionChangeRecord: the leader stays. */
const LEADER_UNCHANGED = -2;
const RECOVERY_STATE_UNCHANGED = -1;
/** Kafka's three-valued changes of a registration; 0 leaves it as it was. */
export const FENCE = 1;
export const UNFENCE = -1;

export type TopicRecord = Extract<
  MetadataRecord,
  { kind: "topic" | "partition" | "partitionChange" | "removeTopic" | "clearElr" }
>;

export type BrokerRecord = Extract<
  MetadataRecord,
  {
    kind:
      | "registerBroker"
      | "unregisterBroker"
      | "fenceBroker"
      | "unfenceBroker"
      | "brokerRegistrationChange"
      | "registerController";
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
  "registerController",
]);

export function isTopicRecord(entry: MetadataRecord): entry is TopicRecord {
  return TOPIC_KINDS.has(entry.kind);
}

export function isBrokerRecord(entry: MetadataRecord): entry is BrokerRecord {
  return BROKER_KINDS.has(entry.kind);
}

export function brokerOf(record: RecordOf<"registerBroker">): BrokerImage {
  return {
    brokerId: record.brokerId,
    brokerEpoch: record.brokerEpoch,
    incarnationId: record.incarnationId,
    endPoints: record.endPoints,
    features: rangesOf(record.features),
    rack: record.rack,
    logDirs: record.logDirs,
    isFenced: record.fenced,
    isInControlledShutdown: record.inControlledShutdown,
  };
}

export function controllerOf(record: RecordOf<"registerController">): ControllerImage {
  const { controllerId, incarnationId, endPoints } = record;
  return { controllerId, incarnationId, endPoints, features: rangesOf(record.features) };
}

/** A registration after the change: what the record does not name stays. */
export function changedRegistration(
  broker: BrokerImage,
  record: RecordOf<"brokerRegistrationChange">,
): BrokerImage {
  return {
    ...broker,
    isFenced: record.fenced === FENCE || (broker.isFenced && record.fenced !== UNFENCE),
    isInControlledShutdown: broker.isInControlledShutdown || record.inControlledShutdown === FENCE,
    logDirs: record.logDirs.length > 0 ? record.logDirs : broker.logDirs,
  };
}

function rangesOf(features: RecordOf<"registerBroker">["features"]): FeatureRange[] {
  return features.map(({ name, minSupportedVersion, maxSupportedVersion }) => ({
    name,
    minVersion: minSupportedVersion,
    maxVersion: maxSupportedVersion,
  }));
}

export function partitionOf(record: RecordOf<"partition">): PartitionImage {
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
export function mergeChange(
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
