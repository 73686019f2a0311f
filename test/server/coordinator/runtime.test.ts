import { describe, expect, test } from "vitest";
import { loopTurn } from "../../../src/base/clock.ts";
import { KafkaError } from "../../../src/protocol/errors.ts";
import { batchCompression, stampBatch } from "../../../src/protocol/records/batch.ts";
import { buildBatch, encodeBatch } from "../../../src/protocol/records/batch-builder.ts";
import { GroupWorld, joinErrorOf, member, syncErrorOf, watch } from "./support/group-world.ts";
import { MemoryLog } from "./support/memory-log.ts";

describe("loading", () => {
  test("while the log is replayed, requests are told to wait", async () => {
    const log = new MemoryLog();
    let open!: () => void;
    log.gate = new Promise((resolve) => (open = resolve));
    const before = await GroupWorld.open();
    await before.commit(5);
    for (const batch of before.log.batches) log.append(Buffer.from(batch));
    const world = await GroupWorld.open({}, log);
    const join = world.join();
    const sync = world.sync({ memberId: "a", generationId: 1 });
    expect(await world.commit(6)).toEqual(["COORDINATOR_LOAD_IN_PROGRESS"]);
    await expect(world.fetch()).rejects.toThrow("COORDINATOR_LOAD_IN_PROGRESS");
    await expect(world.fetch("group", true)).rejects.toThrow("COORDINATOR_LOAD_IN_PROGRESS");
    expect(joinErrorOf(join)).toBe("COORDINATOR_LOAD_IN_PROGRESS");
    expect(syncErrorOf(sync)).toBe("REBALANCE_IN_PROGRESS");
    expect(await world.heartbeat({ memberId: "a", generationId: 1 })).toBe("NONE");
    open();
    await world.clock.settle();
    expect(await world.fetch()).toBe(5);
  });

  test("replay lets others have their turn every 5 ms", async () => {
    const before = await GroupWorld.open();
    for (let i = 0; i < 20; i += 1) await before.commit(i, { groupId: `group-${i}` });
    const world = new GroupWorld({}, before.log);
    world.clock.tickMs = 1;
    world.coordinator.onLeadership(0, 1, world.log);
    for (let i = 0; i < 100 && world.clock.pollCount === 0; i += 1) await Promise.resolve();
    expect(world.clock.pollCount).toBe(1);
    expect(world.clock.nowMs()).toBeLessThan(10);
    world.clock.tickMs = 0;
    await world.clock.settle();
    expect(await world.fetch("group-19")).toBe(19);
  });

  test("what is above the high watermark is known but not told until it is committed (G3)", async () => {
    const before = await GroupWorld.open();
    await before.commit(1);
    before.log.commitsAtOnce = false;
    before.startCommit(2);
    await before.clock.settle();
    const world = new GroupWorld({}, before.log);
    world.coordinator.onLeadership(0, 1, before.log);
    await world.clock.settle();
    expect(await world.fetch()).toBe(1);
    const later = world.startCommit(3, { groupId: "other" });
    await world.clock.settle();
    expect(later.isSettled).toBe(false);
    before.log.commit();
    await world.clock.settle();
    expect(await world.fetch()).toBe(2);
    expect(later.value).toEqual({ error: null, value: [0] });
  });

  test("a partition that cannot be read is not served", async () => {
    const log = new MemoryLog();
    const before = await GroupWorld.open({}, log);
    await before.commit(1);
    log.damage = new KafkaError("KAFKA_STORAGE_ERROR");
    const world = await GroupWorld.open({}, log);
    expect(await world.commit(2)).toEqual(["NOT_COORDINATOR"]);
  });

  test("a batch whose checksum fails stops the load", async () => {
    const log = new MemoryLog();
    await (await GroupWorld.open({}, log)).commit(1);
    log.batches[0]!.writeUInt8(log.batches[0]!.readUInt8(70) ^ 1, 70);
    expect(await (await GroupWorld.open({}, log)).commit(2)).toEqual(["NOT_COORDINATOR"]);
  });

  test("a damaged record stops the load; an unknown type does not", async () => {
    const log = new MemoryLog();
    const keyOfType = (type: number) => Buffer.from([0, type, 0, 1, 65]);
    log.append(buildBatch({ records: [{ key: keyOfType(3), value: null }], timestampMs: 0 }));
    expect(await (await GroupWorld.open({}, log)).commit(2)).toEqual(["NONE"]);
    log.append(
      buildBatch({ records: [{ key: keyOfType(2), value: Buffer.from([0]) }], timestampMs: 0 }),
    );
    expect(await (await GroupWorld.open({}, log)).commit(2)).toEqual(["NOT_COORDINATOR"]);
  });
});

