import { errorCode } from "../../protocol/errors.ts";
import type {
  ElectLeadersRequest,
  ElectLeadersResponse,
} from "../../protocol/messages/43-elect-leaders.ts";
import { holdsReplica } from "./broker-registration.ts";
import { type ControllerResult, type ItemError, itemError, metadataRecord } from "./controller.ts";
import { type MetadataImage, NO_LEADER, type PartitionImage, type TopicImage } from "./image.ts";

export type TopicPartitions = NonNullable<ElectLeadersRequest["topicPartitions"]>[number];
export type ElectionResults = ElectLeadersResponse["replicaElectionResults"];
type PartitionResult = ElectionResults[number]["partitionResult"][number];

export type ElectionType = "preferred" | "unclean";

export interface ElectLeadersCommand {
  readonly electionType: ElectionType;
  /** null: all partitions; of those only what was elected, or could not be, is answered. */
  readonly topicPartitions: readonly TopicPartitions[] | null;
}

interface Election {
  readonly record: Buffer | null;
  readonly error: ItemError | null;
}

/** Kafka's LeaderRecoveryState of a leader that was elected without having all that was committed. */
const RECOVERING = 1;

/**
 * ElectLeaders, with Kafka's errors and words (ReplicationControlManager, PartitionChangeBuilder). A
 * replica whose directory is gone is never elected, not even uncleanly: it has nothing (R5).
 */
export function electLeaders(
  image: MetadataImage,
  { electionType, topicPartitions }: ElectLeadersCommand,
): ControllerResult<ElectionResults> {
  const records: Buffer[] = [];
  const elect = (topic: string, partitionId: number): PartitionResult => {
    const { record, error } = electLeader(image, topic, partitionId, electionType);
    if (record !== null) records.push(record);
    return {
      partitionId,
      errorCode: errorCode(error?.name ?? "NONE"),
      errorMessage: error?.message ?? null,
    };
  };
  const answer =
    topicPartitions?.map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => elect(topic, partitionId)),
    })) ??
    [...image.topicsByName.values()].map((topic) => ({
      topic: topic.name,
      partitionResult: topic.partitions
        .map(({ partitionIndex }) => elect(topic.name, partitionIndex))
        .filter((result) => result.errorCode !== errorCode("ELECTION_NOT_NEEDED")),
    }));
  return { records, answer };
}

/** The results when nobody was elected because of the error. */
export function refusedElections(
  topicPartitions: readonly TopicPartitions[] | null,
  error: ItemError,
): ElectionResults {
  return (topicPartitions ?? []).map(({ topic, partitions }) => ({
    topic,
    partitionResult: partitions.map((partitionId) => ({
      partitionId,
      errorCode: errorCode(error.name),
      errorMessage: error.message,
    })),
  }));
}

function electLeader(
  image: MetadataImage,
  name: string,
  partitionIndex: number,
  electionType: ElectionType,
): Election {
  const topic = image.topicsByName.get(name);
  if (topic === undefined) return unknown(`No such topic as ${name}`);
  const partition = topic.partitions[partitionIndex];
  if (partition === undefined) return unknown(`No such partition as ${name}-${partitionIndex}`);
  const isNotNeeded =
    electionType === "preferred"
      ? partition.leader === partition.replicas[0]
      : partition.leader !== NO_LEADER;
  if (isNotNeeded) return refused("ELECTION_NOT_NEEDED");
  const record =
    cleanElection(image, topic, partition) ??
    (electionType === "unclean" ? uncleanElection(image, topic, partition) : null);
  if (record !== null) return { record, error: null };
  return refused(
    electionType === "preferred"
      ? "PREFERRED_LEADER_NOT_AVAILABLE"
      : "ELIGIBLE_LEADERS_NOT_AVAILABLE",
  );
}

/** By a replica that has all that was committed: the first one that can, unless it leads already. */
function cleanElection(
  image: MetadataImage,
  topic: TopicImage,
  partition: PartitionImage,
): Buffer | null {
  const { replicas, isr, eligibleLeaderReplicas } = partition;
  const isEligible = (brokerId: number): boolean =>
    isr.includes(brokerId) || (isr.length === 0 && eligibleLeaderReplicas.includes(brokerId));
  const canLead = (brokerId: number): boolean =>
    isEligible(brokerId) && isAcceptable(image, partition, brokerId);
  const [preferred] = replicas;
  if (preferred !== undefined && canLead(preferred)) return elected(topic, partition, preferred);
  if (canLead(partition.leader)) return null;
  const other = replicas.find(canLead);
  return other === undefined ? null : elected(topic, partition, other);
}

function elected(topic: TopicImage, partition: PartitionImage, leader: number): Buffer {
  const { isr, eligibleLeaderReplicas } = partition;
  return metadataRecord("partitionChange", {
    topicId: topic.topicId,
    partitionId: partition.partitionIndex,
    leader,
    ...(isr.includes(leader)
      ? {}
      : {
          isr: [leader],
          eligibleLeaderReplicas: eligibleLeaderReplicas.filter((each) => each !== leader),
        }),
  });
}

/** By any replica that is there: what it does not have is lost (R7). */
function uncleanElection(
  image: MetadataImage,
  topic: TopicImage,
  partition: PartitionImage,
): Buffer | null {
  const leader = partition.replicas.find((each) => isAcceptable(image, partition, each));
  if (leader === undefined) return null;
  return metadataRecord("partitionChange", {
    topicId: topic.topicId,
    partitionId: partition.partitionIndex,
    leader,
    isr: [leader],
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    leaderRecoveryState: RECOVERING,
  });
}

function isAcceptable(image: MetadataImage, partition: PartitionImage, brokerId: number): boolean {
  const broker = image.brokers.get(brokerId);
  if (broker === undefined || broker.isFenced || broker.isInControlledShutdown) return false;
  return holdsReplica(broker, partition);
}

function unknown(message: string): Election {
  return { record: null, error: itemError("UNKNOWN_TOPIC_OR_PARTITION", message) };
}

function refused(name: ItemError["name"]): Election {
  return { record: null, error: itemError(name) };
}
