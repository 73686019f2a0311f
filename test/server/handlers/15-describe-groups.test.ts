import { expect, test } from "vitest";
import { errorCode } from "../../../src/protocol/errors.ts";
import { describeGroupsHandler } from "../../../src/server/handlers/15-describe-groups.ts";
import { GroupWorld } from "../coordinator/support/group-world.ts";
import { callBytes, versionsOf } from "../coordinator/support/handler-calls.ts";

const NOT_ASKED = -(2 ** 31);

test("every version describes a group, and one that is not there as Dead", async () => {
  const world = await GroupWorld.open();
  const [leader] = await world.stableGroup(1);
  const handler = describeGroupsHandler({ coordinator: world.coordinator });
  expect(versionsOf(handler)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  for (const version of versionsOf(handler)) {
    const { groups } = await callBytes(handler, version, {
      groups: ["group", "nobody", "group"],
      includeAuthorizedOperations: false,
    });
    expect(groups).toHaveLength(2);
    expect(groups[0]).toMatchObject({
      errorCode: 0,
      groupId: "group",
      groupState: "Stable",
      protocolType: "consumer",
      protocolData: "range",
      members: [{ memberId: leader!.memberId, memberAssignment: Buffer.from("for 0") }],
      authorizedOperations: NOT_ASKED,
    });
    expect(groups[1]).toMatchObject({
      errorCode: version < 6 ? 0 : errorCode("GROUP_ID_NOT_FOUND"),
      errorMessage: version < 6 ? null : "Group nobody not found.",
      groupId: "nobody",
      groupState: "Dead",
      protocolType: "",
      members: [],
    });
  }
});

test("operations are told from version 3 on when asked for, of groups that are there", async () => {
  const world = await GroupWorld.open();
  await world.commit(1);
  const handler = describeGroupsHandler({ coordinator: world.coordinator });
  const request = { groups: ["group", "nobody"], includeAuthorizedOperations: true };
  const { groups } = await callBytes(handler, 6, request);
  // READ 3, DELETE 6, DESCRIBE 8, DESCRIBE_CONFIGS 10, ALTER_CONFIGS 11.
  const all = 2 ** 3 + 2 ** 6 + 2 ** 8 + 2 ** 10 + 2 ** 11;
  expect(groups.map((group) => group.authorizedOperations)).toEqual([all, NOT_ASKED]);
});

test("elsewhere, and before there is a coordinator, each group says so", async () => {
  const world = await GroupWorld.open();
  const handler = describeGroupsHandler({ coordinator: world.coordinator });
  const ask = async () => {
    const { groups } = await callBytes(handler, 5, {
      groups: ["group"],
      includeAuthorizedOperations: false,
    });
    return groups[0]!.errorCode;
  };
  world.coordinator.onResignation(0);
  expect(await ask()).toBe(errorCode("NOT_COORDINATOR"));
  world.partitionCount = null;
  expect(await ask()).toBe(errorCode("COORDINATOR_NOT_AVAILABLE"));
});
