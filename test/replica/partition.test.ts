import { describe, expect, test } from "vitest";
import { InvariantError } from "../../src/base/assert.ts";
import { batchLeaderEpoch } from "../../src/protocol/records/batch.ts";
import { Partition, type PartitionWatcher } from "../../src/replica/partition.ts";
import { assignmentOf, batch, FakeLog, LOG_CONFIG, stateOf, TOPIC_ID } from "./support.ts";

const CLIENT_ALL = { requiredAcks: -1, origin: "client" } as const;
const CLIENT_ONE = { requiredAcks: 1, origin: "client" } as const;

function lead(
  options: {
    log?: FakeLog;
    isr?: number[];
    replicas?: number[];
    minInsyncReplicas?: number;
    highWatermark?: number;
  } = {},
): { log: FakeLog; partition: Partition } {
  const log = options.log ?? new FakeLog();
  const { isr = [1], replicas = [1], minInsyncReplicas = 1 } = options;
  const partition = new Partition(
    log,
    { topic: "t", partitionIndex: 0, topicId: TOPIC_ID },
    assignmentOf({ isr, replicas }),
    { log: LOG_CONFIG, minInsyncReplicas, highWatermark: options.highWatermark ?? 0 },
  );
  return { log, partition };
}

function watcher(): PartitionWatcher & { events: (number | "end")[] } {
  const events: (number | "end")[] = [];
  return {
    events,
    onExposed: (bytes) => void events.push(bytes),
    onEnd: () => void events.push("end"),
  };
}

describe("a partition's acks", () => {
  test.each([
    ["acks=1", CLIENT_ONE],
    ["acks=all", CLIENT_ALL],
  ])("%s waits until the bytes are safe, not merely appended (R1, R4)", async (_name, options) => {
    const { log, partition } = lead();
    const { result, acked } = partition.appendAsLeader(batch(3), options);
    expect(result).toMatchObject({ kind: "appended", baseOffset: 0, lastOffset: 2 });
    expect(await stateOf(acked)).toBe("pending");
    log.makeSafe(2);
    expect(await stateOf(acked)).toBe("pending");
    log.makeSafe(3);
    expect(await stateOf(acked)).toBe("resolved");
  });

  test("a repeat that is not yet safe waits as the first did (X2)", async () => {
    const { log, partition } = lead();
    const options = { producerId: 9, producerEpoch: 0, baseSequence: 0 };
    const first = partition.appendAsLeader(batch(2, options), CLIENT_ALL);
    partition.appendAsLeader(batch(1), CLIENT_ALL);
    const repeat = partition.appendAsLeader(batch(2, options), CLIENT_ALL);
    expect(repeat.result).toMatchObject({ kind: "duplicate", baseOffset: 0, lastOffset: 1 });
    expect(await stateOf(repeat.acked)).toBe("pending");
    log.makeSafe(2);
    expect(await stateOf(first.acked)).toBe("resolved");
    expect(await stateOf(repeat.acked)).toBe("resolved");
  });

  test("a repeat of what is committed is acknowledged at once", async () => {
    const { log, partition } = lead();
    const options = { producerId: 9, producerEpoch: 0, baseSequence: 0 };
    partition.appendAsLeader(batch(2, options), CLIENT_ALL);
    log.makeSafe();
    const repeat = partition.appendAsLeader(batch(2, options), CLIENT_ALL);
    expect(await stateOf(repeat.acked)).toBe("resolved");
  });

  test("a deposed leader never acknowledges a produce (R-17)", async () => {
    const { log, partition } = lead();
    const all = partition.appendAsLeader(batch(), CLIENT_ALL).acked;
    const one = partition.appendAsLeader(batch(), CLIENT_ONE).acked;
    partition.resign();
    log.makeSafe();
    expect(await Promise.all([stateOf(all), stateOf(one)])).toEqual([
      "NOT_LEADER_OR_FOLLOWER",
      "NOT_LEADER_OR_FOLLOWER",
    ]);
    expect(() => partition.append(batch(), CLIENT_ONE)).toThrow(
      expect.objectContaining({ errorName: "NOT_LEADER_OR_FOLLOWER" }),
    );
    expect(await stateOf(partition.whenCommitted(1))).toBe("NOT_LEADER_OR_FOLLOWER");
  });

  test("a failed sync refuses what waits and all that comes (R9, S8)", async () => {
    const { log, partition } = lead();
    const { acked } = partition.appendAsLeader(batch(), CLIENT_ALL);
    log.fail();
    log.makeSafe();
    expect(await stateOf(acked)).toBe("KAFKA_STORAGE_ERROR");
    expect(partition.highWatermark).toBe(0);
    expect(() => partition.append(batch(), CLIENT_ONE)).toThrow(
      expect.objectContaining({ errorName: "KAFKA_STORAGE_ERROR" }),
    );
  });

  test("whenCommitted resolves when the high watermark is there", async () => {
    const { log, partition } = lead();
    partition.append(batch(4), CLIENT_ONE);
    const committed = partition.whenCommitted(4);
    expect(await stateOf(committed)).toBe("pending");
    log.makeSafe();
    expect(await stateOf(committed)).toBe("resolved");
  });
});

