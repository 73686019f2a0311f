import { errorCode } from "../../protocol/errors.ts";
import type {
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse,
} from "../../protocol/messages/45-alter-partition-reassignments.ts";
import type {
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse,
} from "../../protocol/messages/46-list-partition-reassignments.ts";
import {
  type ControllerResult,
  type ItemError,
  itemError,
  MAX_RECORDS_PER_REQUEST,
} from "./controller.ts";
import type { MetadataImage, PartitionImage, TopicImage } from "./image.ts";
import { replicasProblem } from "./new-partitions.ts";
import {
  changePartition,
  partitionChangeRecord,
  type PartitionTarget,
} from "./partition-change.ts";
import { type PartitionRules, partitionRules } from "./partition-rules.ts";
import type { TopicConfigs } from "./topic-configs.ts";

export type ReassignmentCommand = Pick<
  AlterPartitionReassignmentsRequest,
  "topics" | "allowReplicationFactorChange"
>;
export type ReassignmentResults = AlterPartitionReassignmentsResponse["responses"];
type Wanted = ReassignmentCommand["topics"][number]["partitions"][number];

/**
 * AlterPartitionReassignments, with Kafka's errors and words (ReplicationControlManager). The new replicas
 * are added first; those that shall go stay until the ISR has all of the target set, which the leader's
 * AlterPartition brings about. A partition that is refused does not hinder the others.
 */
export function alterPartitionReassignments(
  image: MetadataImage,
  { topics, allowReplicationFactorChange }: ReassignmentCommand,
  topicConfigs: TopicConfigs,
): ControllerResult<ReassignmentResults> {
  const rulesOf = partitionRules(image, topicConfigs);
  const records: Buffer[] = [];
  const reassigned = new Set<PartitionImage>();
  const reassign = (name: string, wanted: Wanted): ItemError | null => {
    const topic = image.topicsByName.get(name);
    if (topic === undefined) return unknown(`Unable to find a topic named ${name}.`);
    const partition = topic.partitions[wanted.partitionIndex];
    if (partition === undefined) {
      return unknown(`Unable to find partition ${name}:${wanted.partitionIndex}.`);
    }
    if (reassigned.has(partition)) {
      return itemError("INVALID_REQUEST", "The partition is named more than once.");
    }
    const rules = rulesOf(topic);
    const target =
      wanted.replicas === null
        ? cancellation(topic, partition, rules)
        : reassignment(image, partition, wanted.replicas, allowReplicationFactorChange);
    if ("message" in target) return target;
    reassigned.add(partition);
    const change = changePartition(image, partition, rules, target);
    if (change !== null) records.push(partitionChangeRecord(topic, partition, change));
    return null;
  };
  const answer = topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((wanted) => resultOf(wanted, reassign(name, wanted))),
  }));
  if (records.length <= MAX_RECORDS_PER_REQUEST) return { records, answer };
  const error = itemError(
    "POLICY_VIOLATION",
    "Unable to perform excessively large batch operation.",
  );
  return { records: [], answer: refusedReassignments(topics, error) };
}

/** The results when nothing was reassigned because of the error. */
export function refusedReassignments(
  topics: ReassignmentCommand["topics"],
  error: ItemError,
): ReassignmentResults {
  return topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((wanted) => resultOf(wanted, error)),
  }));
}

/** ListPartitionReassignments: those under way, of the named partitions or of all. */
export function listPartitionReassignments(
  image: MetadataImage,
  topics: ListPartitionReassignmentsRequest["topics"],
): ListPartitionReassignmentsResponse["topics"] {
  const asked = topics?.flatMap(({ name, partitionIndexes }) => {
    const topic = image.topicsByName.get(name);
    const partitions = partitionIndexes.flatMap((index) => topic?.partitions[index] ?? []);
    return [{ name, partitions }];
  }) ?? [...image.topicsByName.values()];
  return asked
    .map(({ name, partitions }) => ({
      name,
      partitions: partitions.filter(isReassigned).map((partition) => ({
        partitionIndex: partition.partitionIndex,
        replicas: [...partition.replicas],
        addingReplicas: [...partition.addingReplicas],
        removingReplicas: [...partition.removingReplicas],
      })),
    }))
    .filter(({ partitions }) => partitions.length > 0);
}

function isReassigned({ addingReplicas, removingReplicas }: PartitionImage): boolean {
  return addingReplicas.length + removingReplicas.length > 0;
}

/** Back to what it was: the replicas that were being added go at once. */
function cancellation(
  topic: TopicImage,
  partition: PartitionImage,
  { isUncleanElectionEnabled }: PartitionRules,
): PartitionTarget | ItemError {
  if (!isReassigned(partition)) return itemError("NO_REASSIGNMENT_IN_PROGRESS");
  const isOld = (id: number) => !partition.addingReplicas.includes(id);
  const isr = partition.isr.filter(isOld);
  const hasSafeMember = isr.length > 0 || partition.eligibleLeaderReplicas.some(isOld);
  const wasEmpty = partition.isr.length === 0;
  if (!hasSafeMember && !wasEmpty && !isUncleanElectionEnabled) {
    return itemError(
      "INVALID_REPLICA_ASSIGNMENT",
      `Unable to revert partition assignment for ${topic.name}:${partition.partitionIndex} because ` +
        "it would require an unclean leader election.",
    );
  }
  const replicas = partition.replicas.filter(isOld);
  return { replicas, isr, addingReplicas: [], removingReplicas: [] };
}

function reassignment(
  image: MetadataImage,
  partition: PartitionImage,
  wanted: readonly number[],
  allowReplicationFactorChange: boolean,
): PartitionTarget | ItemError {
  const problem = replicasProblem(image, wanted);
  if (problem !== null) return itemError("INVALID_REPLICA_ASSIGNMENT", problem);
  const original = partition.replicas.filter((id) => !partition.addingReplicas.includes(id));
  const leaving = new Set(partition.removingReplicas);
  const settledCount = isReassigned(partition)
    ? partition.replicas.filter((id) => !leaving.has(id)).length
    : partition.replicas.length;
  if (!allowReplicationFactorChange && wanted.length !== settledCount) {
    return itemError(
      "INVALID_REPLICATION_FACTOR",
      `The replication factor is changed from ${settledCount} to ${wanted.length}`,
    );
  }
  const removingReplicas = sorted(partition.replicas.filter((id) => !wanted.includes(id)));
  return {
    replicas: [...wanted, ...removingReplicas],
    removingReplicas,
    addingReplicas: sorted(wanted.filter((id) => !original.includes(id))),
  };
}

function sorted(ids: readonly number[]): number[] {
  return [...ids].sort((a, b) => a - b);
}

function resultOf({ partitionIndex }: Wanted, error: ItemError | null) {
  return {
    partitionIndex,
    errorCode: errorCode(error?.name ?? "NONE"),
    errorMessage: error?.message ?? null,
  };
}

function unknown(message: string): ItemError {
  return itemError("UNKNOWN_TOPIC_OR_PARTITION", message);
}
