import { expect, test } from "vitest";
import { type Uuid } from "../../../src/base/ids.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import { offsetDeleteHandler } from "../../../src/server/handlers/47-offset-delete.ts";
import { GroupWorld, offsetOf } from "../coordinator/support/group-world.ts";
import { callBytes, versionsOf } from "../coordinator/support/handler-calls.ts";
import { subscription } from "../coordinator/support/subscription.ts";

const TOPIC_ID = "topicAAAAAAAAAAAAAAAAA" as Uuid;

async function openHandler() {
  const world = await GroupWorld.open();
  const handler = offsetDeleteHandler({
    coordinator: world.coordinator,
    topics: {
      topicId: () => TOPIC_ID,
      topicName: () => undefined,
      partitionCount: (name) => (name === "gone" ? undefined : 2),
    },
  });
  const call = async (groupId: string, ...names: string[]) => {
    const partitions = [1, 0, 7, -1].map((partitionIndex) => ({ partitionIndex }));
    const topics = names.map((name) => ({ name, partitions }));
    const answer = callBytes(handler, 0, { groupId, topics });
    await world.clock.settle();
    const response = await answer;
    return {
      error: errorName(response.errorCode),
      topics: response.topics.map(({ name, partitions: all }) =>
        [name, ...all.map((each) => `${each.partitionIndex} ${errorName(each.errorCode)}`)].join(),
      ),
    };
  };
  return { world, handler, call };
}

test("each partition has its own answer, in the request's order", async () => {
  const { world, handler, call } = await openHandler();
  expect(versionsOf(handler)).toEqual([0]);
  const [leader] = await world.stableGroup(1, { protocols: subscription("read") });
  const offsets = [offsetOf("read", 0, 1), offsetOf("left", 0, 1), offsetOf("left", 1, 1)];
  await world.commit(0, { ...leader, offsets });
  const unknown = "UNKNOWN_TOPIC_OR_PARTITION";
  const isRead = "GROUP_SUBSCRIBED_TO_TOPIC";
  expect(await call("group", "gone", "read", "left")).toEqual({
    error: "NONE",
    topics: [
      `gone,1 ${unknown},0 ${unknown},7 ${unknown},-1 ${unknown}`,
      `read,1 ${isRead},0 ${isRead},7 ${unknown},-1 ${unknown}`,
      `left,1 NONE,0 NONE,7 ${unknown},-1 ${unknown}`,
    ],
  });
  expect(await world.fetchAll()).toEqual(["read-0=1"]);
});

test("an error of the group stands alone", async () => {
  const { call } = await openHandler();
  expect(await call("nobody", "left")).toEqual({ error: "GROUP_ID_NOT_FOUND", topics: [] });
  expect(await call("", "left")).toEqual({ error: "INVALID_GROUP_ID", topics: [] });
});
