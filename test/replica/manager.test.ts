import { describe, expect, test } from "vitest";
import { DiskError } from "../../src/base/disk.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import {
  assignmentOf,
  batch,
  LOG_CONFIG,
  Node,
  OTHER_TOPIC_ID,
  stateOf,
  TOPIC_ID,
} from "./support.ts";

describe("ReplicaManager", () => {
  test("finds a partition that it leads by name and by id", async () => {
    const node = new Node();
    const partition = await node.lead();
    expect(node.replicas.partition("t", 0)).toBe(partition);
    expect(node.replicas.partitionById(TOPIC_ID, 0)).toBe(partition);
    expect(node.replicas.topicName(TOPIC_ID)).toBe("t");
    expect(node.replicas.find(node.replicas.topicByName("t"), 0, false)).toBe(partition);
  });

  test("names what it does not find as the request named it", async () => {
    const node = new Node();
    await node.lead();
    const { replicas } = node;
    expect(replicas.find(replicas.topicByName("u"), 0, false)).toBe("UNKNOWN_TOPIC_OR_PARTITION");
    expect(replicas.find(replicas.topicById(OTHER_TOPIC_ID), 0, true)).toBe("UNKNOWN_TOPIC_ID");
    expect(replicas.find(replicas.topicById(TOPIC_ID), 9, true)).toBe("UNKNOWN_TOPIC_OR_PARTITION");
    expect(replicas.find(replicas.topicById(TOPIC_ID), -1, true)).toBe(
      "UNKNOWN_TOPIC_OR_PARTITION",
    );
  });

  test("a partition that is led already takes newer epochs and settings over, and keeps its log", async () => {
    const node = new Node();
    const partition = await node.lead({ leaderEpoch: 3 });
    const config = { ...LOG_CONFIG, maxMessageBytes: 77 };
    expect(await node.lead({ leaderEpoch: 4, config })).toBe(partition);
    expect(partition.leaderEpoch).toBe(4);
    expect(partition.maxMessageBytes).toBe(77);
    expect(node.log().config).toBe(config);
  });

  test("new settings of a topic reach all its partitions", async () => {
    const node = new Node();
    const first = await node.lead();
    const second = await node.lead({ partitionIndex: 1 });
    node.replicas.updateConfig("t", { ...LOG_CONFIG, maxMessageBytes: 99 }, 1);
    node.replicas.updateConfig("unknown", LOG_CONFIG, 1);
    expect([first.maxMessageBytes, second.maxMessageBytes]).toEqual([99, 99]);
  });

  test("a partition that is removed is gone at once, its waiters told and its log deleted", async () => {
    const node = new Node();
    const partition = await node.lead();
    const { acked } = partition.appendAsLeader(batch(), { requiredAcks: -1, origin: "client" });
    const removed = node.replicas.remove("t", 0);
    expect(node.replicas.partition("t", 0)).toBeUndefined();
    expect(node.replicas.topicByName("t")).toBeUndefined();
    expect(await stateOf(acked)).toBe("NOT_LEADER_OR_FOLLOWER");
    await removed;
    expect(node.logs.deleted).toEqual(["t-0"]);
  });

  test("what the cluster has elsewhere is not led here, what it has not is unknown", () => {
    const { replicas } = new Node();
    const topic = { name: "t", topicId: TOPIC_ID, partitions: [{}, {}] };
    replicas.follow({
      topicsByName: new Map([["t", topic]]),
      topicsById: new Map([[TOPIC_ID, topic]]),
    });
    for (const isById of [true, false]) {
      const found = isById ? replicas.topicById(TOPIC_ID) : replicas.topicByName("t");
      expect(replicas.find(found, 1, isById)).toBe("NOT_LEADER_OR_FOLLOWER");
      expect(replicas.find(found, 2, isById)).toBe("UNKNOWN_TOPIC_OR_PARTITION");
      expect(replicas.find(found, -1, isById)).toBe("UNKNOWN_TOPIC_OR_PARTITION");
    }
    expect(replicas.topicName(TOPIC_ID)).toBe("t");
    expect(replicas.topicById(OTHER_TOPIC_ID)).toBeUndefined();
    expect([...replicas.topics]).toEqual([]);
  });

  test("leadership goes and comes back: waiters are told, and the log is where it was", async () => {
    const node = new Node();
    const first = await node.lead({ leaderEpoch: 3 });
    const { acked } = first.appendAsLeader(batch(), { requiredAcks: -1, origin: "client" });
    const resigned = node.replicas.becomeFollower({
      ...assignmentOf({ leaderEpoch: 9 }),
      leaderId: -1,
    });
    expect(first.isLeader).toBe(false);
    expect(await stateOf(acked)).toBe("NOT_LEADER_OR_FOLLOWER");
    await resigned;
    expect(node.logs.deleted).toEqual([]);
    const second = await node.lead({ leaderEpoch: 5 });
    expect(second).not.toBe(first);
    expect(first.refusal(-1)).toBe("NOT_LEADER_OR_FOLLOWER");
    // The records and their advances are the new leader's.
    expect(second.logEndOffset).toBe(1);
    node.log().makeSafe();
    expect(second.highWatermark).toBe(1);
  });

  test("what others take over while this node stops is given up in silence", async () => {
    const node = new Node();
    const partition = await node.lead();
    await node.replicas.close();
    await node.replicas.becomeFollower({ ...assignmentOf({ leaderEpoch: 9 }), leaderId: -1 });
    expect(partition.isLeader).toBe(false);
  });

  test("a resignation that meets an opening waits for it, and wins", async () => {
    const node = new Node();
    let open = (): void => undefined;
    node.logs.gate = new Promise((resolve) => (open = resolve));
    const led = node.lead();
    const resigned = node.replicas.becomeFollower({
      ...assignmentOf({ leaderEpoch: 9 }),
      leaderId: -1,
    });
    open();
    const partition = await led;
    await resigned;
    expect(partition.isLeader).toBe(false);
    expect(node.replicas.partition("t", 0)).toBeUndefined();
  });

  test("a leader that becomes a follower acknowledges nothing any more (R-17), and leads again", async () => {
    const node = new Node();
    const { replicas } = node;
    const before = await node.lead({ leaderEpoch: 3, replicas: [1, 2], isr: [1, 2] });
    const { acked } = before.appendAsLeader(batch(), { requiredAcks: -1, origin: "client" });
    const following = replicas.becomeFollower({ ...assignmentOf({ leaderEpoch: 4 }), leaderId: 2 });
    // From the call on, before its turn.
    expect(before.isLeader).toBe(false);
    expect(await stateOf(acked)).toBe("NOT_LEADER_OR_FOLLOWER");
    await following;
    expect(replicas.find(replicas.topicByName("t"), 0, false)).toBe("NOT_LEADER_OR_FOLLOWER");
    expect(replicas.partition("t", 0)).toBeUndefined();
    expect(node.logs.deleted).toEqual([]);
    const again = await node.lead({ leaderEpoch: 5 });
    expect(again.logEndOffset).toBe(1);
    expect(replicas.find(replicas.topicByName("t"), 0, false)).toBe(again);
  });

  test("a removal that meets an opening waits for it, and wins", async () => {
    const node = new Node();
    let open = (): void => undefined;
    node.logs.gate = new Promise((resolve) => (open = resolve));
    const led = node.lead();
    const removed = node.replicas.remove("t", 0);
    expect(await stateOf(removed)).toBe("pending");
    open();
    const partition = await led;
    await removed;
    expect(partition.isLeader).toBe(false);
    expect(node.replicas.partition("t", 0)).toBeUndefined();
    expect(node.logs.deleted).toEqual(["t-0"]);
  });

  test("a topic made again under its name never shows the old one's records (E16)", async () => {
    const node = new Node();
    const old = await node.lead();
    const oldSecond = await node.lead({ partitionIndex: 1 });
    old.append(batch(), { requiredAcks: 1, origin: "client" });
    const fresh = await node.lead({ topicId: OTHER_TOPIC_ID });
    expect(fresh.logEndOffset).toBe(0);
    expect([old.isLeader, oldSecond.isLeader]).toEqual([false, false]);
    expect(node.replicas.topicById(TOPIC_ID)).toBeUndefined();
    expect(node.replicas.topicByName("t")?.topicId).toBe(OTHER_TOPIC_ID);
    expect(node.replicas.partition("t", 1)).toBeUndefined();
  });

  test.each([
    new DiskError("EIO", "/data/t-0", "open"),
    new KafkaError("KAFKA_STORAGE_ERROR", "log directory /data cannot be used"),
  ])(
    "a log that cannot be opened (%s) leaves its partition offline, until it can be",
    async (error) => {
      const node = new Node();
      node.logs.openError = error;
      await expect(node.lead()).rejects.toBe(node.logs.openError);
      expect(node.replicas.partition("t", 0)).toBeUndefined();
      expect(node.replicas.find(node.replicas.topicByName("t"), 0, false)).toBe(
        "KAFKA_STORAGE_ERROR",
      );
      node.logs.openError = null;
      const partition = await node.lead();
      expect(node.replicas.partition("t", 0)).toBe(partition);
    },
  );

  test("gives each partition's high watermark to the checkpoint, after it was closed too", async () => {
    const node = new Node();
    node.logs.checkpoint.set("t-0", 2);
    expect(node.logs.highWatermark("t", 0)).toBe(2);
    const partition = await node.lead();
    partition.append(batch(5), { requiredAcks: 1, origin: "client" });
    node.log().makeSafe(4);
    expect(node.logs.highWatermark("t", 0)).toBe(4);
    expect(node.logs.highWatermark("t", 1)).toBeUndefined();
    await node.replicas.close();
    expect(node.logs.highWatermark("t", 0)).toBe(4);
  });

  test("closing ends every partition, waits for what is opening, and lets nothing new in", async () => {
    const node = new Node();
    const partition = await node.lead();
    const { acked } = partition.appendAsLeader(batch(), { requiredAcks: -1, origin: "client" });
    let open = (): void => undefined;
    node.logs.gate = new Promise((resolve) => (open = resolve));
    const opening = node.lead({ partitionIndex: 1 });
    const closed = node.replicas.close();
    expect(await stateOf(acked)).toBe("NOT_LEADER_OR_FOLLOWER");
    expect(await stateOf(closed)).toBe("pending");
    open();
    expect((await opening).isLeader).toBe(false);
    await closed;
    await node.replicas.close();
    await expect(node.lead({ partitionIndex: 2 })).rejects.toThrow("closed");
    expect(partition.refusal(-1)).toBe("NOT_LEADER_OR_FOLLOWER");
    expect(node.clock.pendingCount).toBe(0);
  });
});
