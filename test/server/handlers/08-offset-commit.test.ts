import { expect, test } from "vitest";
import { type Uuid, ZERO_UUID } from "../../../src/base/ids.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import type { OffsetCommitRequest } from "../../../src/protocol/messages/08-offset-commit.ts";
import type { TopicLookup } from "../../../src/server/coordinator/topic-lookup.ts";
import { offsetCommitHandler } from "../../../src/server/handlers/08-offset-commit.ts";
import { GroupWorld } from "../coordinator/support/group-world.ts";
import { callBytes, versionsOf } from "../coordinator/support/handler-calls.ts";

const TOPIC_ID = "topicAAAAAAAAAAAAAAAAA" as Uuid;

const TOPICS: TopicLookup = {
  topicId: (name) => (name === "topic" ? TOPIC_ID : undefined),
  topicName: (topicId) => (topicId === TOPIC_ID ? "topic" : undefined),
  partitionCount: (name) => (name === "topic" ? 2 : undefined),
};

function request(version: number, ...partitionIndexes: number[]): OffsetCommitRequest {
  return {
    groupId: "group",
    generationIdOrMemberEpoch: -1,
    memberId: "",
    groupInstanceId: null,
    retentionTimeMs: -1n,
    topics: [
      {
        name: version >= 10 ? "" : "topic",
        topicId: version >= 10 ? TOPIC_ID : ZERO_UUID,
        partitions: partitionIndexes.map((partitionIndex) => ({
          partitionIndex,
          committedOffset: 10 + partitionIndex,
          committedLeaderEpoch: -1,
          committedMetadata: null,
        })),
      },
    ],
  };
}

async function openHandler() {
  const world = await GroupWorld.open();
  const handler = offsetCommitHandler({ coordinator: world.coordinator, topics: TOPICS });
  const call = async (version: number, body: OffsetCommitRequest) => {
    const response = callBytes(handler, version, body);
    await world.clock.settle();
    return (await response).topics.map(({ partitions }) =>
      partitions.map(({ errorCode }) => errorName(errorCode)),
    );
  };
  return { world, handler, call };
}

test("every version from 2 to 10 commits", async () => {
  const { world, handler, call } = await openHandler();
  expect(versionsOf(handler)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10]);
  for (const version of versionsOf(handler)) {
    expect(await call(version, request(version, 0, 1))).toEqual([["NONE", "NONE"]]);
  }
  expect(await world.fetchAll()).toEqual(["topic-0=10", "topic-1=11"]);
});

test("partitions and topics that do not exist are refused one by one, in the request's order", async () => {
  const { world, call } = await openHandler();
  const unknown = "UNKNOWN_TOPIC_OR_PARTITION";
  expect(await call(9, request(9, 7, 1, -1))).toEqual([[unknown, "NONE", unknown]]);
  const other = { ...request(9, 0), topics: [{ ...request(9, 0).topics[0]!, name: "other" }] };
  expect(await call(9, other)).toEqual([[unknown]]);
  const topics = [{ ...request(10, 0).topics[0]!, topicId: "otherAAAAAAAAAAAAAAAAA" as Uuid }];
  expect(await call(10, { ...request(10, 0), topics })).toEqual([["UNKNOWN_TOPIC_ID"]]);
  expect(await world.fetchAll()).toEqual(["topic-1=11"]);
});

test("a refusal of the whole is the error of every partition that exists", async () => {
  const { call } = await openHandler();
  const body = { ...request(9, 0, 7), generationIdOrMemberEpoch: 3, memberId: "stranger" };
  expect(await call(9, body)).toEqual([["GROUP_ID_NOT_FOUND", "UNKNOWN_TOPIC_OR_PARTITION"]]);
  expect(await call(8, { ...body, ...{ generationIdOrMemberEpoch: 3 } })).toEqual([
    ["ILLEGAL_GENERATION", "UNKNOWN_TOPIC_OR_PARTITION"],
  ]);
});

test("versions 2 to 4 may ask for a retention of their own", async () => {
  const { world, call } = await openHandler();
  await call(4, { ...request(4, 0), retentionTimeMs: 1_000n });
  await call(4, request(4, 1));
  await world.clock.advance(600_000);
  expect(await world.fetchAll()).toEqual(["topic-1=11"]);
});
