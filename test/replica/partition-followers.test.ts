import { describe, expect, test, vi } from "vitest";
import { KafkaError } from "../../src/protocol/errors.ts";
import type { Leadership } from "../../src/replica/assignments.ts";
import type { LeaderContext } from "../../src/replica/leader-context.ts";
import { Partition } from "../../src/replica/partition.ts";
import type { FollowerSession, LedPartitionWatcher } from "../../src/replica/replication-ports.ts";
import {
  assignmentOf,
  batch,
  FakeLog,
  leaderContext,
  LOG_CONFIG,
  stateOf,
  TOPIC_ID,
} from "./support.ts";

const ALL = { requiredAcks: -1, origin: "client" } as const;
const ONE = { requiredAcks: 1, origin: "client" } as const;
const two = { brokerId: 2, brokerEpoch: 20 };
const three = { brokerId: 3, brokerEpoch: 30 };

function lead(
  leadership: Partial<Leadership> = {},
  context: Partial<LeaderContext> = {},
  minInsyncReplicas = 2,
) {
  const log = new FakeLog();
  const partition = new Partition(
    log,
    { topic: "t", partitionIndex: 0, topicId: TOPIC_ID },
    assignmentOf({ replicas: [1, 2, 3], isr: [1, 2, 3], ...leadership }),
    { log: LOG_CONFIG, minInsyncReplicas, highWatermark: 0 },
    leaderContext(context),
  );
  return { log, partition };
}

function follow(partition: Partition, follower = two, statement = {}) {
  const watcher = { onNews: vi.fn(), onEnd: vi.fn() } satisfies LedPartitionWatcher;
  const at = { fetchOffset: 0, lastFetchedEpoch: -1, logStartOffset: 0, leaderEpoch: 3 };
  const answer = partition.follow(follower, { ...at, ...statement }, watcher);
  return { watcher, answer };
}

function sessionOf(partition: Partition, follower = two, statement = {}) {
  const { answer, watcher } = follow(partition, follower, statement);
  if ("kind" in answer) throw new Error(`no session: ${answer.kind}`);
  return { session: answer satisfies FollowerSession, watcher };
}

describe("a leader with followers", () => {
  test("R-3: acks=all waits for the safe position of every member of the ISR", async () => {
    const { log, partition } = lead();
    const { session: second } = sessionOf(partition, two);
    const { session: third } = sessionOf(partition, three);
    const { acked } = partition.appendAsLeader(batch(3), ALL);
    log.makeSafe();
    second.noteProgress(3, 3);
    expect(await stateOf(acked)).toBe("pending");
    // Received, and not safe (R4).
    third.noteProgress(3, 2);
    expect(await stateOf(acked)).toBe("pending");
    expect(partition.highWatermark).toBe(2);
    third.noteProgress(3, 3);
    expect(await stateOf(acked)).toBe("resolved");
    expect(partition.highWatermark).toBe(3);
  });

  test("X2: a repeat that is not committed waits as the first did", async () => {
    const { log, partition } = lead({ isr: [1, 2] });
    const { session } = sessionOf(partition);
    const ids = { producerId: 7, producerEpoch: 0, baseSequence: 0 };
    partition.appendAsLeader(batch(1, ids), ALL);
    log.makeSafe();
    const repeat = partition.appendAsLeader(batch(1, ids), ALL);
    expect(repeat.result.kind).toBe("duplicate");
    expect(await stateOf(repeat.acked)).toBe("pending");
    session.noteProgress(1, 1);
    expect(await stateOf(repeat.acked)).toBe("resolved");
  });

  test("R6, R-15: the high watermark stands while the committed ISR is too small", async () => {
    const { log, partition } = lead({ isr: [1] });
    expect(() => partition.append(batch(), ALL)).toThrow(new KafkaError("NOT_ENOUGH_REPLICAS"));
    const { session } = sessionOf(partition);
    const { acked } = partition.appendAsLeader(batch(), ONE);
    log.makeSafe();
    session.noteProgress(1, 1);
    expect(await stateOf(acked)).toBe("resolved");
    expect(partition.highWatermark).toBe(0);
    partition.updateLeadership(
      assignmentOf({ partitionEpoch: 1, isr: [1, 2], replicas: [1, 2, 3] }),
    );
    expect(partition.highWatermark).toBe(1);
  });

  test.each([
    ["an older leader epoch", { leaderEpoch: 2 }, "FENCED_LEADER_EPOCH"],
    ["a newer leader epoch", { leaderEpoch: 4 }, "UNKNOWN_LEADER_EPOCH"],
  ])("a follower with %s is refused", (_name, statement, error) => {
    const { partition } = lead();
    expect(follow(partition, two, statement).answer).toEqual({ kind: "refused", error });
  });

  test("a broker that is no replica is refused", () => {
    const { partition } = lead();
    const { answer } = follow(partition, { brokerId: 9, brokerEpoch: 1 });
    expect(answer).toEqual({ kind: "refused", error: "NOT_LEADER_OR_FOLLOWER" });
  });

  test("a follower whose log is no part of this one is told where they part", () => {
    const { log, partition } = lead();
    partition.append(batch(3), ONE);
    log.makeSafe();
    const { answer } = follow(partition, two, { fetchOffset: 7, lastFetchedEpoch: 3 });
    expect(answer).toEqual({ kind: "diverging", epoch: 3, endOffset: 3 });
  });

  test("a session reads what is written, and hears of news", async () => {
    const { log, partition } = lead();
    const { session, watcher } = sessionOf(partition);
    partition.append(batch(3), ONE);
    log.makeSafe();
    expect(watcher.onNews).toHaveBeenCalled();
    const { nextOffset } = await session.read({ offset: 0, maxBytes: 1_000, minOneBatch: true });
    expect(nextOffset).toBe(3);
  });

  test("a session ends with the leadership, its epoch, and with a newer one of the broker", () => {
    const { partition } = lead();
    const first = sessionOf(partition);
    const second = sessionOf(partition);
    expect(first.watcher.onEnd).toHaveBeenCalledOnce();
    partition.updateLeadership(
      assignmentOf({ leaderEpoch: 4, partitionEpoch: 1, isr: [1, 2], replicas: [1, 2] }),
    );
    expect(second.watcher.onEnd).toHaveBeenCalledWith("FENCED_LEADER_EPOCH");
    const third = sessionOf(partition, two, { leaderEpoch: 4 });
    partition.resign();
    expect(third.watcher.onEnd).toHaveBeenCalledWith("NOT_LEADER_OR_FOLLOWER");
    third.session.noteProgress(0, 0);
  });

  test("a follower outside the ISR that has caught up is news", () => {
    const onIsrNews = vi.fn();
    const { partition } = lead({ isr: [1] }, { onIsrNews });
    sessionOf(partition).session.noteProgress(0, 0);
    expect(onIsrNews).toHaveBeenCalledWith(partition);
  });
});

