import { type Uuid, ZERO_UUID } from "../base/ids.ts";
import { randomBelow, type Random } from "../base/random.ts";
import { APIS } from "../protocol/apis.ts";
import { errorName } from "../protocol/errors.ts";
import type { OffsetCommitRequest } from "../protocol/messages/08-offset-commit.ts";
import type {
  OffsetFetchRequest,
  OffsetFetchResponse,
} from "../protocol/messages/09-offset-fetch.ts";
import type { GroupHistory, Told, Write } from "./group-history.ts";
import type { History } from "./history.ts";
import type { SimClient } from "./sim-client.ts";
import type { TopicFacts } from "./sim-producer.ts";

/** What all clients of groups share. */
export interface GroupWorld {
  readonly history: History;
  readonly groups: GroupHistory;
  readonly topics: readonly TopicFacts[];
  /** Resolves after so many virtual milliseconds. */
  readonly sleep: (ms: number) => Promise<void>;
  /** A connection to the broker, however long that takes. */
  readonly connect: (clientId: string) => Promise<SimClient>;
}

/** The coordinator is not (yet, or any more) here: whoever asks again finds it. */
export const COORDINATOR_AWAY: ReadonlySet<string> = new Set([
  "COORDINATOR_LOAD_IN_PROGRESS",
  "COORDINATOR_NOT_AVAILABLE",
  "NOT_COORDINATOR",
]);
/** Of these nobody knows whether the commit is in the log. */
const OPEN_ERRORS = new Set(["COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"]);
/** What a commit may be refused with in this world. */
const REFUSALS = new Set([
  "COORDINATOR_LOAD_IN_PROGRESS",
  "ILLEGAL_GENERATION",
  "UNKNOWN_MEMBER_ID",
  "FENCED_INSTANCE_ID",
  "REBALANCE_IN_PROGRESS",
  "GROUP_ID_NOT_FOUND",
  // A broker that has just begun to serve may not know all topics yet.
  "UNKNOWN_TOPIC_OR_PARTITION",
  "UNKNOWN_TOPIC_ID",
]);

export interface Commit {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly topic: TopicFacts;
  /** Partition -> offset. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Unique; the metadata of all of them. */
  readonly id: string;
}

/** One partition's offset of a group, as the checker knows it. */
export function registerOf(groupId: string, topic: string, partitionIndex: number): string {
  return `${groupId}/${topic}-${partitionIndex}`;
}

/** Sends an OffsetCommit and tells the checker what came of it. Gives the error of the first partition. */
export async function commitOnce(
  world: GroupWorld,
  client: SimClient,
  random: Random,
  commit: Commit,
): Promise<string> {
  const { groups } = world;
  const { groupId, topic, id } = commit;
  const lowest = commit.groupInstanceId === null ? 2 : 7;
  const version = client.version(APIS.offsetCommit, lowest + randomBelow(random, 11 - lowest));
  const writes = new Map<number, Write>();
  for (const partitionIndex of commit.offsets.keys()) {
    const register = registerOf(groupId, topic.name, partitionIndex);
    writes.set(partitionIndex, groups.startWrite(register, id));
  }
  const told: Told = { ...commit, sentAt: groups.tick(), run: groups.run };
  const answer = await client.request(APIS.offsetCommit, version, offsetCommitOf(version, commit));
  let first: string | null = null;
  for (const { partitionIndex, errorCode } of answer.topics[0]?.partitions ?? []) {
    const error = errorName(errorCode);
    first ??= error;
    const write = writes.get(partitionIndex);
    if (write !== undefined) settle(world, write, error, `OffsetCommit for ${groupId}`);
  }
  if (first === "NONE" && commit.generationId >= 0) groups.onAccepted(told, "commit");
  return first ?? "NONE";
}

function offsetCommitOf(version: number, commit: Commit): OffsetCommitRequest {
  const { groupId, generationId, memberId, groupInstanceId, topic, offsets, id } = commit;
  const partitions = [...offsets].map(([partitionIndex, committedOffset]) => ({
    partitionIndex,
    committedOffset,
    committedLeaderEpoch: -1,
    committedMetadata: id,
  }));
  return {
    groupId,
    generationIdOrMemberEpoch: generationId,
    memberId,
    groupInstanceId,
    retentionTimeMs: -1n,
    topics: [
      version < 10
        ? { name: topic.name, topicId: ZERO_UUID, partitions }
        : { name: "", topicId: topic.topicId, partitions },
    ],
  };
}

