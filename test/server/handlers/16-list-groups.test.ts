import { expect, test } from "vitest";
import { errorCode } from "../../../src/protocol/errors.ts";
import { listGroupsHandler } from "../../../src/server/handlers/16-list-groups.ts";
import { GroupWorld } from "../coordinator/support/group-world.ts";
import { MemoryLog } from "../coordinator/support/memory-log.ts";
import { callBytes, versionsOf } from "../coordinator/support/handler-calls.ts";

const ALL = { statesFilter: [], typesFilter: [] };

test("every version lists the groups; 4 their states, 5 their types", async () => {
  const world = await GroupWorld.open();
  await world.stableGroup(1);
  await world.commit(1, { groupId: "simple" });
  const handler = listGroupsHandler({ coordinator: world.coordinator });
  expect(versionsOf(handler)).toEqual([0, 1, 2, 3, 4, 5]);
  for (const version of versionsOf(handler)) {
    const answer = await callBytes(handler, version, ALL);
    expect(answer).toMatchObject({
      errorCode: 0,
      groups: [
        { groupId: "group", protocolType: "consumer", groupState: version < 4 ? "" : "Stable" },
        { groupId: "simple", protocolType: "", groupType: version < 5 ? "" : "classic" },
      ],
    });
  }
  const filtered = await callBytes(handler, 5, {
    statesFilter: ["Empty"],
    typesFilter: ["CLASSIC"],
  });
  expect(filtered.groups.map(({ groupId }) => groupId)).toEqual(["simple"]);
});

test("a broker without groups has an empty list, one that loads says so", async () => {
  const world = new GroupWorld();
  const handler = listGroupsHandler({ coordinator: world.coordinator });
  expect(await callBytes(handler, 5, ALL)).toMatchObject({ errorCode: 0, groups: [] });
  world.coordinator.onLeadership(0, 0, new MemoryLog());
  expect(await callBytes(handler, 5, ALL)).toMatchObject({
    errorCode: errorCode("COORDINATOR_LOAD_IN_PROGRESS"),
    groups: [],
  });
  await world.clock.settle();
});
