import { expect, test } from "vitest";
import { type Uuid, ZERO_UUID } from "../../../src/base/ids.ts";
import { errorCode } from "../../../src/protocol/errors.ts";
import type { OffsetFetchRequest } from "../../../src/protocol/messages/09-offset-fetch.ts";
import type { TopicLookup } from "../../../src/server/coordinator/topic-lookup.ts";
import { offsetFetchHandler } from "../../../src/server/handlers/09-offset-fetch.ts";
import { GroupWorld } from "../coordinator/support/group-world.ts";
import { callBytes, versionsOf } from "../coordinator/support/handler-calls.ts";

const TOPIC_ID = "topicAAAAAAAAAAAAAAAAA" as Uuid;
const OTHER_ID = "otherAAAAAAAAAAAAAAAAA" as Uuid;

const TOPICS: TopicLookup = {
  topicId: (name) => (name === "topic" ? TOPIC_ID : undefined),
  topicName: (topicId) => (topicId === TOPIC_ID ? "topic" : undefined),
  partitionCount: (name) => (name === "topic" ? 2 : undefined),
};

type Query = {
  readonly groupId: string;
  readonly topics: { name: string; topicId: Uuid }[] | null;
};

function request(version: number, ...groups: Query[]): OffsetFetchRequest {
  const [single] = groups;
  const partitionIndexes = [0, 5];
  return {
    groupId: version < 8 ? single!.groupId : "",
    topics:
      version < 8 ? (single!.topics?.map(({ name }) => ({ name, partitionIndexes })) ?? null) : [],
    groups:
      version < 8
        ? []
        : groups.map(({ groupId, topics }) => ({
            groupId,
            memberId: null,
            memberEpoch: -1,
            topics: topics?.map((topic) => ({ ...topic, partitionIndexes })) ?? null,
          })),
    requireStable: false,
  };
}

async function openHandler() {
  const world = await GroupWorld.open();
  await world.commit(42);
  const handler = offsetFetchHandler({ coordinator: world.coordinator, topics: TOPICS });
  const call = async (version: number, ...groups: Query[]) => {
    const response = await callBytes(handler, version, request(version, ...groups));
    return version < 8
      ? [{ topics: response.topics, errorCode: response.errorCode }]
      : response.groups;
  };
  return { world, handler, call };
}

const ASKED = [{ name: "topic", topicId: TOPIC_ID }];

test("every version from 1 to 10 answers, with offset -1 and no error for what is not there", async () => {
  const { handler, call } = await openHandler();
  expect(versionsOf(handler)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  for (const version of versionsOf(handler)) {
    const [group] = await call(version, { groupId: "group", topics: ASKED });
    expect(group).toMatchObject({
      errorCode: 0,
      topics: [
        {
          partitions: [
            { partitionIndex: 0, committedOffset: 42, metadata: "", errorCode: 0 },
            { partitionIndex: 5, committedOffset: -1, metadata: "", errorCode: 0 },
          ],
        },
      ],
    });
    expect(group!.topics[0]).toMatchObject(
      version >= 10 ? { topicId: TOPIC_ID } : { name: "topic" },
    );
  }
});

test("null topics are all that the group has, from version 2 on", async () => {
  const { world, handler, call } = await openHandler();
  await world.commit(0, {
    offsets: [
      {
        topic: "gone",
        topicId: ZERO_UUID,
        partitionIndex: 1,
        offset: 7,
        leaderEpoch: -1,
        metadata: "",
      },
    ],
  });
  for (const version of versionsOf(handler).slice(1)) {
    const [group] = await call(version, { groupId: "group", topics: null });
    // A topic that is gone has no id to be told by.
    expect(group!.topics).toHaveLength(version >= 10 ? 1 : 2);
    const [none] = await call(version, { groupId: "nobody", topics: null });
    expect(none).toMatchObject({ topics: [], errorCode: 0 });
  }
});

test("many groups are answered in one response, in order", async () => {
  const { call } = await openHandler();
  const groups = await call(
    8,
    { groupId: "nobody", topics: ASKED },
    { groupId: "group", topics: ASKED },
  );
  expect(groups).toMatchObject([{ groupId: "nobody" }, { groupId: "group" }]);
  expect(groups.map(({ topics }) => topics[0]!.partitions[0]!.committedOffset)).toEqual([-1, 42]);
});

test("an unknown topic id is refused for its partitions alone", async () => {
  const { call } = await openHandler();
  const [group] = await call(10, {
    groupId: "group",
    topics: [{ name: "", topicId: OTHER_ID }, ...ASKED],
  });
  expect(group).toMatchObject({
    errorCode: 0,
    topics: [
      {
        topicId: OTHER_ID,
        partitions: [
          { errorCode: errorCode("UNKNOWN_TOPIC_ID"), committedOffset: -1 },
          { errorCode: errorCode("UNKNOWN_TOPIC_ID"), committedOffset: -1 },
        ],
      },
      { topicId: TOPIC_ID, partitions: [{ committedOffset: 42 }, { committedOffset: -1 }] },
    ],
  });
});

test("elsewhere the error is the group's; version 1 has it in every partition", async () => {
  const { world, handler, call } = await openHandler();
  world.coordinator.onResignation(0);
  const code = errorCode("NOT_COORDINATOR");
  for (const version of versionsOf(handler)) {
    const [group] = await call(version, { groupId: "group", topics: ASKED });
    if (version === 1) {
      expect(group!.topics[0]!.partitions.map((partition) => partition.errorCode)).toEqual([
        code,
        code,
      ]);
    } else {
      expect(group).toMatchObject({ errorCode: code, topics: [] });
    }
  }
});