/** What came of a write, as the checker must know it. */
export function settle(world: GroupWorld, write: Write, error: string, what: string): void {
  if (error === "NONE") world.groups.onAck(write);
  else if (REFUSALS.has(error)) world.groups.onRefusal(write);
  else if (!OPEN_ERRORS.has(error)) world.history.report("refusal", `${what} answered ${error}`);
}

interface OffsetQuery {
  readonly groupId: string;
  readonly topic: TopicFacts;
  readonly mayExpire: boolean;
}

/**
 * Asks for what the group has committed for a topic, and lets the checker judge it. Gives the offsets by
 * partition (-1: none), or the error.
 */
export async function fetchCommitted(
  world: GroupWorld,
  client: SimClient,
  random: Random,
  query: OffsetQuery,
): Promise<Map<number, number> | string> {
  const { groups, history } = world;
  const { groupId, topic } = query;
  const version = client.version(APIS.offsetFetch, 1 + randomBelow(random, 10));
  const requireStable = version >= 7 && randomBelow(random, 2) === 0;
  // Who asks for all that the group has is not told of what is not there.
  const isAll = version >= 2 && randomBelow(random, 4) === 0;
  const startedAt = groups.tick();
  const answer = await client.request(APIS.offsetFetch, version, {
    ...offsetFetchOf(version, query, isAll),
    requireStable,
  });
  const { error, partitions } = answerOf(version < 8 ? answer : answer.groups[0], topic);
  if (error !== "NONE") {
    const isExpected = COORDINATOR_AWAY.has(error) || error === "UNKNOWN_TOPIC_ID";
    if (!isExpected) history.report("refusal", `OffsetFetch of ${groupId} answered ${error}`);
    return error;
  }
  const shown = new Map(partitions.map((each) => [each.partitionIndex, each]));
  const found = new Map<number, number>();
  for (let partitionIndex = 0; partitionIndex < topic.partitionCount; partitionIndex += 1) {
    const { committedOffset, metadata } = shown.get(partitionIndex) ?? NOTHING_COMMITTED;
    found.set(partitionIndex, committedOffset);
    const id = committedOffset < 0 ? null : metadata;
    groups.onRead(registerOf(groupId, topic.name, partitionIndex), id, startedAt, query);
  }
  return found;
}

const NOTHING_COMMITTED = { committedOffset: -1, metadata: null };

function offsetFetchOf(
  version: number,
  { groupId, topic }: OffsetQuery,
  isAll: boolean,
): Omit<OffsetFetchRequest, "requireStable"> {
  const partitionIndexes = Array.from({ length: topic.partitionCount }, (_, index) => index);
  const name = version < 10 ? topic.name : "";
  if (version < 8) {
    return { groupId, topics: isAll ? null : [{ name, partitionIndexes }], groups: [] };
  }
  const topicId = version < 10 ? ZERO_UUID : topic.topicId;
  const topics = isAll ? null : [{ name, topicId, partitionIndexes }];
  return {
    groupId: "",
    topics: [],
    groups: [{ groupId, memberId: null, memberEpoch: -1, topics }],
  };
}

type FetchedTopics = readonly {
  readonly name: string;
  readonly topicId?: Uuid;
  readonly partitions: OffsetFetchResponse["groups"][number]["topics"][number]["partitions"];
}[];

function answerOf(
  group: { readonly errorCode: number; readonly topics: FetchedTopics } | undefined,
  topic: TopicFacts,
) {
  const partitions = (group?.topics ?? [])
    .filter(({ name, topicId }) => name === topic.name || topicId === topic.topicId)
    .flatMap((each) => each.partitions);
  // Version 1 has no error but those of the partitions.
  const code = [group?.errorCode, partitions[0]?.errorCode].find((each) => (each ?? 0) !== 0);
  return { error: errorName(code ?? 0), partitions };
}

/** FindCoordinator, alone or in a batch; false while there is none. */
export async function findCoordinator(
  world: GroupWorld,
  client: SimClient,
  random: Random,
  groupId: string,
): Promise<boolean> {
  const version = client.version(APIS.findCoordinator, randomBelow(random, 7));
  const answer = await client.request(APIS.findCoordinator, version, {
    key: version < 4 ? groupId : "",
    keyType: 0,
    coordinatorKeys: version < 4 ? [] : [groupId, `${groupId}-other`],
  });
  const found = version < 4 ? answer : answer.coordinators[0];
  const error = errorName(found?.errorCode ?? 0);
  if (error !== "NONE" && !COORDINATOR_AWAY.has(error)) {
    world.history.report("refusal", `FindCoordinator answered ${error}`);
  }
  return error === "NONE";
}
