import { describe, expect, test, vi } from "vitest";
import { InvariantError } from "../../src/base/assert.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { batchLeaderEpoch } from "../../src/protocol/records/batch.ts";
import { Partition, type PartitionWatcher } from "../../src/replica/partition.ts";
import {
  assignmentOf,
  batch,
  FakeLog,
  leaderContext,
  LOG_CONFIG,
  settle,
  stateOf,
  TOPIC_ID,
} from "./support.ts";

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
    leaderContext(),
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

describe("batches that have to be made ready first", () => {
  /** A batch that is ready when the test says so. */
  function later(): { prepare: () => Promise<Buffer>; ready: (bytes: Buffer) => void } {
    const { promise, resolve } = deferred<Buffer>();
    return { prepare: () => promise, ready: resolve };
  }

  test("are appended in the order in which they came, whichever is ready first", async () => {
    const { log, partition } = lead();
    const [first, second] = [later(), later()];
    const results = [
      partition.appendPrepared(first.prepare, CLIENT_ONE),
      partition.appendPrepared(() => batch(2), CLIENT_ONE),
      partition.appendPrepared(second.prepare, CLIENT_ALL),
      partition.appendPrepared(() => batch(4), CLIENT_ALL),
    ].map(async (result) => await result);
    second.ready(batch(3));
    await settle();
    expect(log.batches).toEqual([]);
    first.ready(batch(1));
    const appended = await Promise.all(results);
    expect(appended.map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 3, 6]);
  });

  test("that are ready are appended before the call returns, when none is waiting", () => {
    const { log, partition } = lead();
    expect(partition.appendPrepared(() => batch(2), CLIENT_ONE)).toMatchObject({ baseOffset: 0 });
    expect(log.batches).toHaveLength(1);
  });

  test("do not hold up those behind them when they are refused", async () => {
    const { partition } = lead();
    const refused = partition.appendPrepared(
      () => Promise.reject(new KafkaError("INVALID_RECORD")),
      CLIENT_ONE,
    );
    const behind = partition.appendPrepared(() => batch(1), CLIENT_ONE);
    await expect(refused).rejects.toMatchObject({ errorName: "INVALID_RECORD" });
    expect(await behind).toMatchObject({ baseOffset: 0 });
  });

  test("come again and are the same batch, though the first is not ready yet (X2)", async () => {
    const { log, partition } = lead();
    const options = { producerId: 9, producerEpoch: 0, baseSequence: 0 };
    const first = later();
    const results = [
      partition.appendPrepared(first.prepare, CLIENT_ALL),
      partition.appendPrepared(() => batch(2, options), CLIENT_ALL),
    ].map(async (result) => await result);
    first.ready(batch(2, options));
    expect(await Promise.all(results)).toMatchObject([
      { kind: "appended", baseOffset: 0 },
      { kind: "duplicate", baseOffset: 0 },
    ]);
    expect(log.batches).toHaveLength(1);
  });

  test.each([
    ["NOT_LEADER_OR_FOLLOWER", (world: ReturnType<typeof lead>) => world.partition.resign()],
    ["KAFKA_STORAGE_ERROR", (world: ReturnType<typeof lead>) => world.log.fail()],
  ])("are not appended any more after the end: %s (R-17)", async (errorName, end) => {
    const world = lead();
    const first = later();
    const results = [
      world.partition.appendPrepared(first.prepare, CLIENT_ALL),
      world.partition.appendPrepared(() => batch(1), CLIENT_ALL),
    ];
    end(world);
    first.ready(batch(1));
    for (const result of results) await expect(result).rejects.toMatchObject({ errorName });
    expect(world.log.batches).toEqual([]);
  });

  test("are not even begun where they could not be appended", () => {
    const { partition } = lead({ replicas: [1, 2], minInsyncReplicas: 2 });
    const prepare = vi.fn(() => batch(1));
    expect(() => partition.appendPrepared(prepare, CLIENT_ALL)).toThrow(
      expect.objectContaining({ errorName: "NOT_ENOUGH_REPLICAS" }),
    );
    expect(prepare).not.toHaveBeenCalled();
  });

  test("are made ready by the settings that hold when they come", () => {
    const { partition } = lead();
    const prepare = vi.fn(() => batch(1));
    const log = { ...LOG_CONFIG, compressionType: "gzip" } as const;
    partition.updateConfig({ log, minInsyncReplicas: 1 });
    void partition.appendPrepared(prepare, CLIENT_ALL);
    expect(prepare).toHaveBeenCalledWith(log);
  });
});

describe("after its disk was full, a partition", () => {
  test("serves again in the same epoch; what was refused never comes, and offsets go on", async () => {
    const { log, partition } = lead();
    const written = partition.appendAsLeader(batch(2), CLIENT_ALL);
    log.makeSafe();
    await written.acked;
    const lost = partition.appendAsLeader(batch(3), CLIENT_ALL);
    log.fail();
    await expect(lost.acked).rejects.toMatchObject({ errorName: "KAFKA_STORAGE_ERROR" });
    expect(() => partition.append(batch(), CLIENT_ONE)).toThrow(
      expect.objectContaining({ errorName: "KAFKA_STORAGE_ERROR" }),
    );
    const healed = vi.fn();
    partition.setHealListener(healed);
    log.heal();
    expect(healed).toHaveBeenCalledOnce();
    expect(partition.refusal(3)).toBeNull();
    expect(partition).toMatchObject({ highWatermark: 2, logEndOffset: 2, leaderEpoch: 3 });
    const next = partition.appendAsLeader(batch(1), CLIENT_ALL);
    expect(next.result.baseOffset).toBe(2);
    log.makeSafe();
    await next.acked;
    expect(partition.highWatermark).toBe(3);
  });

  test("tells readers how much is new, without what was lost", () => {
    const { log, partition } = lead();
    partition.append(batch(5), CLIENT_ONE);
    log.fail();
    log.heal();
    const reader = watcher();
    partition.watch(reader);
    const next = batch(1);
    partition.append(next, CLIENT_ONE);
    log.makeSafe();
    expect(reader.events).toEqual([next.length]);
  });

  test("that was resigned meanwhile stays so", () => {
    const { log, partition } = lead();
    log.fail();
    partition.resign();
    const healed = vi.fn();
    partition.setHealListener(healed);
    log.heal();
    expect(healed).not.toHaveBeenCalled();
    expect(partition.refusal(-1)).toBe("NOT_LEADER_OR_FOLLOWER");
  });
});

describe("the last stable offset", () => {
  test("is the high watermark, or where the oldest transaction begins that is not settled (X7)", () => {
    const { log, partition } = lead();
    partition.append(batch(5), CLIENT_ONE);
    log.makeSafe();
    expect(partition.lastStableOffset).toBe(5);
    log.unstableOffset = 2;
    expect(partition.lastStableOffset).toBe(2);
    expect(partition.highWatermark).toBe(5);
  });
});

test("a log written in a later leader epoch refuses appends, and is read (S10)", () => {
  const log = new FakeLog();
  log.append(batch(2), { leaderEpoch: 7, origin: "client" });
  log.makeSafe();
  const { partition } = lead({ log });
  expect(() => partition.append(batch(), CLIENT_ONE)).toThrow(/leader epoch 7, and this is 3/);
  expect(partition.refusal(-1)).toBeNull();
});

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let settleWith: (value: T) => void = () => undefined;
  const promise = new Promise<T>((resolve) => {
    settleWith = resolve;
  });
  return { promise, resolve: (value) => settleWith(value) };
}
