import { expect, test } from "vitest";
import { errorCode, errorMessage } from "../../../src/protocol/errors.ts";
import { deleteGroupsHandler } from "../../../src/server/handlers/42-delete-groups.ts";
import { GroupWorld } from "../coordinator/support/group-world.ts";
import { callBytes, versionsOf } from "../coordinator/support/handler-calls.ts";

test("every version deletes what has no members, each group with its own error", async () => {
  const world = await GroupWorld.open();
  await world.stableGroup(1, { groupId: "busy" });
  const handler = deleteGroupsHandler({ coordinator: world.coordinator });
  expect(versionsOf(handler)).toEqual([0, 1, 2, 3]);
  for (const version of versionsOf(handler)) {
    await world.commit(1);
    const groupsNames = ["group", "busy", "nobody", "group"];
    const answer = callBytes(handler, version, { groupsNames });
    await world.clock.settle();
    const { results } = await answer;
    expect(results.map((result) => [result.groupId, result.errorCode])).toEqual([
      ["group", 0],
      ["busy", errorCode("NON_EMPTY_GROUP")],
      ["nobody", errorCode("GROUP_ID_NOT_FOUND")],
    ]);
    const message = version < 3 ? null : errorMessage("NON_EMPTY_GROUP");
    expect(results.map((result) => result.errorMessage).slice(0, 2)).toEqual([null, message]);
    expect(await world.fetchAll()).toEqual([]);
  }
});
