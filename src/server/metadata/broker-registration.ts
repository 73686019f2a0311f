import { assert, must } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";
import {
  type ControllerResult,
  METADATA_VERSION,
  metadataRecord,
  SUPPORTED_FEATURES,
} from "./controller.ts";
import {
  type BrokerImage,
  type EndPointImage,
  type MetadataImage,
  NO_LEADER,
  type PartitionImage,
  type TopicImage,
  UNASSIGNED_DIRECTORY,
} from "./image.ts";

export interface RegisterBrokerCommand {
  readonly brokerId: number;
  /** New at every start of the process. */
  readonly incarnationId: Uuid;
  readonly endPoints: readonly EndPointImage[];
  readonly rack: string | null;
  /** Ids of the directories that this process holds the locks of. */
  readonly logDirs: readonly Uuid[];
  /** Whether one of log.dirs could not be opened: what is not in `logDirs` may lie there. */
  readonly hasOfflineDirectories?: boolean;
  /** From `.kafka_cleanshutdown`; null: there was none. */
  readonly previousBrokerEpoch: number | null;
}

/** The name that clients must find finalized, and Kafka's own level of it. */
const BOOTSTRAP_FEATURES = [
  { name: "metadata.version", featureLevel: METADATA_VERSION },
  { name: "eligible.leader.replicas.version", featureLevel: 1 },
] as const;

/** Kafka's BrokerRegistrationFencingChange.UNFENCE. */
const UNFENCE = -1;

/** What a new cluster begins with, as `kafka-storage format` does. Nothing once it has begun. */
export function bootstrapCluster(image: MetadataImage): ControllerResult<null> {
  const records = BOOTSTRAP_FEATURES.filter(({ name }) => !image.features.has(name)).map(
    (feature) => metadataRecord("featureLevel", feature),
  );
  // A cluster that has begun has its levels, or somebody has taken one away on purpose.
  return { records: image.features.size === 0 ? records : [], answer: null };
}

/**
 * A new incarnation of the broker: fenced, with the offset of its own record as its epoch (K16), and
 * `nextOffset` is where the records will be appended. It is clean only if it remembers the epoch that
 * is registered (R5).
 */
export function registerBroker(
  image: MetadataImage,
  command: RegisterBrokerCommand,
  nextOffset: number,
): ControllerResult<{ readonly brokerEpoch: number; readonly isClean: boolean }> {
  const registered = image.brokers.get(command.brokerId);
  const isClean =
    registered === undefined || registered.brokerEpoch === command.previousBrokerEpoch;
  const record = metadataRecord("registerBroker", {
    brokerId: command.brokerId,
    incarnationId: command.incarnationId,
    brokerEpoch: nextOffset,
    endPoints: command.endPoints.map(({ name, host, port, securityProtocol }) => ({
      name,
      host,
      port,
      securityProtocol,
    })),
    features: SUPPORTED_FEATURES.map(({ name, minVersion, maxVersion }) => ({
      name,
      minSupportedVersion: minVersion,
      maxSupportedVersion: maxVersion,
    })),
    rack: command.rack,
    fenced: true,
    logDirs: command.logDirs,
  });
  return { records: [record], answer: { brokerEpoch: nextOffset, isClean } };
}

/**
 * Between registration and unfencing (R5): takes the broker's word for what it holds. A replica whose
 * directory is not there any more is empty: it leaves ISR, ELR and LastKnownElr, even as the last
 * member; while a directory is offline, it may be there, and comes back with it. After an unclean shutdown every other one moves from ISR and ELR to LastKnownElr. Either way
 * the leader epoch rises, also if nobody else can lead: the old incarnation may have given out offsets
 * that a power cut has taken back, and they must not be given out again in the same epoch. Answers with
 * the replicas that are gone.
 */
export function fenceReplicas(
  image: MetadataImage,
  {
    brokerId,
    isClean,
    hasOfflineDirectories = false,
  }: {
    readonly brokerId: number;
    readonly isClean: boolean;
    readonly hasOfflineDirectories?: boolean;
  },
): ControllerResult<{ readonly lostReplicas: readonly string[] }> {
  const broker = registered(image, brokerId);
  assert(broker.isFenced, "replicas are looked at before the broker is unfenced (R5)");
  const lostReplicas: string[] = [];
  const { records } = forEachReplica(image, brokerId, (topic, partition) => {
    const isLost = !hasOfflineDirectories && !holdsReplica(broker, partition);
    if (isLost) lostReplicas.push(`${topic.name}-${partition.partitionIndex}`);
    if (isClean && !isLost) return null;
    return withoutReplica(image, topic, partition, { brokerId, isLost });
  });
  return { records, answer: { lostReplicas } };
}

/**
 * Lets the broker lead: unfences it, and gives it the partitions that nobody leads and that it is
 * entitled to. With nobody left in ISR or ELR that is, so far, only the sole member of LastKnownElr,
 * which R11 need not wait for.
 */
