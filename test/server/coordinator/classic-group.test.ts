import { describe, expect, test } from "vitest";
import { errorName } from "../../../src/protocol/errors.ts";
import { GroupWorld, joinErrorOf, member, syncErrorOf } from "./support/group-world.ts";

describe("joining", () => {
  test("a dynamic member is given an id first, and joins with it (KIP-394)", async () => {
    const world = await GroupWorld.open();
    const first = world.join({ clientId: "billing" });
    await world.clock.settle();
    expect(joinErrorOf(first)).toBe("MEMBER_ID_REQUIRED");
    expect(first.value!.memberId).toMatch(/^billing-[0-9a-f]{8}-[0-9a-f]{4}-4/);
    const second = world.join({ memberId: first.value!.memberId });
    await world.clock.advance(3_000);
    expect(second.value).toMatchObject({
      errorCode: 0,
      generationId: 1,
      protocolType: "consumer",
      protocolName: "range",
      leader: first.value!.memberId,
      memberId: first.value!.memberId,
      skipAssignment: false,
    });
  });

  test("versions below 4 join at once", async () => {
    const world = await GroupWorld.open();
    const join = world.join({ version: 3 });
    await world.clock.advance(3_000);
    expect(joinErrorOf(join)).toBe("NONE");
  });

  test("an id that nobody gave out is unknown, in an unknown group too", async () => {
    const world = await GroupWorld.open();
    const join = world.join({ memberId: "stranger" });
    await world.clock.settle();
    expect(joinErrorOf(join)).toBe("UNKNOWN_MEMBER_ID");
    await world.stableGroup(1);
    const again = world.join({ memberId: "stranger" });
    await world.clock.settle();
    expect(joinErrorOf(again)).toBe("UNKNOWN_MEMBER_ID");
  });

  test("the initial rebalance waits its delay, and once more for each wave of members", async () => {
    const world = await GroupWorld.open();
    const first = await world.startMember();
    await world.clock.advance(2_000);
    const second = await world.startMember();
    await world.clock.advance(1_500);
    expect(first.isSettled).toBe(false);
    await world.clock.advance(3_000);
    expect(first.value!.generationId).toBe(1);
    expect(second.value!.generationId).toBe(1);
    expect(first.value!.members).toHaveLength(2);
    expect(second.value!.members).toEqual([]);
  });

  test("a member that comes when all have left the initial rebalance is taken", async () => {
    const world = await GroupWorld.open();
    const asked = world.join();
    await world.clock.settle();
    const { memberId } = asked.value!;
    world.join({ memberId });
    await world.clock.settle();
    expect(await world.leave({ memberId })).toEqual(["NONE"]);
    const next = await world.startMember();
    await world.clock.advance(6_000);
    expect(next.value).toMatchObject({ errorCode: 0, generationId: 1 });
  });

  test("waves of members cannot delay the first generation beyond the rebalance timeout", async () => {
    const world = await GroupWorld.open();
    const first = await world.startMember({ rebalanceTimeoutMs: 7_000 });
    for (let i = 0; i < 3; i += 1) {
      await world.clock.advance(2_900);
      await world.startMember({ rebalanceTimeoutMs: 7_000 });
    }
    await world.clock.advance(1_500);
    expect(first.isSettled).toBe(true);
  });

  test("with no delay the first generation comes at once", async () => {
    const world = await GroupWorld.open({ initialRebalanceDelayMs: 0 });
    const join = await world.startMember();
    await world.clock.settle();
    expect(join.value!.generationId).toBe(1);
  });

  test("exactly one member leads a generation and sees the others (G7)", async () => {
    const world = await GroupWorld.open();
    const joins = [];
    for (let i = 0; i < 3; i += 1) joins.push(await world.startMember());
    await world.clock.advance(6_000);
    const leaders = joins.filter(({ value }) => value!.leader === value!.memberId);
    expect(leaders).toHaveLength(1);
    expect(new Set(joins.map(({ value }) => value!.leader)).size).toBe(1);
    expect(joins.map(({ value }) => value!.members.length).sort()).toEqual([0, 0, 3]);
  });

  test("the protocol is voted for among those that all support", async () => {
    const world = await GroupWorld.open();
    const protocols = (...names: string[]) =>
      names.map((name) => ({ name, metadata: Buffer.from(name) }));
    const joins = [
      await world.startMember({ protocols: protocols("sticky", "range", "only-mine") }),
      await world.startMember({ protocols: protocols("range", "sticky") }),
      await world.startMember({ protocols: protocols("range", "sticky") }),
    ];
    await world.clock.advance(6_000);
    expect(joins.map(({ value }) => value!.protocolName)).toEqual(["range", "range", "range"]);
    const leader = joins.find(({ value }) => value!.members.length > 0);
    expect(leader!.value!.members.map(({ metadata }) => metadata.toString())).toEqual([
      "range",
      "range",
      "range",
    ]);
  });

  test("a member without a common protocol is refused, and the group goes on", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    const odd = world.join({ protocols: [{ name: "odd", metadata: Buffer.alloc(0) }] });
    const connect = world.join({ protocolType: "connect" });
    const none = world.join({ groupId: "new", protocols: [] });
    const untyped = world.join({ groupId: "new", protocolType: "" });
    await world.clock.settle();
    for (const join of [odd, connect, none, untyped]) {
      expect(joinErrorOf(join)).toBe("INCONSISTENT_GROUP_PROTOCOL");
    }
    expect(await world.heartbeat(leader!)).toBe("NONE");
  });

  test("sessions are held to their bounds", async () => {
    const world = await GroupWorld.open();
    const short = world.join({ sessionTimeoutMs: 5_999 });
    const long = world.join({ sessionTimeoutMs: 1_800_001 });
    const noGroup = world.join({ groupId: "" });
    await world.clock.settle();
    expect(joinErrorOf(short)).toBe("INVALID_SESSION_TIMEOUT");
    expect(joinErrorOf(long)).toBe("INVALID_SESSION_TIMEOUT");
    expect(joinErrorOf(noGroup)).toBe("INVALID_GROUP_ID");
  });

  test("a group takes no more members than group.max.size", async () => {
    const world = await GroupWorld.open({ maxSize: 2 });
    const members = await world.stableGroup(2);
    const third = world.join();
    await world.clock.settle();
    expect(joinErrorOf(third)).toBe("GROUP_MAX_SIZE_REACHED");
    expect(await world.heartbeat(members[1]!)).toBe("NONE");
  });

  test("an id that was given out expires with its session", async () => {
    const world = await GroupWorld.open();
    const first = world.join({ sessionTimeoutMs: 6_000 });
    await world.clock.settle();
    await world.clock.advance(6_001);
    const late = world.join({ memberId: first.value!.memberId });
    await world.clock.settle();
    expect(joinErrorOf(late)).toBe("UNKNOWN_MEMBER_ID");
  });

  test("a second JoinGroup of a waiting member answers the first, so that none waits for ever", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(2);
    const rejoin = world.join({ memberId: leader!.memberId });
    await world.clock.settle();
    const again = world.join({ memberId: leader!.memberId });
    await world.clock.settle();
    expect(joinErrorOf(rejoin)).toBe("REBALANCE_IN_PROGRESS");
    expect(again.isSettled).toBe(false);
  });
});

