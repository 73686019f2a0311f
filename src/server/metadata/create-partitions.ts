import { errorCode } from "../../protocol/errors.ts";
import type {
  CreatePartitionsRequest,
  CreatePartitionsResponse,
} from "../../protocol/messages/37-create-partitions.ts";
import {
  type ControllerResult,
  type ItemError,
  itemError,
  MAX_RECORDS_PER_REQUEST,
} from "./controller.ts";
import type { MetadataImage, TopicImage } from "./image.ts";
import { type Assignment, assignmentProblem, newPartitionRecords } from "./new-partitions.ts";
import { placeReplicas } from "./placement.ts";

export type GrowingTopic = CreatePartitionsRequest["topics"][number];
export type GrowingTopicResult = CreatePartitionsResponse["results"][number];

export interface CreatePartitionsCommand {
  readonly topics: readonly GrowingTopic[];
  readonly validateOnly: boolean;
}

type Growth = { readonly assignment: Assignment } | { readonly error: ItemError };

/**
 * CreatePartitions, with Kafka's errors and words (ReplicationControlManager, ControllerApis). A topic
 * that is refused does not hinder the others. Results come in the request's order, then the names that
 * were given twice, which are all refused.
 */
export function createPartitions(
  image: MetadataImage,
  command: CreatePartitionsCommand,
): ControllerResult<readonly GrowingTopicResult[]> {
  const counts = new Map<string, number>();
  for (const { name } of command.topics) counts.set(name, (counts.get(name) ?? 0) + 1);
  const records: Buffer[] = [];
  const answer: GrowingTopicResult[] = [];
  for (const wanted of command.topics) {
    if (counts.get(wanted.name) !== 1) continue;
    const topic = image.topicsByName.get(wanted.name);
    if (topic === undefined) {
      answer.push(refusedGrowth(wanted.name, itemError("UNKNOWN_TOPIC_OR_PARTITION")));
      continue;
    }
    const growth = growthOf(image, topic, wanted, MAX_RECORDS_PER_REQUEST - records.length);
    if ("error" in growth) {
      answer.push(refusedGrowth(wanted.name, growth.error));
      continue;
    }
    const { topicId, partitions } = topic;
    records.push(...newPartitionRecords(image, topicId, growth.assignment, partitions.length));
    answer.push({ name: wanted.name, errorCode: 0, errorMessage: null });
  }
  for (const [name, count] of counts) {
    if (count === 1) continue;
    answer.push(refusedGrowth(name, itemError("INVALID_REQUEST", "Duplicate topic name.")));
  }
  return { records: command.validateOnly ? [] : records, answer };
}

/** A topic that was not grown. */
export function refusedGrowth(name: string, error: ItemError): GrowingTopicResult {
  return { name, errorCode: errorCode(error.name), errorMessage: error.message };
}

function growthOf(
  image: MetadataImage,
  topic: TopicImage,
  { name, count, assignments }: GrowingTopic,
  recordsLeft: number,
): Growth {
  const before = topic.partitions.length;
  const invalid = (message: string): Growth => ({
    error: itemError("INVALID_PARTITIONS", message),
  });
  if (count === before) return invalid(`Topic already has ${before} partition(s).`);
  if (count < before) {
    return invalid(
      `The topic ${name} currently has ${before} partition(s); ${count} would not be an increase.`,
    );
  }
  const added = count - before;
  if (assignments !== null && assignments.length !== added) {
    const message =
      `Attempted to add ${added} additional partition(s), but only ${assignments.length} ` +
      "assignment(s) were specified.";
    return { error: itemError("INVALID_REPLICA_ASSIGNMENT", message) };
  }
  // Before anything of that size is made: the count is the client's to choose.
  if (added > recordsLeft) {
    const message = "Excessively large number of partitions per request.";
    return { error: itemError("POLICY_VIOLATION", message) };
  }
  const replicationFactor = topic.partitions[0]?.replicas.length ?? 0;
  if (assignments === null) return placed(image, topic, added);
  const chosen = assignments.map(({ brokerIds }) => brokerIds);
  for (const [index, brokerIds] of chosen.entries()) {
    const problem = assignmentProblem(image, before + index, brokerIds, replicationFactor);
    if (problem !== null) return { error: itemError("INVALID_REPLICA_ASSIGNMENT", problem) };
  }
  return { assignment: chosen };
}

function placed(image: MetadataImage, topic: TopicImage, partitionCount: number): Growth {
  const existing = topic.partitions.map(({ replicas }) => replicas);
  const { topicId } = topic;
  const replicationFactor = existing[0]?.length ?? 0;
  const terms = { partitionCount, replicationFactor, topicId, existing };
  const result = placeReplicas(image, terms);
  return result.kind === "placed"
    ? { assignment: result.placements }
    : { error: itemError("INVALID_REPLICATION_FACTOR", result.reason) };
}
