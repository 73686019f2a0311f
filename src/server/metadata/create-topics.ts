import { must } from "../../base/assert.ts";
import { type Uuid, ZERO_UUID } from "../../base/ids.ts";
import { errorCode } from "../../protocol/errors.ts";
import type {
  CreateTopicsRequest,
  CreateTopicsResponse,
} from "../../protocol/messages/19-create-topics.ts";
import {
  type ControllerResult,
  itemError,
  type ItemError,
  MAX_RECORDS_PER_REQUEST,
  metadataRecord,
} from "./controller.ts";
import { type MetadataImage, TOPIC_RESOURCE } from "./image.ts";
import { type Assignment, assignmentProblem, newPartitionRecords } from "./new-partitions.ts";
import { placeReplicas } from "./placement.ts";
import { fitsOneBatch } from "./record-batches.ts";
import { configSourceId, type TopicConfigs } from "./topic-configs.ts";
import {
  CLUSTER_METADATA_TOPIC,
  hasCollisionCharacters,
  topicNameProblem,
  unifyCollisionCharacters,
} from "./topic-names.ts";

export type CreatableTopic = CreateTopicsRequest["topics"][number];
export type CreatableTopicResult = CreateTopicsResponse["topics"][number];

export interface CreateTopicsCommand {
  readonly topics: readonly CreatableTopic[];
  /** Ids for the topics that are made, at least as many as `topics`. */
  readonly topicIds: readonly Uuid[];
  readonly validateOnly: boolean;
}

/** What the broker's settings say about new topics. */
export interface CreateTopicsDefaults {
  readonly numPartitions: number;
  readonly replicationFactor: number;
  readonly topicConfigs: TopicConfigs;
}

/** Either what a topic gets, or why it gets nothing. */
type Plan =
  | { readonly error: ItemError }
  | { readonly error: null; readonly assignment: Assignment; readonly overrides: Overrides };

type Overrides = ReadonlyMap<string, string>;

/**
 * CreateTopics, with Kafka's errors and words (ReplicationControlManager, ControllerApis). A topic that
 * is refused does not hinder the others, which are created together or not at all. Results come in the
 * request's order, then the names that were given twice.
 */
export function createTopics(
  image: MetadataImage,
  command: CreateTopicsCommand,
  defaults: CreateTopicsDefaults,
): ControllerResult<readonly CreatableTopicResult[]> {
  const { unique, repeated } = splitRepeated(command.topics);
  const topicConfigs = defaults.topicConfigs.under(image);
  const records: Buffer[] = [];
  const results: CreatableTopicResult[] = [];
  const newNames = new Map<string, string>();
  for (const [index, topic] of unique.entries()) {
    const topicId = must(command.topicIds[index], "there is an id for each topic");
    const plan = planTopic(image, topic, topicId, { ...defaults, topicConfigs }, newNames);
    if (plan.error !== null) {
      results.push(refused(topic.name, plan.error));
      continue;
    }
    if (hasCollisionCharacters(topic.name)) {
      newNames.set(unifyCollisionCharacters(topic.name), topic.name);
    }
    records.push(...recordsFor(image, topic.name, topicId, plan));
    results.push(created(topic.name, topicId, plan, topicConfigs));
  }
  for (const name of repeated) {
    results.push(refused(name, itemError("INVALID_REQUEST", "Duplicate topic name.")));
  }
  if (!fitsOneBatch(records)) {
    const error = itemError(
      "POLICY_VIOLATION",
      "Excessively large number of partitions per request.",
    );
    return { records: [], answer: command.topics.map(({ name }) => refused(name, error)) };
  }
  return { records: command.validateOnly ? [] : records, answer: results };
}

/** A topic that was not made. */
export function refused(name: string, error: ItemError): CreatableTopicResult {
  return {
    name,
    topicId: ZERO_UUID,
    errorCode: errorCode(error.name),
    errorMessage: error.message,
    topicConfigErrorCode: 0,
    numPartitions: -1,
    replicationFactor: -1,
    configs: [],
  };
}

function created(
  name: string,
  topicId: Uuid,
  plan: Extract<Plan, { error: null }>,
  topicConfigs: TopicConfigs,
): CreatableTopicResult {
  return {
    name,
    topicId,
    errorCode: 0,
    errorMessage: null,
    topicConfigErrorCode: 0,
    numPartitions: plan.assignment.length,
    replicationFactor: plan.assignment[0]?.length ?? 0,
    configs: topicConfigs.entries(plan.overrides).map((entry) => ({
      name: entry.name,
      value: entry.value,
      readOnly: false,
      configSource: configSourceId(entry.source),
      isSensitive: false,
    })),
  };
}

/** Names given twice are all refused: nobody can say which of them was meant. */
function splitRepeated(topics: readonly CreatableTopic[]): {
  readonly unique: readonly CreatableTopic[];
  readonly repeated: readonly string[];
} {
  const counts = new Map<string, number>();
  for (const { name } of topics) counts.set(name, (counts.get(name) ?? 0) + 1);
  return {
    unique: topics.filter(({ name }) => counts.get(name) === 1),
    repeated: [...counts].flatMap(([name, count]) => (count > 1 ? [name] : [])),
  };
}

