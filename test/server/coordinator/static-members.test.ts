import { describe, expect, test } from "vitest";
import {
  GroupWorld,
  type JoinOptions,
  joinErrorOf,
  member,
  type Member,
  RANGE,
  syncErrorOf,
} from "./support/group-world.ts";

/** A stable group of static members "one", "two", …; the leader first. */
async function staticGroup(world: GroupWorld, count: number): Promise<Member[]> {
  const names = ["one", "two", "three"].slice(0, count);
  const joins = names.map((groupInstanceId) => world.join({ groupInstanceId }));
  for (let i = 0; i < 20 && joins.some((join) => !join.isSettled); i += 1) {
    await world.clock.advance(1_000);
  }
  return world.assign(joins.map(({ value }) => member(value!)));
}

async function settled(world: GroupWorld, options: JoinOptions) {
  const join = world.join(options);
  await world.clock.settle();
  return join;
}

describe("a static member (KIP-345)", () => {
  test("joins at once, under an id that bears its instance's name", async () => {
    const world = await GroupWorld.open();
    const [leader] = await staticGroup(world, 1);
    expect(leader!.memberId).toMatch(/^one-[0-9a-f-]{36}$/);
  });

  test("comes back within its session without a rebalance, with its assignment (G9)", async () => {
    const world = await GroupWorld.open();
    const members = await staticGroup(world, 2);
    const back = await settled(world, { groupInstanceId: "two" });
    expect(back.value).toMatchObject({
      errorCode: 0,
      generationId: members[1]!.generationId,
      leader: members[0]!.memberId,
      skipAssignment: false,
      members: [],
    });
    expect(back.value!.memberId).not.toBe(members[1]!.memberId);
    const sync = world.sync(member(back.value!), {}, { groupInstanceId: "two" });
    await world.clock.settle();
    expect(sync.value!.assignment.toString()).toBe("for 1");
    expect(await world.heartbeat(members[0]!)).toBe("NONE");
  });

  test("fences the one that it replaces, everywhere (G2)", async () => {
    const world = await GroupWorld.open();
    const [old] = await staticGroup(world, 1);
    await settled(world, { groupInstanceId: "one" });
    const rejoin = await settled(world, { groupInstanceId: "one", memberId: old!.memberId });
    const sync = world.sync(old!, {}, { groupInstanceId: "one" });
    await world.clock.settle();
    expect(joinErrorOf(rejoin)).toBe("FENCED_INSTANCE_ID");
    expect(syncErrorOf(sync)).toBe("FENCED_INSTANCE_ID");
    expect(await world.heartbeat(old!, { groupInstanceId: "one" })).toBe("FENCED_INSTANCE_ID");
    expect(await world.commit(1, { ...old!, groupInstanceId: "one" })).toEqual([
      "FENCED_INSTANCE_ID",
    ]);
    expect(await world.leave({ memberId: old!.memberId, groupInstanceId: "one" })).toEqual([
      "FENCED_INSTANCE_ID",
    ]);
    expect(await world.heartbeat(old!)).toBe("UNKNOWN_MEMBER_ID");
  });

  test("as a leader is told to skip the assignment, from version 9 on", async () => {
    const world = await GroupWorld.open();
    const [, follower] = await staticGroup(world, 2);
    const back = await settled(world, { groupInstanceId: "one", version: 9 });
    expect(back.value).toMatchObject({ skipAssignment: true, leader: back.value!.memberId });
    expect(back.value!.members).toHaveLength(2);
    expect(await world.heartbeat(follower!)).toBe("NONE");
  });

  test("as a leader is named its old id below version 9, so that it does not assign", async () => {
    const world = await GroupWorld.open();
    const [old] = await staticGroup(world, 2);
    const back = await settled(world, { groupInstanceId: "one", version: 8 });
    expect(back.value).toMatchObject({
      leader: old!.memberId,
      skipAssignment: false,
      members: [],
    });
  });

  test("that changes the protocol of the group makes it rebalance", async () => {
    const world = await GroupWorld.open();
    const both = [...RANGE, { name: "sticky", metadata: Buffer.alloc(0) }];
    const joins = ["one", "two"].map((groupInstanceId) =>
      world.join({ groupInstanceId, protocols: both }),
    );
    await world.clock.advance(6_000);
    const [leader] = await world.assign(joins.map(({ value }) => member(value!)));
    const back = await settled(world, { groupInstanceId: "two", protocols: [both[1]!] });
    expect(back.isSettled).toBe(false);
    expect(await world.heartbeat(leader!)).toBe("REBALANCE_IN_PROGRESS");
  });

  test("that comes back while the leader assigns makes the group rebalance", async () => {
    const world = await GroupWorld.open();
    const joins = ["one", "two"].map((groupInstanceId) => world.join({ groupInstanceId }));
    await world.clock.advance(6_000);
    const waiting = world.sync(member(joins[1]!.value!), {}, { groupInstanceId: "two" });
    await world.clock.settle();
    const back = await settled(world, { groupInstanceId: "two" });
    expect(syncErrorOf(waiting)).toBe("FENCED_INSTANCE_ID");
    expect(back.isSettled).toBe(false);
    expect(await world.heartbeat(member(joins[0]!.value!))).toBe("REBALANCE_IN_PROGRESS");
  });

  test("that waits to join and is replaced is fenced", async () => {
    const world = await GroupWorld.open();
    const first = await settled(world, { groupInstanceId: "one" });
    const second = await settled(world, { groupInstanceId: "one" });
    expect(joinErrorOf(first)).toBe("FENCED_INSTANCE_ID");
    await world.clock.advance(6_000);
    expect(second.value!.members).toHaveLength(1);
  });

  test("that does not rejoin in time keeps its place until its session ends", async () => {
    const world = await GroupWorld.open();
    const joins = ["one", "two"].map((groupInstanceId) =>
      world.join({ groupInstanceId, sessionTimeoutMs: 200_000 }),
    );
    await world.clock.advance(6_000);
    const [leader] = await world.assign(joins.map(({ value }) => member(value!)));
    const rejoin = world.join({
      memberId: leader!.memberId,
      groupInstanceId: "one",
      sessionTimeoutMs: 200_000,
    });
    await world.clock.advance(60_001);
    expect(rejoin.value!.members.map(({ groupInstanceId }) => groupInstanceId)).toEqual([
      "one",
      "two",
    ]);
  });

  test("is removed by an operator by its instance id alone", async () => {
    const world = await GroupWorld.open();
    const members = await staticGroup(world, 2);
    expect(await world.leave({ memberId: "", groupInstanceId: "two" })).toEqual(["NONE"]);
    expect(await world.heartbeat(members[1]!)).toBe("UNKNOWN_MEMBER_ID");
    expect(await world.heartbeat(members[0]!)).toBe("REBALANCE_IN_PROGRESS");
  });

  test("is in its place after a failover, and still fences (G3, G9)", async () => {
    const world = await GroupWorld.open();
    const members = await staticGroup(world, 2);
    const next = await world.failOver();
    const back = await settled(next, { groupInstanceId: "two" });
    expect(back.value!.generationId).toBe(members[1]!.generationId);
    expect(await next.heartbeat(members[1]!, { groupInstanceId: "two" })).toBe(
      "FENCED_INSTANCE_ID",
    );
    expect(await next.heartbeat(members[0]!, { groupInstanceId: "one" })).toBe("NONE");
  });
});
