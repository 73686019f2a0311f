import { describe, expect, test } from "vitest";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import { GroupWorld, member, offsetOf, OPTIONS } from "./support/group-world.ts";
import { subscription } from "./support/subscription.ts";

const HOUR_MS = 3_600_000;

describe("committing", () => {
  test("a member's commit is read back, and the last one wins (G4)", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    expect(await world.commit(5, leader)).toEqual(["NONE"]);
    expect(await world.commit(9, leader)).toEqual(["NONE"]);
    expect(await world.fetch()).toBe(9);
    expect(await world.commit(3, leader)).toEqual(["NONE"]);
    expect(await world.fetch()).toBe(3);
  });

  test("old generations and strangers are refused (G2)", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    const { memberId, generationId } = leader!;
    expect(await world.commit(1, { memberId, generationId: generationId - 1 })).toEqual([
      "ILLEGAL_GENERATION",
    ]);
    expect(await world.commit(1, { memberId: "stranger", generationId })).toEqual([
      "UNKNOWN_MEMBER_ID",
    ]);
    expect(await world.commit(1, { memberId, generationId: -1 })).toEqual(["ILLEGAL_GENERATION"]);
    expect(await world.commit(1, { memberId, generationId, groupInstanceId: "x" })).toEqual([
      "UNKNOWN_MEMBER_ID",
    ]);
    expect(await world.fetch()).toBe(-1);
  });

  test("from outside it is taken only while the group has no members", async () => {
    const world = await GroupWorld.open();
    expect(await world.commit(4)).toEqual(["NONE"]);
    const [leader] = await world.stableGroup(1);
    expect(await world.commit(5)).toEqual(["UNKNOWN_MEMBER_ID"]);
    await world.leave(leader!);
    expect(await world.commit(6)).toEqual(["NONE"]);
    expect(await world.fetch()).toBe(6);
  });

  test("a member's commit is taken while the group prepares to rebalance, not while it completes", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    await world.startMember();
    await world.clock.settle();
    expect(await world.commit(7, leader)).toEqual(["NONE"]);
    const rejoin = world.join({ memberId: leader!.memberId });
    await world.clock.settle();
    expect(await world.commit(8, member(rejoin.value!))).toEqual(["REBALANCE_IN_PROGRESS"]);
    expect(await world.commit(8, leader)).toEqual(["ILLEGAL_GENERATION"]);
    expect(await world.fetch()).toBe(7);
  });

  test("with a generation in a group that nobody knows is refused, by version", async () => {
    const world = await GroupWorld.open();
    const request = { groupId: "nobody", memberId: "a", generationId: 3 };
    expect(await world.commit(1, { ...request, apiVersion: 8 })).toEqual(["ILLEGAL_GENERATION"]);
    expect(await world.commit(1, { ...request, apiVersion: 9 })).toEqual(["GROUP_ID_NOT_FOUND"]);
  });

  test("keeps the member's session alive", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    for (let i = 0; i < 3; i += 1) {
      await world.clock.advance(8_000);
      expect(await world.commit(i, leader)).toEqual(["NONE"]);
    }
    await world.clock.advance(10_001);
    expect(await world.commit(9, leader)).toEqual(["UNKNOWN_MEMBER_ID"]);
  });

  test("metadata beyond its limit is refused for its partition alone", async () => {
    const world = await GroupWorld.open({ offsetMetadataMaxBytes: 3 });
    expect(
      await world.commit(0, {
        offsets: [offsetOf("topic", 0, 1, "1234"), offsetOf("topic", 1, 2, "123")],
      }),
    ).toEqual(["OFFSET_METADATA_TOO_LARGE", "NONE"]);
    expect(await world.fetchAll()).toEqual(["topic-1=2"]);
  });

  test("more than a batch can hold is refused whole, and nothing of it stays", async () => {
    const world = await GroupWorld.open({ maxBatchBytes: 1_000 });
    const offsets = Array.from({ length: 50 }, (_, index) => offsetOf("topic", index, index));
    expect(await world.commit(0, { offsets })).toEqual(["UNKNOWN_SERVER_ERROR"]);
    expect(await world.fetchAll()).toEqual([]);
    expect(await world.commit(1)).toEqual(["NONE"]);
  });
});