function planTopic(
  image: MetadataImage,
  topic: CreatableTopic,
  topicId: Uuid,
  defaults: CreateTopicsDefaults,
  newNames: ReadonlyMap<string, string>,
): Plan {
  const nameError = checkName(image, topic.name, newNames);
  if (nameError !== null) return { error: nameError };
  const nullConfigs = topic.configs.filter(({ value }) => value === null);
  if (nullConfigs.length > 0) {
    const names = nullConfigs.map(({ name }) => name).join(",");
    return invalidConfig(`Null value not supported for topic configs: ${names}`);
  }
  const overrides = new Map(topic.configs.map(({ name, value }) => [name, value ?? ""]));
  const problem = defaults.topicConfigs.problem(overrides);
  if (problem !== null) return invalidConfig(problem);
  const assigned =
    topic.assignments.length > 0
      ? manualAssignment(image, topic)
      : automaticAssignment(image, topic, topicId, defaults);
  return "error" in assigned
    ? assigned
    : { error: null, assignment: assigned.assignment, overrides };
}

function checkName(
  image: MetadataImage,
  name: string,
  newNames: ReadonlyMap<string, string>,
): ItemError | null {
  if (name === CLUSTER_METADATA_TOPIC) {
    return itemError(
      "INVALID_REQUEST",
      `Creation of internal topic ${CLUSTER_METADATA_TOPIC} is prohibited.`,
    );
  }
  if (image.topicsByName.has(name)) {
    return itemError("TOPIC_ALREADY_EXISTS", `Topic '${name}' already exists.`);
  }
  const problem = topicNameProblem(name);
  if (problem !== null) return itemError("INVALID_TOPIC_EXCEPTION", problem);
  if (!hasCollisionCharacters(name)) return null;
  const unified = unifyCollisionCharacters(name);
  const other = image.collidingNames.get(unified) ?? newNames.get(unified);
  if (other === undefined) return null;
  return itemError(
    "INVALID_TOPIC_EXCEPTION",
    `Topic '${name}' collides with existing topic: ${other}`,
  );
}

type Assigned = { readonly assignment: Assignment } | { readonly error: ItemError };

function automaticAssignment(
  image: MetadataImage,
  topic: CreatableTopic,
  topicId: Uuid,
  defaults: CreateTopicsDefaults,
): Assigned {
  if (topic.replicationFactor < -1 || topic.replicationFactor === 0) {
    const message = "Replication factor must be larger than 0, or -1 to use the default value.";
    return { error: itemError("INVALID_REPLICATION_FACTOR", message) };
  }
  if (topic.numPartitions < -1 || topic.numPartitions === 0) {
    const message = "Number of partitions was set to an invalid non-positive value.";
    return { error: itemError("INVALID_PARTITIONS", message) };
  }
  const partitionCount = topic.numPartitions === -1 ? defaults.numPartitions : topic.numPartitions;
  const replicationFactor =
    topic.replicationFactor === -1 ? defaults.replicationFactor : topic.replicationFactor;
  // Before anything of that size is made: the count is the client's to choose.
  if (partitionCount > MAX_RECORDS_PER_REQUEST) {
    const message = "Excessively large number of partitions per request.";
    return { error: itemError("POLICY_VIOLATION", message) };
  }
  const terms = { partitionCount, replicationFactor, topicId, existing: [] };
  const result = placeReplicas(image, terms);
  if (result.kind === "placed") return { assignment: result.placements };
  const message = `Unable to replicate the partition ${replicationFactor} time(s): ${result.reason}`;
  return { error: itemError("INVALID_REPLICATION_FACTOR", message) };
}

function manualAssignment(image: MetadataImage, topic: CreatableTopic): Assigned {
  const manual = "A manual partition assignment was specified, but";
  if (topic.replicationFactor !== -1) {
    const message = `${manual} replication factor was not set to -1.`;
    return { error: itemError("INVALID_REQUEST", message) };
  }
  if (topic.numPartitions !== -1) {
    return { error: itemError("INVALID_REQUEST", `${manual} numPartitions was not set to -1.`) };
  }
  const byIndex = new Map<number, readonly number[]>();
  for (const { partitionIndex, brokerIds } of topic.assignments) {
    const problem = byIndex.has(partitionIndex)
      ? `Found multiple manual partition assignments for partition ${partitionIndex}`
      : assignmentProblem(image, partitionIndex, brokerIds, topic.assignments[0]?.brokerIds.length);
    if (problem !== null) return { error: itemError("INVALID_REPLICA_ASSIGNMENT", problem) };
    byIndex.set(partitionIndex, brokerIds);
  }
  const assignment: (readonly number[])[] = [];
  for (let index = 0; index < byIndex.size; index += 1) {
    const brokerIds = byIndex.get(index);
    if (brokerIds === undefined) {
      const message = "partitions should be a consecutive 0-based integer sequence";
      return { error: itemError("INVALID_REPLICA_ASSIGNMENT", message) };
    }
    assignment.push(brokerIds);
  }
  return { assignment };
}

/** In Kafka's order: the topic, its settings, its partitions. */
function recordsFor(
  image: MetadataImage,
  name: string,
  topicId: Uuid,
  { assignment, overrides }: Extract<Plan, { error: null }>,
): Buffer[] {
  return [
    metadataRecord("topic", { name, topicId }),
    ...[...overrides].map(([key, value]) =>
      metadataRecord("config", {
        resourceType: TOPIC_RESOURCE,
        resourceName: name,
        name: key,
        value,
      }),
    ),
    ...newPartitionRecords(image, topicId, assignment, 0),
  ];
}

function invalidConfig(message: string): { readonly error: ItemError } {
  return { error: itemError("INVALID_CONFIG", message) };
}