describe("a leader whose log was full", () => {
  test("gives no offsets out again that followers may have had", () => {
    const { log, partition } = lead();
    partition.append(batch(3), ONE);
    log.fail();
    log.batches.splice(0);
    log.heal();
    expect(partition.refusal(-1)).toBe("NOT_LEADER_OR_FOLLOWER");
  });

  test("goes on where all that was written is there", () => {
    const { log, partition } = lead();
    partition.append(batch(3), ONE);
    log.makeSafe();
    log.fail();
    log.heal();
    expect(partition.refusal(-1)).toBeNull();
  });
});

describe("the lease (R15)", () => {
  test.each([
    ["acks=1", ONE],
    ["acks=all", ALL],
  ])("without it no ack of %s is given where another could lead", async (_name, options) => {
    let holdsLease = false;
    const held: Partition[] = [];
    const context = {
      holdsLease: () => holdsLease,
      onHeldBack: (each: Partition) => void held.push(each),
    };
    const { log, partition } = lead({ isr: [1, 2], isElectableElsewhere: true }, context);
    const { session } = sessionOf(partition);
    const { acked } = partition.appendAsLeader(batch(), options);
    log.makeSafe();
    session.noteProgress(1, 1);
    expect(await stateOf(acked)).toBe("pending");
    expect(held).toContain(partition);
    // What is due at once is held back, too.
    const repeat = partition.whenCommitted(1);
    expect(await stateOf(repeat)).toBe("pending");
    holdsLease = true;
    partition.releaseAcks();
    expect(await stateOf(acked)).toBe("resolved");
    expect(await stateOf(repeat)).toBe("resolved");
  });

  test("where nobody else could lead it goes on without", async () => {
    const context = { holdsLease: () => false };
    const { log, partition } = lead({ isr: [1], isElectableElsewhere: false }, context, 1);
    const { acked } = partition.appendAsLeader(batch(), ALL);
    log.makeSafe();
    expect(await stateOf(acked)).toBe("resolved");
  });

  test("what was held back and then deposed is refused (R-17)", async () => {
    const context = { holdsLease: () => false };
    const { log, partition } = lead({ isr: [1], isElectableElsewhere: true }, context, 1);
    const { acked } = partition.appendAsLeader(batch(), ALL);
    log.makeSafe();
    partition.resign();
    partition.releaseAcks();
    expect(await stateOf(acked)).toBe("NOT_LEADER_OR_FOLLOWER");
  });
});