describe("fetching", () => {
  test("unknown groups, topics and partitions have offset -1 and no error", async () => {
    const world = await GroupWorld.open();
    expect(await world.fetch("nobody")).toBe(-1);
    expect(await world.fetchAll("nobody")).toEqual([]);
    await world.commit(1);
    const answer = await world.coordinator.fetchOffsets(
      {
        groupId: "group",
        topics: [
          { topic: "topic", topicId: ZERO_UUID, partitionIndexes: [0, 7] },
          { topic: "other", topicId: ZERO_UUID, partitionIndexes: [0] },
        ],
      },
      false,
    );
    const none = { offset: -1, leaderEpoch: -1, metadata: "" };
    expect(answer.error === null && answer.value).toMatchObject([
      {
        topic: "topic",
        partitions: [
          { partitionIndex: 0, offset: 1 },
          { partitionIndex: 7, ...none },
        ],
      },
      { topic: "other", partitions: [{ partitionIndex: 0, ...none }] },
    ]);
  });

  test("an offset that is not committed yet is not shown, as a failover could take it back", async () => {
    const world = await GroupWorld.open();
    await world.commit(1);
    world.log.commitsAtOnce = false;
    const commit = world.startCommit(2, {
      offsets: [offsetOf("topic", 0, 2), offsetOf("new", 0, 2)],
    });
    await world.clock.settle();
    expect(commit.isSettled).toBe(false);
    expect(await world.fetchAll()).toEqual(["topic-0=1"]);
    expect(await world.fetch()).toBe(1);
    world.log.commit();
    await world.clock.settle();
    expect(commit.isSettled).toBe(true);
    expect(await world.fetchAll()).toEqual(["new-0=2", "topic-0=2"]);
  });

  test("require-stable waits for commits that are under way", async () => {
    const world = await GroupWorld.open();
    await world.commit(1);
    world.log.commitsAtOnce = false;
    world.startCommit(2);
    await world.clock.settle();
    let offset: number | undefined;
    void world.coordinator
      .fetchOffsets(
        {
          groupId: "group",
          topics: [{ topic: "topic", topicId: ZERO_UUID, partitionIndexes: [0] }],
        },
        true,
      )
      .then((answer) => {
        offset = answer.error === null ? answer.value[0]!.partitions[0]!.offset : -2;
      });
    await world.clock.settle();
    expect(offset).toBeUndefined();
    world.log.commit();
    await world.clock.settle();
    expect(offset).toBe(2);
  });

  test("who asks by topic id does not get what a deleted topic of that name had", async () => {
    const world = await GroupWorld.open();
    const [oldId, newId] = ["AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAAAAAAAAAAAAg"] as [
      typeof ZERO_UUID,
      typeof ZERO_UUID,
    ];
    await world.commit(0, { offsets: [{ ...offsetOf("topic", 0, 5), topicId: oldId }] });
    const offsetFor = async (topicId: typeof ZERO_UUID) => {
      const topics = [{ topic: "topic", topicId, partitionIndexes: [0] }];
      const answer = await world.coordinator.fetchOffsets({ groupId: "group", topics }, false);
      return answer.error === null && answer.value[0]!.partitions[0]!.offset;
    };
    expect(await offsetFor(oldId)).toBe(5);
    expect(await offsetFor(newId)).toBe(-1);
    expect(await offsetFor(ZERO_UUID)).toBe(5);
  });
});