/** What is left of a batch whose place must be known. */
function emptyBatch(baseOffset: number): Buffer {
  const nobody = { producerId: -1, producerEpoch: -1, baseSequence: -1, leaderEpoch: 0 };
  const times = { baseTimestamp: 0, maxTimestamp: 0 };
  const header = { ...nobody, ...times, attributes: 0, lastOffsetDelta: 4, recordCount: 0 };
  return encodeBatch({ ...header, baseOffset }, Buffer.alloc(0));
}

describe("loading a compacted log", () => {
  /** The records of these groups' last commits, each in a batch at its own offset. */
  async function compactedLog(offsets: readonly number[]): Promise<MemoryLog> {
    const log = new MemoryLog();
    for (const offset of offsets) {
      const world = await GroupWorld.open();
      await world.commit(offset, { groupId: `group-${offset}` });
      const batch = Buffer.from(world.log.batches[0]!);
      stampBatch(batch, 0, offset, 0);
      log.batches.push(batch);
    }
    log.commit();
    return log;
  }

  test("offsets that are missing, and batches of which nothing is left, are passed over", async () => {
    const log = await compactedLog([3, 10, 50]);
    log.batches.splice(2, 0, emptyBatch(20));
    const world = await GroupWorld.open({}, log);
    expect(await Promise.all([3, 10, 50].map((offset) => world.fetch(`group-${offset}`)))).toEqual([
      3, 10, 50,
    ]);
  });

  test("an end of which nothing is left is the end; what comes after it is found (G3)", async () => {
    const log = await compactedLog([3, 10]);
    log.compactedEnd = 100;
    log.highWatermark = 100;
    const world = await GroupWorld.open({}, log);
    expect(await world.fetch("group-10")).toBe(10);
    const [late] = (await compactedLog([100])).batches;
    log.batches.push(late!);
    log.commit();
    expect(await (await GroupWorld.open({}, log)).fetch("group-100")).toBe(100);
  });

  test("above the high watermark nothing may be missing", async () => {
    const log = await compactedLog([3]);
    log.compactedEnd = 100;
    log.highWatermark = 50;
    const world = await GroupWorld.open({}, log);
    expect(await world.commit(1)).toEqual(["NOT_COORDINATOR"]);
  });
});

describe("leadership", () => {
  test("before __consumer_offsets exists the coordinator is not available; elsewhere it is not here", async () => {
    const world = new GroupWorld();
    expect(await world.commit(1)).toEqual(["NOT_COORDINATOR"]);
    world.partitionCount = null;
    expect(await world.commit(1)).toEqual(["COORDINATOR_NOT_AVAILABLE"]);
    await expect(world.fetch()).rejects.toThrow("COORDINATOR_NOT_AVAILABLE");
  });

  test("when it goes, everything that waits ends with NOT_COORDINATOR (G8)", async () => {
    const world = await GroupWorld.open();
    const joins = [await world.startMember({ groupId: "a" }), await world.startMember()];
    await world.clock.advance(1_000);
    world.log.commitsAtOnce = false;
    const commit = world.startCommit(1, { groupId: "simple" });
    await world.clock.settle();
    world.coordinator.onResignation(0);
    await world.clock.settle();
    expect(joins.map(joinErrorOf)).toEqual(["NOT_COORDINATOR", "NOT_COORDINATOR"]);
    expect(commit.value).toEqual({ error: "NOT_COORDINATOR" });
    expect(await world.commit(2)).toEqual(["NOT_COORDINATOR"]);
    world.log.commit();
    await world.clock.advance(60_000);
    expect(world.log.batches).toHaveLength(3);
  });

  test("a commit that was decided before the resignation and not appended is not appended", async () => {
    const world = await GroupWorld.open();
    const commit = world.startCommit(1);
    world.coordinator.onResignation(0);
    await world.clock.settle();
    expect(commit.value).toEqual({ error: "NOT_COORDINATOR" });
    expect(world.log.batches).toHaveLength(0);
  });

  test("a later epoch loads anew, an earlier one changes nothing", async () => {
    const world = await GroupWorld.open();
    await world.commit(1);
    world.coordinator.onLeadership(0, 5, world.log);
    expect(await world.fetch().catch(String)).toContain("COORDINATOR_LOAD_IN_PROGRESS");
    await world.clock.settle();
    world.coordinator.onLeadership(0, 4, new MemoryLog());
    await world.clock.settle();
    expect(await world.fetch()).toBe(1);
  });

  test("close ends what waits and leaves no timer behind", async () => {
    const world = await GroupWorld.open();
    const join = await world.startMember();
    await world.clock.settle();
    await world.coordinator.close();
    await world.clock.settle();
    expect(joinErrorOf(join)).toBe("NOT_COORDINATOR");
    await world.coordinator.close();
    world.coordinator.onLeadership(0, 9, world.log);
    expect(await world.commit(1)).toEqual(["NOT_COORDINATOR"]);
  });
});

