import { type Uuid, ZERO_UUID } from "../../base/ids.ts";
import { APIS } from "../../protocol/apis.ts";
import { errorCode, type ErrorName } from "../../protocol/errors.ts";
import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../../protocol/messages/08-offset-commit.ts";
import type { OffsetToCommit } from "../coordinator/group-commands.ts";
import type { GroupCoordinator } from "../coordinator/group-coordinator.ts";
import type { TopicLookup } from "../coordinator/topic-lookup.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

type RequestTopic = OffsetCommitRequest["topics"][number];
type ResponseTopic = OffsetCommitResponse["topics"][number];

/**
 * OffsetCommit 2-10: keeps offsets of a group, each partition with its own error.
 * 2-4 carry a retention time (-1: the broker's), 6 the leader epoch, 7 the instance id, 9 member epochs of
 * the newer protocol and GROUP_ID_NOT_FOUND, 10 topic ids instead of names. Partitions that do not exist
 * answer UNKNOWN_TOPIC_OR_PARTITION (UNKNOWN_TOPIC_ID from 10); the rest is committed all the same.
 */
export function offsetCommitHandler(deps: {
  readonly coordinator: GroupCoordinator;
  readonly topics: TopicLookup;
}): TypedApiHandler<typeof APIS.offsetCommit.request, typeof APIS.offsetCommit.response> {
  return handlerFor(APIS.offsetCommit, async (request, { apiVersion }) => {
    const plan = request.topics.map((topic) => planTopic(deps.topics, topic, apiVersion));
    const offsets = plan.flatMap(({ offsets }) => offsets);
    // A request without a valid partition never asks the coordinator, as in Kafka.
    const answer =
      offsets.length === 0
        ? { error: null, value: [] }
        : await deps.coordinator.commitOffsets({
            apiVersion,
            groupId: request.groupId,
            generationId: request.generationIdOrMemberEpoch,
            memberId: request.memberId,
            groupInstanceId: request.groupInstanceId,
            retentionMs: request.retentionTimeMs === -1n ? null : request.retentionTimeMs,
            offsets,
          });
    const codes = answer.error === null ? [...answer.value] : [];
    const refusal = answer.error === null ? 0 : errorCode(answer.error);
    const topics = plan.map(({ response, errors }): ResponseTopic => ({
      ...response,
      partitions: errors.map(({ partitionIndex, error }) => ({
        partitionIndex,
        errorCode: error === null ? (codes.shift() ?? refusal) : errorCode(error),
      })),
    }));
    return { throttleTimeMs: 0, topics };
  });
}

interface TopicPlan {
  readonly response: { readonly name: string; readonly topicId: Uuid };
  /** In the request's order; null: the coordinator decides. */
  readonly errors: readonly { readonly partitionIndex: number; readonly error: ErrorName | null }[];
  readonly offsets: readonly OffsetToCommit[];
}

function planTopic(topics: TopicLookup, topic: RequestTopic, apiVersion: number): TopicPlan {
  const usesIds = apiVersion >= 10;
  const name = usesIds ? topics.topicName(topic.topicId) : topic.name;
  const count = name === undefined ? undefined : topics.partitionCount(name);
  const errorOf = (partitionIndex: number): ErrorName | null => {
    if (name === undefined) return "UNKNOWN_TOPIC_ID";
    const exists = count !== undefined && partitionIndex >= 0 && partitionIndex < count;
    return exists ? null : "UNKNOWN_TOPIC_OR_PARTITION";
  };
  const errors = topic.partitions.map(({ partitionIndex }) => ({
    partitionIndex,
    error: errorOf(partitionIndex),
  }));
  const topicId = name === undefined ? ZERO_UUID : (topics.topicId(name) ?? ZERO_UUID);
  return {
    response: { name: topic.name, topicId: topic.topicId },
    errors,
    offsets: topic.partitions
      .filter((_partition, index) => errors[index]?.error === null)
      .map((partition) => ({
        topic: name ?? "",
        topicId,
        partitionIndex: partition.partitionIndex,
        offset: partition.committedOffset,
        leaderEpoch: partition.committedLeaderEpoch,
        metadata: partition.committedMetadata ?? "",
      })),
  };
}
