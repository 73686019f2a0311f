import { must } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";
import { KafkaError } from "../../protocol/errors.ts";
import { encodeMetadataRecord, type METADATA_RECORDS } from "../../protocol/metadata-records.ts";
import type { Encodable } from "../../protocol/schema.ts";
import { type ControllerResult, metadataRecord } from "./controller.ts";
import { inOrder } from "./decision-chain.ts";
import { type BrokerImage, type MetadataImage, NO_LEADER, type PartitionImage } from "./image.ts";
import { canLeadIn } from "./partition-change.ts";
import { updatePartitions } from "./partition-updates.ts";
import { FENCE, UNFENCE } from "./record-replay.ts";
import { replicaDirectory } from "./replica-directories.ts";
import type { TopicConfigs } from "./topic-configs.ts";

/** One incarnation of a broker. */
export interface BrokerIncarnation {
  readonly brokerId: number;
  readonly brokerEpoch: number;
}

/** The registration that the epoch belongs to. Throws KafkaError STALE_BROKER_EPOCH, in Kafka's words. */
export function currentIncarnation(
  image: MetadataImage,
  { brokerId, brokerEpoch }: BrokerIncarnation,
): BrokerImage {
  const broker = image.brokers.get(brokerId);
  if (broker === undefined) {
    throw new KafkaError(
      "STALE_BROKER_EPOCH",
      `No broker registration found for broker id ${brokerId}`,
    );
  }
  if (broker.brokerEpoch !== brokerEpoch) {
    throw new KafkaError(
      "STALE_BROKER_EPOCH",
      `Expected broker epoch ${broker.brokerEpoch}, but got broker epoch ${brokerEpoch}`,
    );
  }
  return broker;
}

/**
 * The broker leads nothing any more and leaves every ISR; as the last member of one it goes to the ELR
 * (KIP-966). The fencing comes last: should only the first of several batches survive, the broker is not
 * yet fenced, and it is done again. Nothing, if it is fenced already.
 */
export function fenceBroker(
  image: MetadataImage,
  brokerId: number,
  topicConfigs: TopicConfigs,
): ControllerResult<null> {
  const broker = registeredBroker(image, brokerId);
  if (broker.isFenced) return { records: [], answer: null };
  const records = [
    ...withoutMember(image, brokerId, topicConfigs),
    registrationChange(broker, { fenced: FENCE }),
  ];
  return { records, answer: null };
}

/**
 * R16: this incarnation's process is known to be gone. Fenced at once; another incarnation, or one that
 * is fenced, is left alone, as the news may be old. Answers whether it was fenced.
 */
export function fenceIncarnation(
  image: MetadataImage,
  { brokerId, brokerEpoch }: BrokerIncarnation,
  topicConfigs: TopicConfigs,
): ControllerResult<boolean> {
  const broker = image.brokers.get(brokerId);
  if (broker?.brokerEpoch !== brokerEpoch || broker.isFenced) return { records: [], answer: false };
  return { ...fenceBroker(image, brokerId, topicConfigs), answer: true };
}

/**
 * Lets the broker lead: unfences it, and gives it the partitions that nobody leads and that it is
 * entitled to. Of several last known members none is taken before R11 has heard them.
 */
export function unfenceBroker(
  image: MetadataImage,
  brokerId: number,
  topicConfigs: TopicConfigs,
): ControllerResult<null> {
  const elections = updatePartitions(
    image,
    topicConfigs,
    (_topic, { leader, replicas }) =>
      leader === NO_LEADER && replicas.includes(brokerId) ? {} : null,
    { joining: brokerId },
  );
  const unfence = registrationChange(registeredBroker(image, brokerId), { fenced: UNFENCE });
  return { records: [unfence, ...elections], answer: null };
}

/**
 * Takes from a broker that is about to stop what others can have: it leaves the ISR of what it follows,
 * and of what it leads where another member can lead. What nobody else can lead it keeps until it stops.
 */
export function startControlledShutdown(
  image: MetadataImage,
  brokerId: number,
  topicConfigs: TopicConfigs,
): ControllerResult<null> {
  const broker = registeredBroker(image, brokerId);
  const change = registrationChange(broker, { inControlledShutdown: FENCE });
  const moves = updatePartitions(
    image,
    topicConfigs,
    (_topic, partition) =>
      partition.isr.includes(brokerId) && !isHeldBy(image, partition, brokerId)
        ? { isr: partition.isr.filter((id) => id !== brokerId), election: { kind: "clean" } }
        : null,
    { leaving: brokerId },
  );
  return { records: [...(broker.isInControlledShutdown ? [] : [change]), ...moves], answer: null };
}

