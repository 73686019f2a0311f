import { expect, test } from "vitest";
import { errorName } from "../../../src/protocol/errors.ts";
import { joinGroupHandler } from "../../../src/server/handlers/11-join-group.ts";
import { heartbeatHandler } from "../../../src/server/handlers/12-heartbeat.ts";
import { leaveGroupHandler } from "../../../src/server/handlers/13-leave-group.ts";
import { syncGroupHandler } from "../../../src/server/handlers/14-sync-group.ts";
import { GroupWorld, RANGE } from "../coordinator/support/group-world.ts";
import { callBytes, versionsOf } from "../coordinator/support/handler-calls.ts";
import { FakeContext } from "./support.ts";

/** What a SyncGroup carries from version 5 on. */
const NAMED = { protocolType: "consumer", protocolName: "range" };

async function openHandlers() {
  const world = await GroupWorld.open({ initialRebalanceDelayMs: 0 });
  const { coordinator } = world;
  const join = joinGroupHandler({ coordinator });
  const sync = syncGroupHandler({ coordinator });
  const heartbeat = heartbeatHandler({ coordinator });
  const leave = leaveGroupHandler({ coordinator });
  const settle = async <T>(response: Promise<T>): Promise<T> => {
    await world.clock.settle();
    return response;
  };
  const joinAs = (version: number, groupId: string, memberId: string) =>
    settle(
      callBytes(join, version, {
        groupId,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: version < 1 ? -1 : 20_000,
        memberId,
        protocolType: "consumer",
        protocols: RANGE,
      }),
    );
  return { world, join, sync, heartbeat, leave, settle, joinAs };
}

test("every version of JoinGroup, SyncGroup, Heartbeat and LeaveGroup serves a member's whole life", async () => {
  const { join, sync, heartbeat, leave, settle, joinAs } = await openHandlers();
  expect(versionsOf(join)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect([sync, heartbeat, leave].map((handler) => versionsOf(handler).length)).toEqual([6, 5, 6]);
  for (const version of versionsOf(join)) {
    const groupId = `group-${version}`;
    let joined = await joinAs(version, groupId, "");
    if (version >= 4) {
      expect(errorName(joined.errorCode)).toBe("MEMBER_ID_REQUIRED");
      joined = await joinAs(version, groupId, joined.memberId);
    }
    const { memberId, generationId } = joined;
    expect(joined).toMatchObject({
      errorCode: 0,
      generationId: 1,
      protocolName: "range",
      leader: memberId,
      members: [{ memberId, metadata: RANGE[0]!.metadata }],
    });
    const member = { groupId, memberId, generationId };
    const synced = await settle(
      callBytes(sync, Math.min(version, 5), {
        ...member,
        ...NAMED,
        assignments: [{ memberId, assignment: Buffer.from("mine") }],
      }),
    );
    expect(synced.errorCode).toBe(0);
    expect(synced.assignment.toString()).toBe("mine");
    const beat = await settle(callBytes(heartbeat, Math.min(version, 4), member));
    expect(beat.errorCode).toBe(0);
    const leaveVersion = Math.min(version, 5);
    const left = await settle(
      callBytes(leave, leaveVersion, {
        groupId,
        memberId: leaveVersion < 3 ? memberId : "",
        members: leaveVersion < 3 ? [] : [{ memberId, groupInstanceId: null }],
      }),
    );
    expect(left.errorCode).toBe(0);
    const again = await settle(
      callBytes(leave, leaveVersion, {
        groupId,
        memberId: leaveVersion < 3 ? memberId : "",
        members: leaveVersion < 3 ? [] : [{ memberId, groupInstanceId: null }],
      }),
    );
    const code = leaveVersion < 3 ? again.errorCode : again.members[0]!.errorCode;
    expect(errorName(code)).toBe("UNKNOWN_MEMBER_ID");
  }
});

test("every refusal fits every version", async () => {
  const { join, sync, heartbeat, leave, settle, joinAs } = await openHandlers();
  for (const version of versionsOf(join)) {
    expect(errorName((await joinAs(version, "", "")).errorCode)).toBe("INVALID_GROUP_ID");
    const unknown = await joinAs(version, "group", "stranger");
    expect(unknown).toMatchObject({ memberId: "stranger", generationId: -1, members: [] });
    expect(unknown.protocolName).toBe(version >= 7 ? null : "");
  }
  const stranger = { groupId: "group", memberId: "stranger", generationId: 1 };
  for (const version of versionsOf(sync)) {
    const response = await settle(
      callBytes(sync, version, { ...stranger, ...NAMED, assignments: [] }),
    );
    expect(errorName(response.errorCode)).toBe("UNKNOWN_MEMBER_ID");
  }
  for (const version of versionsOf(heartbeat)) {
    const response = await settle(callBytes(heartbeat, version, stranger));
    expect(errorName(response.errorCode)).toBe("UNKNOWN_MEMBER_ID");
  }
  for (const version of versionsOf(leave)) {
    const members = version < 3 ? [] : [{ memberId: "stranger" }];
    const memberId = version < 3 ? "stranger" : "";
    const response = await settle(callBytes(leave, version, { groupId: "", memberId, members }));
    expect(errorName(response.errorCode)).toBe("INVALID_GROUP_ID");
  }
});

test("a client without an id of its own can join", async () => {
  const { world, join } = await openHandlers();
  const response = join.handle(
    {
      groupId: "group",
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 20_000,
      memberId: "",
      groupInstanceId: null,
      protocolType: "consumer",
      protocols: RANGE,
      reason: null,
    },
    new FakeContext(9, null),
  );
  await world.clock.settle();
  expect(await response).toMatchObject({
    memberId: expect.stringMatching(/^-[0-9a-f]{8}-/) as string,
  });
});

test("a SyncGroup from version 5 on names its protocol, or is inconsistent", async () => {
  const { sync, settle, joinAs } = await openHandlers();
  const { memberId, generationId } = await joinAs(3, "group", "");
  const member = { groupId: "group", memberId, generationId, assignments: [] };
  for (const half of [{ protocolType: "consumer" }, { protocolName: "range" }, {}]) {
    const answer = await settle(callBytes(sync, 5, { ...member, ...half }));
    expect(errorName(answer.errorCode)).toBe("INCONSISTENT_GROUP_PROTOCOL");
  }
  expect((await settle(callBytes(sync, 4, member))).errorCode).toBe(0);
});
