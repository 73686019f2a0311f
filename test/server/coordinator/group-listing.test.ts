import { expect, test } from "vitest";
import { KafkaError } from "../../../src/protocol/errors.ts";
import type { GroupFilter } from "../../../src/server/coordinator/group-listing.ts";
import { GroupWorld, RANGE, watch } from "./support/group-world.ts";
import { MemoryLog } from "./support/memory-log.ts";

async function list(world: GroupWorld, filter: Partial<GroupFilter> = {}) {
  const answer = await world.coordinator.listGroups({ states: [], types: [], ...filter });
  if (answer.error !== null) return answer.error;
  return answer.value.map(({ groupId, groupState }) => `${groupId} ${groupState}`).sort();
}

async function describeGroup(world: GroupWorld, groupId = "group") {
  const [answer] = await world.coordinator.describeGroups([groupId]);
  if (answer!.error !== null) throw new Error(answer!.error);
  return answer!.value;
}

async function openWorld(): Promise<GroupWorld> {
  const world = await GroupWorld.open();
  await world.commit(1, { groupId: "simple" });
  await world.stableGroup(1, { groupId: "stable" });
  await world.startMember({ groupId: "joining" });
  return world;
}

test("groups are listed with their states, filtered as Kafka filters", async () => {
  const world = await openWorld();
  const all = ["joining PreparingRebalance", "simple Empty", "stable Stable"];
  expect(await list(world)).toEqual(all);
  expect(await list(world, { states: ["STABLE", " empty "] })).toEqual(all.slice(1));
  expect(await list(world, { states: ["Dead"] })).toEqual([]);
  expect(await list(world, { types: ["Classic", "consumer"] })).toEqual(all);
  expect(await list(world, { types: ["consumer"] })).toEqual([]);
  expect(await list(world, { types: ["nonsense"] })).toEqual([]);
});

test("a simple group has no protocol type", async () => {
  const world = await openWorld();
  const answer = await world.coordinator.listGroups({ states: [], types: [] });
  const types = answer.error === null && answer.value.map((group) => group.protocolType).sort();
  expect(types).toEqual(["", "consumer", "consumer"]);
});

test("what a failover could take back is not listed yet", async () => {
  const world = await openWorld();
  world.log.commitsAtOnce = false;
  world.startCommit(1, { groupId: "new" });
  await world.clock.settle();
  expect(await list(world, { states: ["empty"] })).toEqual(["simple Empty"]);
  expect(await describeGroup(world, "new")).toBe(null);
  world.log.commit();
  await world.clock.settle();
  expect(await list(world, { states: ["empty"] })).toEqual(["new Empty", "simple Empty"]);
});

test("others have their turn every 5 ms while many are described", async () => {
  const world = await openWorld();
  world.clock.tickMs = 1;
  const before = world.clock.pollCount;
  const answer = watch(world.coordinator.describeGroups(Array<string>(20).fill("stable")));
  await Promise.resolve();
  expect(world.clock.pollCount - before).toBe(1);
  expect(answer.isSettled).toBe(false);
  world.clock.tickMs = 0;
  await world.clock.settle();
  expect(answer.value).toHaveLength(20);
});

test("while one partition loads no list is given; one that cannot be read is left out", async () => {
  const world = await openWorld();
  const loading = new MemoryLog();
  let open = (): void => undefined;
  loading.gate = new Promise((resolve) => {
    open = () => resolve();
  });
  loading.batches.push(...world.log.batches.map((batch) => Buffer.from(batch)));
  loading.commit();
  world.coordinator.onLeadership(1, 0, loading);
  expect(await list(world)).toBe("COORDINATOR_LOAD_IN_PROGRESS");
  open();
  await world.clock.settle();
  expect(await list(world)).toHaveLength(6);
  const damaged = new MemoryLog();
  damaged.batches.push(...loading.batches);
  damaged.damage = new KafkaError("KAFKA_STORAGE_ERROR");
  world.coordinator.onLeadership(2, 0, damaged);
  await world.clock.settle();
  expect(await list(world)).toHaveLength(6);
});

test("a stable group is described with what its members said and were given", async () => {
  const world = await GroupWorld.open();
  const [leader] = await world.stableGroup(2);
  const found = (await describeGroup(world))!;
  expect(found).toMatchObject({
    groupState: "Stable",
    protocolType: "consumer",
    protocolData: "range",
  });
  expect(found.members).toHaveLength(2);
  expect(found.members[0]).toEqual({
    memberId: leader!.memberId,
    groupInstanceId: null,
    clientId: "client",
    clientHost: "/10.0.0.7",
    memberMetadata: RANGE[0]!.metadata,
    memberAssignment: Buffer.from("for 0"),
  });
});

test("a group between two generations is described without protocol and metadata", async () => {
  const world = await GroupWorld.open();
  await world.stableGroup(1);
  await world.startMember({ groupInstanceId: null });
  const found = (await describeGroup(world))!;
  expect(found).toMatchObject({ groupState: "PreparingRebalance", protocolData: "" });
  expect(found.members.map(({ memberMetadata }) => memberMetadata.length)).toEqual([0, 0]);
});

test("a group of nobody, and one without members", async () => {
  const world = await GroupWorld.open();
  expect(await describeGroup(world, "nobody")).toBe(null);
  await world.commit(1);
  expect(await describeGroup(world)).toEqual({
    groupState: "Empty",
    protocolType: "",
    protocolData: "",
    members: [],
  });
});
