import { ZERO_UUID } from "../../base/ids.ts";
import { APIS } from "../../protocol/apis.ts";
import { errorCode, type ErrorName } from "../../protocol/errors.ts";
import type {
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponse,
} from "../../protocol/messages/75-describe-topic-partitions.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import { ALL_TOPIC_OPERATIONS, NOT_ASKED } from "../authorized-operations.ts";
import { type MetadataImage, NO_LEADER, type PartitionImage } from "../metadata/image.ts";
import { isReachableBy, offlineReplicas } from "../metadata/image-queries.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { isInternalTopic, topicNameProblem } from "../metadata/topic-names.ts";

// DescribeTopicPartitions, version 0 (KIP-966): topics by name, in the order of their names, so many
// partitions at a time; the cursor says where to go on. No names mean all topics.

type Topic = DescribeTopicPartitionsResponse["topics"][number];
type Partition = Topic["partitions"][number];
type Cursor = NonNullable<DescribeTopicPartitionsRequest["cursor"]>;

export interface DescribeTopicPartitionsDependencies {
  readonly metadata: Pick<MetadataManager, "image">;
  /** max.request.partition.size.limit: of one answer, whatever the client asks for. */
  readonly maxPartitions: number;
}

export function describeTopicPartitionsHandler(
  dependencies: DescribeTopicPartitionsDependencies,
): TypedApiHandler<
  typeof APIS.describeTopicPartitions.request,
  typeof APIS.describeTopicPartitions.response
> {
  return handlerFor(APIS.describeTopicPartitions, (request, { listenerName }) => {
    if (!isWellFormed(request)) {
      return {
        throttleTimeMs: 0,
        topics: request.topics.map(({ name }) => refused(name, "INVALID_REQUEST")),
      };
    }
    const { image } = dependencies.metadata;
    const limit = Math.min(dependencies.maxPartitions, request.responsePartitionLimit);
    return { throttleTimeMs: 0, ...page(image, request, Math.max(1, limit), listenerName) };
  });
}

/** The topic that the cursor names must be among those asked for. */
function isWellFormed({ topics, cursor }: DescribeTopicPartitionsRequest): boolean {
  if (cursor === null) return true;
  const isListed = topics.length === 0 || topics.some(({ name }) => name === cursor.topicName);
  return isListed && cursor.partitionIndex >= 0;
}

/** So many partitions from the cursor on, and where the next page begins. */
function page(
  image: MetadataImage,
  { topics: asked, cursor }: DescribeTopicPartitionsRequest,
  limit: number,
  listenerName: string,
): { readonly topics: readonly Topic[]; readonly nextCursor: Cursor | null } {
  const isAll = asked.length === 0;
  const names = isAll ? image.topicsByName.keys() : asked.map(({ name }) => name);
  const first = cursor?.topicName ?? "";
  const topics: Topic[] = [];
  let partitionsLeft = limit;
  for (const name of [...new Set(names)].filter((each) => each >= first).sort()) {
    if (partitionsLeft === 0) return { topics, nextCursor: { topicName: name, partitionIndex: 0 } };
    const topic = image.topicsByName.get(name);
    if (topic === undefined) {
      const isInvalid = topicNameProblem(name) !== null;
      const error = isInvalid ? "INVALID_TOPIC_EXCEPTION" : "UNKNOWN_TOPIC_OR_PARTITION";
      topics.push(refused(name, error, ALL_TOPIC_OPERATIONS));
      continue;
    }
    const from = name === cursor?.topicName ? cursor.partitionIndex : 0;
    const partitions = topic.partitions.slice(from, from + partitionsLeft);
    topics.push({
      errorCode: errorCode("NONE"),
      name,
      topicId: topic.topicId,
      isInternal: isInternalTopic(name),
      partitions: partitions.map((partition) => describe(image, partition, listenerName)),
      topicAuthorizedOperations: ALL_TOPIC_OPERATIONS,
    });
    const next = from + partitions.length;
    if (next < topic.partitions.length && partitions.length > 0) {
      return { topics, nextCursor: { topicName: name, partitionIndex: next } };
    }
    partitionsLeft -= partitions.length;
  }
  return { topics, nextCursor: null };
}

function describe(
  image: MetadataImage,
  partition: PartitionImage,
  listenerName: string,
): Partition {
  const leader = image.brokers.get(partition.leader);
  const isReachable = leader !== undefined && isReachableBy(leader, listenerName);
  return {
    errorCode: errorCode("NONE"),
    partitionIndex: partition.partitionIndex,
    leaderId: isReachable ? partition.leader : NO_LEADER,
    leaderEpoch: partition.leaderEpoch,
    replicaNodes: [...partition.replicas],
    isrNodes: [...partition.isr],
    eligibleLeaderReplicas: [...partition.eligibleLeaderReplicas],
    lastKnownElr: [...partition.lastKnownElr],
    offlineReplicas: offlineReplicas(image, partition, listenerName),
  };
}

function refused(name: string, error: ErrorName, topicAuthorizedOperations = NOT_ASKED): Topic {
  return {
    errorCode: errorCode(error),
    name,
    topicId: ZERO_UUID,
    isInternal: isInternalTopic(name),
    partitions: [],
    topicAuthorizedOperations,
  };
}