describe("the log", () => {
  test("takes the commits of one turn as one batch", async () => {
    const world = await GroupWorld.open();
    const commits = Array.from({ length: 50 }, (_, index) =>
      world.startCommit(index, { groupId: `group-${index}` }),
    );
    await world.clock.settle();
    expect(commits.every(({ value }) => value?.error === null)).toBe(true);
    expect(world.log.batches).toHaveLength(1);
    expect(world.log.recordCount).toBe(50);
  });

  test.each(["gzip", "snappy", "lz4", "zstd"] as const)("is packed by %s", async (compression) => {
    const log = new MemoryLog();
    const world = new GroupWorld({ compression }, log);
    world.coordinator.onLeadership(0, 0, log);
    while (!(await world.commit(5)).includes("NONE")) await loopTurn();
    expect(log.batches.map((batch) => batchCompression(batch))).toEqual([compression]);
    const next = await world.failOver();
    expect(await next.fetch()).toBe(5);
  });

  test("takes as many batches as the largest batch demands", async () => {
    const world = await GroupWorld.open({ maxBatchBytes: 400 });
    const commits = Array.from({ length: 10 }, (_, index) =>
      world.startCommit(index, { groupId: `group-${index}` }),
    );
    await world.clock.settle();
    expect(commits.every(({ value }) => value?.error === null)).toBe(true);
    expect(world.log.batches.length).toBeGreaterThan(2);
    expect(world.log.batches.every((batch) => batch.length <= 400)).toBe(true);
  });

  test("that refuses leaves the state as it was, and what comes after is served", async () => {
    const world = await GroupWorld.open();
    await world.commit(1);
    world.log.refusal = new KafkaError("NOT_ENOUGH_REPLICAS");
    const commits = [world.startCommit(2), world.startCommit(3)];
    const join = world.join({ groupId: "new", version: 3 });
    await world.clock.settle();
    for (const { value } of commits) expect(value).toEqual({ error: "COORDINATOR_NOT_AVAILABLE" });
    expect(joinErrorOf(join)).toBe("COORDINATOR_NOT_AVAILABLE");
    world.log.refusal = null;
    expect(await world.fetch()).toBe(1);
    expect(await world.fetch("group", true)).toBe(1);
    expect(await world.commit(0, { groupId: "new", generationId: 1, memberId: "x" })).toEqual([
      "GROUP_ID_NOT_FOUND",
    ]);
    expect(await world.commit(4)).toEqual(["NONE"]);
  });

  test("that refuses the assignment sends everybody to join again", async () => {
    const world = await GroupWorld.open();
    const joins = [await world.startMember(), await world.startMember()];
    await world.clock.advance(6_000);
    const [leader, follower] = joins.map(({ value }) => member(value!));
    const waiting = world.sync(follower!);
    await world.clock.settle();
    world.log.refusal = new KafkaError("NOT_ENOUGH_REPLICAS");
    const leading = world.sync(leader!, {});
    await world.clock.settle();
    expect(syncErrorOf(leading)).toBe("COORDINATOR_NOT_AVAILABLE");
    expect(syncErrorOf(waiting)).toBe("COORDINATOR_NOT_AVAILABLE");
    world.log.refusal = null;
    expect(await world.heartbeat(follower!)).toBe("REBALANCE_IN_PROGRESS");
  });

  test("that refuses what an expiry decided is asked again", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    world.log.refusal = new KafkaError("NOT_ENOUGH_REPLICAS");
    await world.clock.advance(11_000);
    world.log.refusal = null;
    expect(await world.heartbeat({ ...leader!, generationId: 77 })).toBe("ILLEGAL_GENERATION");
    await world.clock.advance(1_000);
    expect(await world.heartbeat(leader!)).toBe("UNKNOWN_MEMBER_ID");
  });

  test("that refuses the deletion of a topic's offsets is asked again", async () => {
    const world = await GroupWorld.open();
    await world.commit(1);
    world.log.refusal = new KafkaError("NOT_ENOUGH_REPLICAS");
    world.coordinator.onTopicsDeleted(["topic"]);
    await world.clock.advance(2_000);
    expect(await world.fetch()).toBe(1);
    world.log.refusal = null;
    await world.clock.advance(1_000);
    expect(await world.fetch()).toBe(-1);
  });

  test("that does not commit in time ends the answer, not the commit", async () => {
    const world = await GroupWorld.open({ writeTimeoutMs: 5_000 });
    world.log.commitsAtOnce = false;
    const commit = world.startCommit(1);
    await world.clock.advance(4_999);
    expect(commit.isSettled).toBe(false);
    await world.clock.advance(2);
    expect(commit.value).toEqual({ error: "COORDINATOR_NOT_AVAILABLE" });
    expect(await world.fetch()).toBe(-1);
    world.log.commit();
    await world.clock.settle();
    expect(await world.fetch()).toBe(1);
  });

  test("that loses an append is read again: the log says what is true", async () => {
    const world = await GroupWorld.open();
    await world.commit(1);
    world.log.commitsAtOnce = false;
    const commit = world.startCommit(2);
    await world.clock.settle();
    world.log.lose(new KafkaError("UNKNOWN_SERVER_ERROR"));
    await world.clock.settle();
    expect(commit.value).toEqual({ error: "UNKNOWN_SERVER_ERROR" });
    expect(await world.fetch()).toBe(1);
    world.log.commit();
    await world.clock.settle();
    expect(await world.fetch()).toBe(2);
  });

  test("that loses an append because leadership or the disk went is not served from", async () => {
    for (const name of ["NOT_LEADER_OR_FOLLOWER", "KAFKA_STORAGE_ERROR"] as const) {
      const world = await GroupWorld.open();
      world.log.commitsAtOnce = false;
      const commit = world.startCommit(2);
      await world.clock.settle();
      world.log.lose(new KafkaError(name));
      await world.clock.settle();
      expect(commit.value).toEqual({ error: "NOT_COORDINATOR" });
      expect(await world.commit(3)).toEqual(["NOT_COORDINATOR"]);
    }
  });

  test("an answer never overtakes what it rests on", async () => {
    const world = await GroupWorld.open();
    const [leader] = await world.stableGroup(1);
    world.log.commitsAtOnce = false;
    const commit = world.startCommit(1, leader);
    await world.clock.settle();
    const { memberId, generationId } = leader!;
    const heartbeat = watch(
      world.coordinator.heartbeat({
        groupId: "group",
        memberId,
        generationId,
        groupInstanceId: null,
      }),
    );
    await world.clock.settle();
    expect(heartbeat.isSettled || commit.isSettled).toBe(false);
    world.log.commit();
    await world.clock.settle();
    expect(heartbeat.isSettled && commit.isSettled).toBe(true);
  });
});

test("after a failover a group is where its last generation left it (G3)", async () => {
  const world = await GroupWorld.open();
  const members = await world.stableGroup(2);
  await world.commit(42, members[1]);
  const next = await world.failOver();
  expect(await next.heartbeat(members[0]!)).toBe("NONE");
  expect(await next.fetch()).toBe(42);
  const sync = next.sync(members[1]!);
  await next.clock.settle();
  expect(sync.value!.assignment.toString()).toBe("for 1");
  await next.clock.advance(10_001);
  expect(await next.heartbeat(members[0]!)).toBe("UNKNOWN_MEMBER_ID");
});

test("a group that has grown past group.max.size rebalances after a failover", async () => {
  const world = await GroupWorld.open();
  const members = await world.stableGroup(3);
  const next = await world.failOver({ maxSize: 2 });
  expect(await next.heartbeat(members[0]!)).toBe("REBALANCE_IN_PROGRESS");
  const joins = members.map(({ memberId }) => next.join({ memberId }));
  await next.clock.settle();
  expect(joinErrorOf(joins[2]!)).toBe("GROUP_MAX_SIZE_REACHED");
  expect(joins.slice(0, 2).map(joinErrorOf)).toEqual(["NONE", "NONE"]);
});