export function unfenceBroker(image: MetadataImage, brokerId: number): ControllerResult<null> {
  const { brokerEpoch } = registered(image, brokerId);
  const unfence = metadataRecord("brokerRegistrationChange", {
    brokerId,
    brokerEpoch,
    fenced: UNFENCE,
  });
  const elections = forEachReplica(image, brokerId, (topic, partition) => {
    if (partition.leader !== NO_LEADER) return null;
    const { isr, eligibleLeaderReplicas, lastKnownElr } = partition;
    const isSoleLastKnown =
      isr.length + eligibleLeaderReplicas.length === 0 &&
      lastKnownElr.length === 1 &&
      lastKnownElr[0] === brokerId;
    if (isr.includes(brokerId)) {
      return change(topic, partition, { leader: brokerId });
    }
    if (!eligibleLeaderReplicas.includes(brokerId) && !isSoleLastKnown) return null;
    return change(topic, partition, {
      leader: brokerId,
      isr: [brokerId],
      eligibleLeaderReplicas: without(eligibleLeaderReplicas, brokerId),
      lastKnownElr: without(lastKnownElr, brokerId),
    });
  });
  return { records: [unfence, ...elections.records], answer: null };
}

/** Where a replica turned out to lie, for a broker with several directories. */
export interface ReplicaDirectory {
  readonly topicId: Uuid;
  readonly partitionIndex: number;
  readonly directoryId: Uuid;
}

/** Records the directories of replicas that had none, so that a wiped one is noticed later (R5). */
export function assignDirectories(
  image: MetadataImage,
  {
    brokerId,
    replicas,
  }: { readonly brokerId: number; readonly replicas: readonly ReplicaDirectory[] },
): ControllerResult<null> {
  const records = replicas.flatMap(({ topicId, partitionIndex, directoryId }) => {
    const topic = image.topicsById.get(topicId);
    const partition = topic?.partitions[partitionIndex];
    if (topic === undefined || partition === undefined) return [];
    const directories = partition.directories.map((known, index) =>
      partition.replicas[index] === brokerId ? directoryId : known,
    );
    return [change(topic, partition, { directories })];
  });
  return { records, answer: null };
}

/** The directory of the broker's replica. */
export function replicaDirectory(partition: PartitionImage, brokerId: number): Uuid {
  const index = partition.replicas.indexOf(brokerId);
  return partition.directories[index] ?? UNASSIGNED_DIRECTORY;
}

/** Whether the broker's replica is where the cluster knows it to be, or has no place yet. */
export function holdsReplica(broker: BrokerImage, partition: PartitionImage): boolean {
  const directoryId = replicaDirectory(partition, broker.brokerId);
  return directoryId === UNASSIGNED_DIRECTORY || broker.logDirs.includes(directoryId);
}

function withoutReplica(
  image: MetadataImage,
  topic: TopicImage,
  partition: PartitionImage,
  { brokerId, isLost }: { readonly brokerId: number; readonly isLost: boolean },
): Buffer | null {
  const { isr, eligibleLeaderReplicas, lastKnownElr } = partition;
  const wasSafe = isr.includes(brokerId) || eligibleLeaderReplicas.includes(brokerId);
  const isMember = wasSafe || lastKnownElr.includes(brokerId) || partition.leader === brokerId;
  if (!isMember) return null;
  const remainingIsr = without(isr, brokerId);
  const lastKnown = without(lastKnownElr, brokerId);
  const successor = remainingIsr.find((id) => image.brokers.get(id)?.isFenced === false);
  return change(topic, partition, {
    isr: remainingIsr,
    eligibleLeaderReplicas: without(eligibleLeaderReplicas, brokerId),
    lastKnownElr: isLost ? lastKnown : [...lastKnown, brokerId],
    leader: partition.leader === brokerId ? (successor ?? NO_LEADER) : partition.leader,
  });
}

type PartitionChange = Parameters<typeof metadataRecord<"partitionChange">>[1];

function change(
  topic: TopicImage,
  { partitionIndex }: PartitionImage,
  fields: Omit<PartitionChange, "topicId" | "partitionId">,
): Buffer {
  return metadataRecord("partitionChange", {
    ...fields,
    topicId: topic.topicId,
    partitionId: partitionIndex,
  });
}

function forEachReplica(
  image: MetadataImage,
  brokerId: number,
  decide: (topic: TopicImage, partition: PartitionImage) => Buffer | null,
): ControllerResult<null> {
  const records: Buffer[] = [];
  for (const topic of image.topicsById.values()) {
    for (const partition of topic.partitions) {
      if (!partition.replicas.includes(brokerId)) continue;
      const record = decide(topic, partition);
      if (record !== null) records.push(record);
    }
  }
  return { records, answer: null };
}

function registered(image: MetadataImage, brokerId: number): BrokerImage {
  return must(image.brokers.get(brokerId), "the broker is registered");
}

function without(ids: readonly number[], id: number): number[] {
  return ids.filter((other) => other !== id);
}