describe("a generation", () => {
  test("members get what the leader assigned, once it is committed", async () => {
    const world = await GroupWorld.open();
    const joins = [await world.startMember(), await world.startMember()];
    await world.clock.advance(6_000);
    const [leader, follower] = joins.map(({ value }) => member(value!));
    const waiting = world.sync(follower!);
    await world.clock.settle();
    expect(waiting.isSettled).toBe(false);
    world.log.commitsAtOnce = false;
    const leading = world.sync(leader!, { [leader!.memberId]: "a", [follower!.memberId]: "b" });
    await world.clock.settle();
    expect(waiting.isSettled || leading.isSettled).toBe(false);
    world.log.commit();
    await world.clock.settle();
    expect(waiting.value!.assignment.toString()).toBe("b");
    expect(leading.value).toMatchObject({ protocolType: "consumer", protocolName: "range" });
    expect(leading.value!.assignment.toString()).toBe("a");
  });

  test("a member that the leader forgot gets an empty assignment", async () => {
    const world = await GroupWorld.open();
    const joins = [await world.startMember(), await world.startMember()];
    await world.clock.advance(6_000);
    const [leader, follower] = joins.map(({ value }) => member(value!));
    world.sync(leader!, { [leader!.memberId]: "all" });
    const sync = world.sync(follower!);
    await world.clock.settle();
    expect(sync.value!.errorCode).toBe(0);
    expect(sync.value!.assignment).toHaveLength(0);
  });

  test("rises with every rebalance (G1)", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    let generationId = leader!.generationId;
    for (let i = 0; i < 4; i += 1) {
      const rejoin = world.join({ memberId: leader!.memberId });
      await world.clock.settle();
      expect(rejoin.value!.generationId).toBe(generationId + 1);
      generationId = rejoin.value!.generationId;
      await world.assign([member(rejoin.value!)]);
    }
  });

  test("a new member makes everybody rejoin, and heartbeats say so", async () => {
    const world = await GroupWorld.open();
    const [old] = await world.stableGroup(1);
    const joining = await world.startMember();
    await world.clock.settle();
    expect(await world.heartbeat(old!)).toBe("REBALANCE_IN_PROGRESS");
    expect(joining.isSettled).toBe(false);
    const rejoin = world.join({ memberId: old!.memberId });
    await world.clock.settle();
    expect(rejoin.value!.generationId).toBe(old!.generationId + 1);
    expect(joining.value!.generationId).toBe(old!.generationId + 1);
  });

  test("whoever does not rejoin within the rebalance timeout is out", async () => {
    const world = await GroupWorld.open();
    const members = await world.stableGroup(2, { sessionTimeoutMs: 300_000 });
    const rejoin = world.join({ memberId: members[0]!.memberId, sessionTimeoutMs: 300_000 });
    await world.clock.advance(59_000);
    expect(rejoin.isSettled).toBe(false);
    await world.clock.advance(1_001);
    expect(rejoin.value!.members.map(({ memberId }) => memberId)).toEqual([members[0]!.memberId]);
    expect(await world.heartbeat(members[1]!)).toBe("UNKNOWN_MEMBER_ID");
  });

  test("a leader that does not rejoin hands over", async () => {
    const world = await GroupWorld.open();
    const members = await world.stableGroup(2, { sessionTimeoutMs: 300_000 });
    const other = { name: "range", metadata: Buffer.from("changed") };
    const rejoin = world.join({
      memberId: members[1]!.memberId,
      protocols: [other],
      sessionTimeoutMs: 300_000,
    });
    await world.clock.advance(60_001);
    expect(rejoin.value!.leader).toBe(members[1]!.memberId);
  });

  test("whoever does not sync within the rebalance timeout is out", async () => {
    const world = await GroupWorld.open();
    const joins = [];
    for (let i = 0; i < 2; i += 1) {
      joins.push(await world.startMember({ sessionTimeoutMs: 300_000 }));
    }
    await world.clock.advance(6_000);
    const [leader, follower] = joins.map(({ value }) => member(value!));
    world.sync(leader!, {});
    await world.clock.advance(60_001);
    expect(await world.heartbeat(follower!)).toBe("UNKNOWN_MEMBER_ID");
    expect(await world.heartbeat(leader!)).toBe("REBALANCE_IN_PROGRESS");
  });

  test("a follower that rejoins unchanged gets its generation again, without a rebalance", async () => {
    const world = await GroupWorld.open();
    const members = await world.stableGroup(2);
    const rejoin = world.join({ memberId: members[1]!.memberId });
    await world.clock.settle();
    expect(rejoin.value).toMatchObject({
      generationId: members[1]!.generationId,
      members: [],
      leader: members[0]!.memberId,
    });
    const sync = world.sync(members[1]!);
    await world.clock.settle();
    expect(sync.value!.assignment.toString()).toBe("for 1");
    expect(await world.heartbeat(members[0]!)).toBe("NONE");
  });

  test("a lost JoinGroup answer is repeated while the generation completes", async () => {
    const world = await GroupWorld.open();
    const joins = [await world.startMember(), await world.startMember()];
    await world.clock.advance(6_000);
    const again = world.join({ memberId: joins[0]!.value!.memberId });
    await world.clock.settle();
    expect(again.value).toEqual(joins[0]!.value);
  });

  test("a rebalance sends those who wait for an assignment to join again", async () => {
    const world = await GroupWorld.open();
    const joins = [await world.startMember(), await world.startMember()];
    await world.clock.advance(6_000);
    const follower = member(joins[1]!.value!);
    const waiting = world.sync(follower);
    await world.clock.settle();
    await world.leave({ memberId: joins[0]!.value!.memberId });
    expect(syncErrorOf(waiting)).toBe("REBALANCE_IN_PROGRESS");
  });

  test("an old generation, a stranger and another protocol are refused in SyncGroup (G2)", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    const { memberId, generationId } = leader!;
    const syncs = [
      world.sync({ memberId, generationId: generationId - 1 }),
      world.sync({ memberId: "stranger", generationId }),
      world.sync(leader!, {}, { protocolName: "sticky" }),
      world.sync(leader!, {}, { protocolType: "connect" }),
      world.sync(leader!, {}, { groupId: "elsewhere" }),
      world.sync(leader!, {}, { groupId: "" }),
    ];
    await world.clock.settle();
    expect(syncs.map(syncErrorOf)).toEqual([
      "ILLEGAL_GENERATION",
      "UNKNOWN_MEMBER_ID",
      "INCONSISTENT_GROUP_PROTOCOL",
      "INCONSISTENT_GROUP_PROTOCOL",
      "UNKNOWN_MEMBER_ID",
      "INVALID_GROUP_ID",
    ]);
  });
});

