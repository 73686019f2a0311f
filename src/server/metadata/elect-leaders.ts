import { errorCode } from "../../protocol/errors.ts";
import type {
  ElectLeadersRequest,
  ElectLeadersResponse,
} from "../../protocol/messages/43-elect-leaders.ts";
import { type ControllerResult, type ItemError, itemError } from "./controller.ts";
import { type MetadataImage, NO_LEADER, type PartitionImage, type TopicImage } from "./image.ts";
import type { Election } from "./leader-election.ts";
import { changePartition, partitionChangeRecord } from "./partition-change.ts";
import { type PartitionRules, partitionRules, type RulesOf } from "./partition-rules.ts";
import type { TopicConfigs } from "./topic-configs.ts";

export type TopicPartitions = NonNullable<ElectLeadersRequest["topicPartitions"]>[number];
export type ElectionResults = ElectLeadersResponse["replicaElectionResults"];
type PartitionResult = ElectionResults[number]["partitionResult"][number];

export type ElectionType = "preferred" | "unclean";

export interface ElectLeadersCommand {
  readonly electionType: ElectionType;
  /** null: all partitions; of those only what was elected, or could not be, is answered. */
  readonly topicPartitions: readonly TopicPartitions[] | null;
}

interface Outcome {
  readonly record: Buffer | null;
  readonly error: ItemError | null;
}

/**
 * ElectLeaders, with Kafka's errors and words (ReplicationControlManager, PartitionChangeBuilder). A
 * replica whose directory is gone is never elected, not even uncleanly: it has nothing (R5).
 */
export function electLeaders(
  image: MetadataImage,
  { electionType, topicPartitions }: ElectLeadersCommand,
  topicConfigs: TopicConfigs,
): ControllerResult<ElectionResults> {
  const rulesOf = partitionRules(image, topicConfigs);
  const records: Buffer[] = [];
  const elect = (topic: string, partitionId: number): PartitionResult => {
    const { record, error } = electLeader(image, topic, partitionId, electionType, rulesOf);
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
  rulesOf: RulesOf,
): Outcome {
  const topic = image.topicsByName.get(name);
  if (topic === undefined) return unknown(`No such topic as ${name}`);
  const partition = topic.partitions[partitionIndex];
  if (partition === undefined) return unknown(`No such partition as ${name}-${partitionIndex}`);
  const isNotNeeded =
    electionType === "preferred"
      ? partition.leader === partition.replicas[0]
      : partition.leader !== NO_LEADER;
  if (isNotNeeded) return refused("ELECTION_NOT_NEEDED");
  const record = electionRecord(image, topic, partition, rulesOf(topic), { kind: electionType });
  if (record !== null) return { record, error: null };
  return refused(
    electionType === "preferred"
      ? "PREFERRED_LEADER_NOT_AVAILABLE"
      : "ELIGIBLE_LEADERS_NOT_AVAILABLE",
  );
}

/** The change that makes somebody else, or anybody, lead; null: nobody may. */
export function electionRecord(
  image: MetadataImage,
  topic: TopicImage,
  partition: PartitionImage,
  rules: PartitionRules,
  election: Election,
): Buffer | null {
  const change = changePartition(image, partition, rules, { election });
  // A change without a leader is no answer to who wanted one.
  if (change?.leader === undefined || change.leader === NO_LEADER) return null;
  return partitionChangeRecord(topic, partition, change);
}

function unknown(message: string): Outcome {
  return { record: null, error: itemError("UNKNOWN_TOPIC_OR_PARTITION", message) };
}

function refused(name: ItemError["name"]): Outcome {
  return { record: null, error: itemError(name) };
}
