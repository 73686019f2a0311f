import { type Uuid, ZERO_UUID } from "../../base/ids.ts";
import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type {
  OffsetFetchRequest,
  OffsetFetchResponse,
} from "../../protocol/messages/09-offset-fetch.ts";
import type { TopicOffsets, TopicQuery } from "../coordinator/group-commands.ts";
import type { GroupCoordinator } from "../coordinator/group-coordinator.ts";
import type { TopicLookup } from "../coordinator/topic-lookup.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

type RequestGroup = OffsetFetchRequest["groups"][number];
type RequestTopic = NonNullable<RequestGroup["topics"]>[number];
type ResponseGroup = OffsetFetchResponse["groups"][number];
type ResponseTopic = ResponseGroup["topics"][number];

interface Deps {
  readonly coordinator: GroupCoordinator;
  readonly topics: TopicLookup;
}

/**
 * OffsetFetch 1-10: what groups have committed. No group, topic or partition is unknown: offset -1 without
 * an error. 2 asks for all by null topics and has an error for the whole, 5 the leader epoch, 7
 * requireStable, 8 many groups, 9 member epochs of the newer protocol (not looked at for classic groups),
 * 10 topic ids: UNKNOWN_TOPIC_ID for those that are not known.
 */
export function offsetFetchHandler(
  deps: Deps,
): TypedApiHandler<typeof APIS.offsetFetch.request, typeof APIS.offsetFetch.response> {
  return handlerFor(APIS.offsetFetch, async (request, { apiVersion }) => {
    if (apiVersion >= 8) {
      const groups = request.groups.map((group) =>
        fetchGroup(deps, group, request.requireStable, apiVersion),
      );
      return { throttleTimeMs: 0, topics: [], groups: await Promise.all(groups) };
    }
    const { groupId, requireStable } = request;
    const topics = request.topics?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null;
    const single = { groupId, memberId: null, memberEpoch: -1, topics };
    const group = await fetchGroup(deps, single, requireStable, apiVersion);
    // Version 1 has no error of its own: every partition carries it.
    const isPerPartition = apiVersion < 2 && group.errorCode !== 0;
    return {
      throttleTimeMs: 0,
      errorCode: group.errorCode,
      topics: isPerPartition ? refusedTopics(topics ?? [], group.errorCode) : group.topics,
      groups: [],
    };
  });
}

async function fetchGroup(
  deps: Deps,
  group: RequestGroup,
  requireStable: boolean,
  apiVersion: number,
): Promise<ResponseGroup> {
  const usesIds = apiVersion >= 10;
  const { groupId } = group;
  const wanted = group.topics?.map((topic) => queryOf(deps.topics, topic, usesIds)) ?? null;
  const topics = wanted?.filter((query) => query !== null) ?? null;
  const answer = await deps.coordinator.fetchOffsets({ groupId, topics }, requireStable);
  if (answer.error !== null) {
    return { groupId, topics: [], errorCode: errorCode(answer.error) };
  }
  if (group.topics === null || wanted === null) {
    return { groupId, topics: allTopics(deps.topics, answer.value, usesIds), errorCode: 0 };
  }
  const found = [...answer.value];
  const response = group.topics.map((topic, index): ResponseTopic => {
    const offsets = wanted[index] === null ? undefined : found.shift();
    const { name, topicId } = topic;
    if (offsets === undefined) {
      const partitions = refused(topic.partitionIndexes, errorCode("UNKNOWN_TOPIC_ID"));
      return { name, topicId, partitions };
    }
    return { name, topicId, partitions: offsets.partitions.map(partitionResponse) };
  });
  return { groupId, topics: response, errorCode: 0 };
}

/** Null: no topic has this id. */
function queryOf(topics: TopicLookup, topic: RequestTopic, usesIds: boolean): TopicQuery | null {
  const { partitionIndexes } = topic;
  if (!usesIds) return { topic: topic.name, topicId: ZERO_UUID, partitionIndexes };
  const name = topics.topicName(topic.topicId);
  return name === undefined ? null : { topic: name, topicId: topic.topicId, partitionIndexes };
}

/** All that the group has. What has no id any more cannot be told to who asks by id. */
function allTopics(
  topics: TopicLookup,
  found: readonly TopicOffsets[],
  usesIds: boolean,
): ResponseTopic[] {
  return found.flatMap((offsets): ResponseTopic[] => {
    const topicId: Uuid | undefined = usesIds ? topics.topicId(offsets.topic) : ZERO_UUID;
    if (topicId === undefined) return [];
    const partitions = offsets.partitions.map(partitionResponse);
    return [{ name: offsets.topic, topicId, partitions }];
  });
}

function partitionResponse(
  found: TopicOffsets["partitions"][number],
): ResponseTopic["partitions"][number] {
  return {
    partitionIndex: found.partitionIndex,
    committedOffset: found.offset,
    committedLeaderEpoch: found.leaderEpoch,
    metadata: found.metadata,
    errorCode: 0,
  };
}

function refused(partitionIndexes: readonly number[], code: number): ResponseTopic["partitions"] {
  return partitionIndexes.map((partitionIndex) => ({
    partitionIndex,
    committedOffset: -1,
    committedLeaderEpoch: -1,
    metadata: "",
    errorCode: code,
  }));
}

function refusedTopics(
  topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[],
  code: number,
): OffsetFetchResponse["topics"] {
  return topics.map(({ name, partitionIndexes }) => ({
    name,
    partitions: refused(partitionIndexes, code),
  }));
}