describe("sessions", () => {
  test("a member without heartbeats is out after its session timeout", async () => {
    const world = await GroupWorld.open();
    const members = await world.stableGroup(2);
    for (let i = 0; i < 4; i += 1) {
      await world.clock.advance(4_000);
      expect(await world.heartbeat(members[0]!)).toBe(i < 2 ? "NONE" : "REBALANCE_IN_PROGRESS");
    }
    expect(await world.heartbeat(members[1]!)).toBe("UNKNOWN_MEMBER_ID");
  });

  test("after a stall, heartbeats that have arrived are read before sessions are judged", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    world.clock.stall(15_000);
    expect(await world.heartbeat(leader!)).toBe("NONE");
    await world.clock.settle();
    expect(await world.heartbeat(leader!)).toBe("NONE");
    await world.clock.advance(10_001);
    expect(await world.heartbeat(leader!)).toBe("UNKNOWN_MEMBER_ID");
  });

  test("after a stall, a commit that has arrived and is not in the log yet counts as well", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    world.clock.stall(15_000);
    expect(await world.commit(1, leader)).toEqual(["NONE"]);
    await world.clock.advance(1_000);
    expect(await world.heartbeat(leader!)).toBe("NONE");
  });

  test("a member that waits at a barrier cannot heartbeat, and is not judged for it", async () => {
    const world = await GroupWorld.open();
    const members = await world.stableGroup(2, { sessionTimeoutMs: 10_000 });
    const rejoin = world.join({ memberId: members[0]!.memberId });
    for (let i = 0; i < 5; i += 1) {
      await world.clock.advance(8_000);
      expect(await world.heartbeat(members[1]!)).toBe("REBALANCE_IN_PROGRESS");
    }
    const second = world.join({ memberId: members[1]!.memberId });
    await world.clock.settle();
    expect(joinErrorOf(rejoin)).toBe("NONE");
    expect(joinErrorOf(second)).toBe("NONE");
  });

  test("a session that is alive ends when heartbeats do, after a rebalance too", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    const rejoin = world.join({ memberId: leader!.memberId });
    await world.clock.settle();
    await world.assign([member(rejoin.value!)]);
    await world.clock.advance(10_001);
    expect(await world.heartbeat(member(rejoin.value!))).toBe("UNKNOWN_MEMBER_ID");
  });

  test("no group without members takes a heartbeat (G11)", async () => {
    const world = await GroupWorld.open();
    expect(await world.heartbeat({ memberId: "a", generationId: 0 })).toBe("UNKNOWN_MEMBER_ID");
    const [leader] = await world.stableGroup(1);
    await world.leave(leader!);
    expect(await world.heartbeat(leader!)).toBe("UNKNOWN_MEMBER_ID");
    expect(await world.heartbeat({ memberId: "", generationId: 2 })).toBe("UNKNOWN_MEMBER_ID");
    expect(await world.heartbeat(leader!, { groupId: "" })).toBe("INVALID_GROUP_ID");
  });

  test("a heartbeat of another generation is refused (G2)", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    const { memberId, generationId } = leader!;
    expect(await world.heartbeat({ memberId, generationId: generationId + 1 })).toBe(
      "ILLEGAL_GENERATION",
    );
  });
});