describe("min.insync.replicas", () => {
  const UNDER_MIN = { isr: [1], replicas: [1, 2], minInsyncReplicas: 2 };

  test("above the ISR's size refuses acks=all before the append (R6)", () => {
    const { log, partition } = lead(UNDER_MIN);
    expect(() => partition.append(batch(), CLIENT_ALL)).toThrow(
      expect.objectContaining({ errorName: "NOT_ENOUGH_REPLICAS" }),
    );
    expect(log.logEndOffset).toBe(0);
  });

  test("above the ISR's size lets acks=1 pass, but holds the high watermark (R6, R-15)", async () => {
    const { log, partition } = lead(UNDER_MIN);
    const { acked } = partition.appendAsLeader(batch(), CLIENT_ONE);
    log.makeSafe();
    expect(await stateOf(acked)).toBe("resolved");
    expect(partition.highWatermark).toBe(0);
  });

  test("lowered, lets the high watermark go on without another append", () => {
    const { log, partition } = lead(UNDER_MIN);
    partition.append(batch(), CLIENT_ONE);
    log.makeSafe();
    partition.updateConfig({ log: LOG_CONFIG, minInsyncReplicas: 1 });
    expect(partition.highWatermark).toBe(1);
  });

  test("of 2 is met by the one replica of a topic that has one (R6)", async () => {
    const { log, partition } = lead({ minInsyncReplicas: 2 });
    const { acked } = partition.appendAsLeader(batch(), CLIENT_ALL);
    log.makeSafe();
    expect(await stateOf(acked)).toBe("resolved");
  });
});

describe("a partition's high watermark", () => {
  test("starts at what the log knows to be safe, and never passes it (S12)", () => {
    const log = new FakeLog();
    log.append(batch(5), { leaderEpoch: 0, origin: "client" });
    log.makeSafe(5);
    log.append(batch(2), { leaderEpoch: 0, origin: "client" });
    const { partition } = lead({ log });
    expect(partition.highWatermark).toBe(5);
    expect(partition.lastStableOffset).toBe(5);
    expect(partition.logEndOffset).toBe(7);
  });

  test("starts at its checkpoint where the ISR may not move it, but never beyond the log", () => {
    const log = new FakeLog();
    log.append(batch(5), { leaderEpoch: 0, origin: "client" });
    log.makeSafe();
    const underMin = { log, isr: [1], replicas: [1, 2], minInsyncReplicas: 2 };
    expect(lead({ ...underMin, highWatermark: 3 }).partition.highWatermark).toBe(3);
    expect(lead({ ...underMin, highWatermark: 9 }).partition.highWatermark).toBe(5);
    log.logStartOffset = 4;
    expect(lead({ ...underMin, highWatermark: 3 }).partition.highWatermark).toBe(4);
  });

  test("is not known before it covers what lay there when the epoch began", () => {
    const log = new FakeLog();
    log.append(batch(5), { leaderEpoch: 0, origin: "client" });
    const { partition } = lead({ log });
    expect(partition.isHighWatermarkKnown).toBe(false);
    log.makeSafe();
    expect(partition.isHighWatermarkKnown).toBe(true);
  });

  test("tells its watchers how much an advance exposes, in one call each", () => {
    const { log, partition } = lead();
    const [first, second] = [watcher(), watcher()];
    partition.watch(first);
    partition.watch(second);
    const bytes = batch(1).length + batch(3).length;
    partition.append(batch(1), CLIENT_ONE);
    partition.append(batch(3), CLIENT_ONE);
    log.makeSafe();
    partition.unwatch(second);
    partition.append(batch(1), CLIENT_ONE);
    log.makeSafe();
    log.makeSafe();
    expect(first.events).toEqual([bytes, batch(1).length]);
    expect(second.events).toEqual([bytes]);
    expect(partition.exposedBytes).toBe(bytes + batch(1).length);
  });

  test("tells its watchers of the end, once, and takes no more", () => {
    const { partition } = lead();
    const each = watcher();
    expect(partition.watch(each)).toBe(true);
    partition.resign();
    partition.resign();
    expect(each.events).toEqual(["end"]);
    expect(partition.watch(each)).toBe(false);
  });
});

describe("leader epochs", () => {
  test("an older one is fenced, a newer one unknown, none is not checked (KIP-320)", () => {
    const { partition } = lead();
    expect(partition.refusal(2)).toBe("FENCED_LEADER_EPOCH");
    expect(partition.refusal(3)).toBeNull();
    expect(partition.refusal(4)).toBe("UNKNOWN_LEADER_EPOCH");
    expect(partition.refusal(-1)).toBeNull();
  });

  test("a newer one is stamped on the next batch, and what waited keeps waiting", async () => {
    const { log, partition } = lead();
    const { acked } = partition.appendAsLeader(batch(), CLIENT_ALL);
    partition.updateLeadership(assignmentOf({ leaderEpoch: 5 }));
    partition.append(batch(), CLIENT_ALL);
    expect(log.batches.map((each) => batchLeaderEpoch(each))).toEqual([3, 5]);
    expect(await stateOf(acked)).toBe("pending");
    log.makeSafe();
    expect(await stateOf(acked)).toBe("resolved");
  });

  test("do not go back (R-9)", () => {
    const { partition } = lead();
    expect(() => partition.updateLeadership(assignmentOf({ leaderEpoch: 2 }))).toThrow(
      InvariantError,
    );
  });
});