describe("expiry (G10)", () => {
  test("a simple group's offsets go when they are older than the retention, and the group with them", async () => {
    const world = await GroupWorld.open({ offsetsRetentionMs: 2 * HOUR_MS });
    await world.commit(1);
    await world.clock.advance(HOUR_MS);
    await world.commit(2, { offsets: [offsetOf("later", 0, 2)] });
    await world.clock.advance(HOUR_MS);
    expect(await world.fetchAll()).toEqual(["later-0=2"]);
    await world.clock.advance(HOUR_MS);
    expect(await world.fetchAll()).toEqual([]);
    expect(await world.commit(0, { generationId: 0, memberId: "x" })).toEqual([
      "GROUP_ID_NOT_FOUND",
    ]);
  });

  test("of a group with members nothing that they subscribe to expires", async () => {
    const world = await GroupWorld.open({ offsetsRetentionMs: HOUR_MS });
    const [leader] = await world.stableGroup(1, {
      protocols: subscription("topic"),
      sessionTimeoutMs: 1_800_000,
    });
    await world.commit(1, {
      ...leader,
      offsets: [offsetOf("topic", 0, 1), offsetOf("left", 0, 1)],
    });
    for (let i = 0; i < 8; i += 1) {
      await world.clock.advance(HOUR_MS / 4);
      expect(await world.heartbeat(leader!)).toBe("NONE");
    }
    expect(await world.fetchAll()).toEqual(["topic-0=1"]);
  });

  test("without knowing what members subscribe to, nothing expires while there are any", async () => {
    const world = await GroupWorld.open({ offsetsRetentionMs: HOUR_MS });
    const [leader] = await world.stableGroup(1, { sessionTimeoutMs: 1_800_000 });
    await world.commit(1, leader);
    for (let i = 0; i < 8; i += 1) {
      await world.clock.advance(HOUR_MS / 4);
      expect(await world.heartbeat(leader!)).toBe("NONE");
    }
    expect(await world.fetch()).toBe(1);
  });

  test("an emptied group's retention begins when it is empty", async () => {
    const world = await GroupWorld.open({ offsetsRetentionMs: HOUR_MS });
    const [leader] = await world.stableGroup(1, { sessionTimeoutMs: 1_800_000 });
    await world.commit(1, leader);
    await world.clock.advance(HOUR_MS / 3);
    await world.leave(leader!);
    await world.clock.advance(HOUR_MS - 600_000);
    expect(await world.fetch()).toBe(1);
    await world.clock.advance(1_200_000);
    expect(await world.fetch()).toBe(-1);
    const next = await world.failOver();
    expect(await next.fetchAll()).toEqual([]);
    expect(await next.commit(0, { generationId: 2, memberId: "x" })).toEqual([
      "GROUP_ID_NOT_FOUND",
    ]);
  });

  test("a retention that the client asked for is kept, through a failover too", async () => {
    const world = await GroupWorld.open();
    await world.commit(1, { retentionMs: BigInt(HOUR_MS) });
    await world.commit(2, { groupId: "for ever", retentionMs: 2n ** 63n - 1n });
    const next = await world.failOver();
    await next.clock.advance(HOUR_MS / 2);
    expect(await next.fetch()).toBe(1);
    await next.clock.advance(HOUR_MS);
    expect(await next.fetch()).toBe(-1);
    await next.clock.advance(OPTIONS.offsetsRetentionMs * 2);
    expect(await next.fetch("for ever")).toBe(2);
  });

  test("many expired offsets go in slices that fit a batch", async () => {
    const world = await GroupWorld.open({
      offsetsRetentionMs: HOUR_MS,
      maxBatchBytes: 300_000,
    });
    for (let group = 0; group < 8; group += 1) {
      const offsets = Array.from({ length: 1_000 }, (_, index) => offsetOf("topic", index, 1));
      await world.commit(0, { groupId: `group-${group}`, offsets });
    }
    const before = world.log.batches.length;
    await world.clock.advance(HOUR_MS + 600_000);
    for (let group = 0; group < 8; group += 1) {
      expect(await world.fetchAll(`group-${group}`)).toEqual([]);
    }
    expect(world.log.batches.length - before).toBeGreaterThan(3);
  });
});

describe("deleted topics", () => {
  test("what groups have committed for them is removed, for good", async () => {
    const world = await GroupWorld.open();
    await world.commit(0, { offsets: [offsetOf("gone", 0, 1), offsetOf("gone", 3, 1)] });
    await world.commit(0, { groupId: "other", offsets: [offsetOf("gone", 0, 1)] });
    await world.commit(7, { groupId: "other" });
    world.coordinator.onTopicsDeleted(["gone"]);
    await world.clock.settle();
    expect(await world.fetchAll()).toEqual([]);
    expect(await world.fetchAll("other")).toEqual(["topic-0=7"]);
    const next = await world.failOver();
    expect(await next.fetchAll()).toEqual([]);
    expect(await next.fetchAll("other")).toEqual(["topic-0=7"]);
  });

  test("also when they are deleted while the coordinator loads", async () => {
    const world = await GroupWorld.open();
    await world.commit(0, { offsets: [offsetOf("gone", 0, 1)] });
    const next = new GroupWorld({}, world.log);
    next.coordinator.onLeadership(0, 1, world.log);
    next.coordinator.onTopicsDeleted(["gone"]);
    await next.clock.settle();
    expect(await next.fetchAll()).toEqual([]);
  });
});