describe("leaving", () => {
  test("the others rebalance at once", async () => {
    const world = await GroupWorld.open();
    const members = await world.stableGroup(2);
    expect(await world.leave(members[0]!)).toEqual(["NONE"]);
    expect(await world.heartbeat(members[1]!)).toBe("REBALANCE_IN_PROGRESS");
    const rejoin = world.join({ memberId: members[1]!.memberId });
    await world.clock.settle();
    expect(rejoin.value).toMatchObject({ leader: members[1]!.memberId, generationId: 2 });
  });

  test("many leave in one request, each with its own error", async () => {
    const world = await GroupWorld.open();
    const members = await world.stableGroup(3);
    expect(
      await world.leave(members[0]!, { memberId: "stranger" }, members[1]!, {
        memberId: "",
        groupInstanceId: "nobody",
      }),
    ).toEqual(["NONE", "UNKNOWN_MEMBER_ID", "NONE", "UNKNOWN_MEMBER_ID"]);
    const rejoin = world.join({ memberId: members[2]!.memberId });
    await world.clock.settle();
    expect(rejoin.value!.members).toHaveLength(1);
  });

  test("the last one leaves an empty group, whose next generation is higher (G1)", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    await world.leave(leader!);
    const [next] = await world.stableGroup(1);
    expect(next!.generationId).toBeGreaterThan(leader!.generationId + 1);
  });

  test("an id that was given out can be handed back, and disturbs nobody", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    const pending = world.join();
    await world.clock.settle();
    expect(await world.leave({ memberId: pending.value!.memberId })).toEqual(["NONE"]);
    expect(await world.heartbeat(leader!)).toBe("NONE");
  });

  test("a waiting JoinGroup and SyncGroup of the leaver are answered", async () => {
    const world = await GroupWorld.open();
    const joins = [await world.startMember(), await world.startMember()];
    await world.clock.advance(6_000);
    const follower = member(joins[1]!.value!);
    const sync = world.sync(follower);
    await world.clock.settle();
    await world.leave(follower);
    expect(syncErrorOf(sync)).toBe("UNKNOWN_MEMBER_ID");
    const rejoin = await world.startMember();
    await world.clock.settle();
    const other = world.join({ memberId: joins[0]!.value!.memberId });
    await world.clock.settle();
    expect([rejoin, other].map((join) => errorName(join.value!.errorCode))).toEqual([
      "NONE",
      "NONE",
    ]);
  });

  test("leaving a group that does not exist is refused for each member", async () => {
    const world = await GroupWorld.open();
    expect(await world.leave({ memberId: "a" }, { memberId: "b" })).toEqual([
      "UNKNOWN_MEMBER_ID",
      "UNKNOWN_MEMBER_ID",
    ]);
  });
});
