import { describe, expect, test } from "vitest";
import { errorName, KafkaError } from "../../../src/protocol/errors.ts";
import { GroupWorld, offsetOf, watch } from "./support/group-world.ts";
import { subscription } from "./support/subscription.ts";

async function deleteGroup(world: GroupWorld, groupId = "group") {
  const answer = watch(world.coordinator.deleteGroup(groupId));
  await world.clock.settle();
  return answer.value!.error ?? "NONE";
}

async function deleteOffsets(world: GroupWorld, topic: string, groupId = "group") {
  const partitions = [0, 1].map((partitionIndex) => ({ topic, partitionIndex }));
  const answer = watch(world.coordinator.deleteOffsets(groupId, partitions));
  await world.clock.settle();
  const { value } = answer;
  return value!.error ?? value!.value.map((code) => errorName(code)).join();
}

async function listed(world: GroupWorld): Promise<string[]> {
  const answer = await world.coordinator.listGroups({ states: [], types: [] });
  return answer.error === null ? answer.value.map(({ groupId }) => groupId).sort() : [answer.error];
}

describe("a group that is deleted", () => {
  test("is gone with its offsets, after a failover too (G3)", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    await world.commit(5, leader);
    await world.leave(leader!);
    await world.commit(6, { groupId: "other" });
    expect(await deleteGroup(world)).toBe("NONE");
    const expectGone = async (each: GroupWorld): Promise<void> => {
      expect(await listed(each)).toEqual(["other"]);
      expect(await each.fetchAll()).toEqual([]);
      expect(await each.fetchAll("other")).toEqual(["topic-0=6"]);
    };
    await expectGone(world);
    await expectGone(await world.failOver());
  });

  test("must have no members, and must be there", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    await world.commit(5, leader);
    expect(await deleteGroup(world)).toBe("NON_EMPTY_GROUP");
    expect(await deleteGroup(world, "nobody")).toBe("GROUP_ID_NOT_FOUND");
    expect(await world.fetch()).toBe(5);
    expect(await world.heartbeat(leader!)).toBe("NONE");
  });

  test("forgets the ids that it has given out", async () => {
    const world = await GroupWorld.open();
    const asked = world.join();
    await world.clock.settle();
    expect(await deleteGroup(world)).toBe("NONE");
    expect(await listed(world)).toEqual([]);
    const joined = world.join({ memberId: asked.value!.memberId });
    await world.clock.settle();
    expect(errorName(joined.value!.errorCode)).toBe("UNKNOWN_MEMBER_ID");
  });

  test("with more offsets than a batch takes goes in several, the group last", async () => {
    const world = await GroupWorld.open({ maxBatchBytes: 2_000_000 });
    const offsets = Array.from({ length: 15_000 }, (_, index) => offsetOf("topic", index, 1));
    await world.commit(0, { offsets });
    const before = world.log.batches.length;
    expect(await deleteGroup(world)).toBe("NONE");
    expect(world.log.batches.length - before).toBeGreaterThan(1);
    const next = await world.failOver();
    expect(await listed(next)).toEqual([]);
    expect(await next.fetchAll()).toEqual([]);
  });

  test("goes, and expires, where only small batches are taken, too", async () => {
    const world = await GroupWorld.open({ maxBatchBytes: 5_000, offsetsRetentionMs: 1 });
    for (const groupId of ["group", "old"]) {
      for (let from = 0; from < 500; from += 20) {
        const offsets = Array.from({ length: 20 }, (_, index) =>
          offsetOf("topic", from + index, 1),
        );
        expect(await world.commit(0, { groupId, offsets })).not.toContain("UNKNOWN_SERVER_ERROR");
      }
    }
    expect(await deleteGroup(world)).toBe("NONE");
    expect(await listed(world)).toEqual(["old"]);
    await world.clock.advance(600_000);
    expect(await listed(world)).toEqual([]);
  });

  test("stays as it was when the log refuses", async () => {
    const world = await GroupWorld.open();
    await world.commit(5);
    world.log.refusal = new KafkaError("NOT_ENOUGH_REPLICAS");
    expect(await deleteGroup(world)).toBe("COORDINATOR_NOT_AVAILABLE");
    world.log.refusal = null;
    expect(await listed(world)).toEqual(["group"]);
    expect(await world.fetch()).toBe(5);
  });
});

describe("offsets that are deleted", () => {
  test("are gone, and nothing else is, after a failover too (G3)", async () => {
    const world = await GroupWorld.open();
    await world.commit(0, { offsets: [offsetOf("topic", 0, 1), offsetOf("gone", 1, 2)] });
    expect(await deleteOffsets(world, "gone")).toBe("NONE,NONE");
    expect(await world.fetchAll()).toEqual(["topic-0=1"]);
    const next = await world.failOver();
    expect(await next.fetchAll()).toEqual(["topic-0=1"]);
  });

  test("are none that the members read", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1, { protocols: subscription("topic") });
    const offsets = [offsetOf("topic", 0, 1), offsetOf("left", 0, 2)];
    await world.commit(0, { ...leader, offsets });
    const refused = "GROUP_SUBSCRIBED_TO_TOPIC,GROUP_SUBSCRIBED_TO_TOPIC";
    expect(await deleteOffsets(world, "topic")).toBe(refused);
    expect(await deleteOffsets(world, "left")).toBe("NONE,NONE");
    expect(await world.fetchAll()).toEqual(["topic-0=1"]);
  });

  test("are none at all while it is not known what the members read", async () => {
    const world = await GroupWorld.open();
    const consumer = await world.stableGroup(1);
    await world.commit(1, consumer[0]);
    expect(await deleteOffsets(world, "topic")).toMatch(/^GROUP_SUBSCRIBED_TO_TOPIC/);
    const groupId = "connect";
    const [worker] = await world.stableGroup(1, { groupId, protocolType: "connect" });
    await world.commit(1, { ...worker, groupId });
    expect(await deleteOffsets(world, "topic", groupId)).toBe("NON_EMPTY_GROUP");
    await world.clock.advance(60_000);
    expect(await deleteOffsets(world, "topic", groupId)).toBe("NONE,NONE");
  });

  test("are those of a group that is there", async () => {
    const world = await GroupWorld.open();
    expect(await deleteOffsets(world, "topic", "nobody")).toBe("GROUP_ID_NOT_FOUND");
    expect(await deleteOffsets(world, "topic", "")).toBe("INVALID_GROUP_ID");
  });
});