/** Whether the broker leads something that another member of the ISR could lead. */
export function leadsForOthers(image: MetadataImage, brokerId: number): boolean {
  for (const { partitions } of image.topicsById.values()) {
    for (const partition of partitions) {
      if (partition.leader === brokerId && !isHeldBy(image, partition, brokerId)) return true;
    }
  }
  return false;
}

/** Whether only this broker can lead the partition that it leads. */
function isHeldBy(image: MetadataImage, partition: PartitionImage, brokerId: number): boolean {
  if (partition.leader !== brokerId) return false;
  return !partition.isr.some(canLeadIn(image, partition, { leaving: brokerId }));
}

/** UnregisterBroker. Throws KafkaError BROKER_ID_NOT_REGISTERED. */
export function unregisterBroker(
  image: MetadataImage,
  brokerId: number,
  topicConfigs: TopicConfigs,
): ControllerResult<null> {
  const broker = image.brokers.get(brokerId);
  if (broker === undefined) {
    throw new KafkaError(
      "BROKER_ID_NOT_REGISTERED",
      `Broker ID ${brokerId} is not currently registered`,
    );
  }
  const { brokerEpoch } = broker;
  // Nobody will know any more whether it stops cleanly, so whatever it has is asked for first (R5, R11).
  const changes = updatePartitions(
    image,
    topicConfigs,
    (_topic, partition) =>
      isSafeMember(partition, brokerId) || partition.leader === brokerId
        ? { uncleanReplica: brokerId }
        : null,
    { leaving: brokerId },
  );
  const records = [...changes, metadataRecord("unregisterBroker", { brokerId, brokerEpoch })];
  return { records, answer: null };
}

/**
 * Directories of the broker have failed: what was in them and not synced is gone (R9), so their replicas
 * move to LastKnownElr and their leaderships to others. With none left, the broker is fenced.
 */
export function takeDirectoriesOffline(
  image: MetadataImage,
  { brokerId, directoryIds }: { readonly brokerId: number; readonly directoryIds: readonly Uuid[] },
  topicConfigs: TopicConfigs,
): Buffer[] {
  const broker = registeredBroker(image, brokerId);
  const failed = broker.logDirs.filter((id) => directoryIds.includes(id));
  if (failed.length === 0) return [];
  const logDirs = broker.logDirs.filter((id) => !directoryIds.includes(id));
  const changes = updatePartitions(
    image,
    topicConfigs,
    (_topic, partition) =>
      failed.includes(replicaDirectory(partition, brokerId)) &&
      (isSafeMember(partition, brokerId) || partition.leader === brokerId)
        ? { uncleanReplica: brokerId }
        : null,
    { leaving: brokerId },
  );
  if (logDirs.length > 0) return [...changes, registrationChange(broker, { logDirs })];
  return inOrder(
    image,
    () => changes,
    (current) => fenceBroker(current, brokerId, topicConfigs).records,
  );
}

/** The broker leaves the ISRs, and what it leads is led by others, or by nobody; all that `leaves` says. */
export function withoutMember(
  image: MetadataImage,
  brokerId: number,
  topicConfigs: TopicConfigs,
  leaves: (partition: PartitionImage) => boolean = () => true,
): Buffer[] {
  return updatePartitions(
    image,
    topicConfigs,
    (_topic, partition) =>
      (partition.isr.includes(brokerId) || partition.leader === brokerId) && leaves(partition)
        ? { isr: partition.isr.filter((id) => id !== brokerId) }
        : null,
    { leaving: brokerId },
  );
}

/** Whether the broker is known to have all that is committed. */
export function isSafeMember(
  { isr, eligibleLeaderReplicas }: PartitionImage,
  brokerId: number,
): boolean {
  return isr.includes(brokerId) || eligibleLeaderReplicas.includes(brokerId);
}

export function registeredBroker(image: MetadataImage, brokerId: number): BrokerImage {
  return must(image.brokers.get(brokerId), "the broker is registered");
}

/** A change of the registration, in the version that Kafka writes it in. */
function registrationChange(
  { brokerId, brokerEpoch }: BrokerImage,
  change: Omit<
    Encodable<typeof METADATA_RECORDS.brokerRegistrationChange>,
    "brokerId" | "brokerEpoch"
  >,
): Buffer {
  const version =
    change.logDirs !== undefined ? 2 : change.inControlledShutdown === undefined ? 0 : 1;
  return encodeMetadataRecord("brokerRegistrationChange", version, {
    brokerId,
    brokerEpoch,
    ...change,
  });
}
