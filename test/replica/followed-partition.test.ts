import { beforeEach, describe, expect, test, vi } from "vitest";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { stampBatch } from "../../src/protocol/records/batch.ts";
import { FollowedPartition } from "../../src/replica/followed-partition.ts";
import type { Frame } from "../../src/replica/replication-messages.ts";
import { batch, FakeLog, settle, TOPIC_ID } from "./support.ts";

const IDENTITY = { topic: "t", partitionIndex: 0, topicId: TOPIC_ID, leaderId: 2, leaderEpoch: 5 };

function stamped(baseOffset: number, count: number, leaderEpoch = 5): Buffer {
  const bytes = batch(count);
  stampBatch(bytes, 0, baseOffset, leaderEpoch);
  return bytes;
}

function frame(records: Buffer, fields: Partial<Frame> = {}): Frame {
  const marks = { highWatermark: 0, logStartOffset: 0 };
  return { slot: 1, session: 1, leaderEpoch: 5, ...marks, records, ...fields };
}

function take(partition: FollowedPartition, each: Frame): void {
  expect(partition.takeIn(each)).toBe("taken");
}

describe("a partition that is followed", () => {
  let log: FakeLog;
  let checkpoint: () => Promise<void>;

  beforeEach(() => {
    log = new FakeLog();
    checkpoint = () => Promise.resolve();
  });

  function followed(highWatermark = 0) {
    return new FollowedPartition(log, IDENTITY, highWatermark, {
      logger: SILENT_LOGGER,
      checkpointRecoveryPoint: () => checkpoint(),
      onFailed: vi.fn(),
      onReady: vi.fn(),
    });
  }

  test("takes in what comes behind its end, and states where it stands", () => {
    const partition = followed();
    expect(partition.position).toEqual({ fetchOffset: 0, lastFetchedEpoch: -1, logStartOffset: 0 });
    const records = Buffer.concat([stamped(0, 2, 4), stamped(2, 3)]);
    expect(partition.takeIn(frame(records))).toBe("taken");
    expect(partition.position).toEqual({ fetchOffset: 5, lastFetchedEpoch: 5, logStartOffset: 0 });
  });

  test("R-14: its high watermark is never above its own end, nor does it fall", () => {
    const partition = followed();
    take(partition, frame(stamped(0, 2), { highWatermark: 9 }));
    expect(partition.highWatermark).toBe(2);
    take(partition, frame(stamped(2, 2), { highWatermark: 1 }));
    expect(partition.highWatermark).toBe(2);
  });

  test.each([
    ["damaged on the way", () => flipped(stamped(2, 1))],
    ["cut short", () => stamped(2, 1).subarray(0, 40)],
    ["of a newer epoch than its leader's", () => stamped(2, 1, 6)],
    ["of an older epoch than the log's last", () => stamped(2, 1, 4)],
    ["below the log's end", () => stamped(1, 1)],
  ])("takes nothing of a frame that is %s, and asks anew", async (_name, records) => {
    const partition = followed();
    take(partition, frame(stamped(0, 2)));
    const answer = partition.takeIn(frame(records()));
    expect(answer).toBeInstanceOf(Promise);
    await answer;
    expect(partition.position.fetchOffset).toBe(2);
  });

  test("R4: safe is what the flush policy says, not what was received", () => {
    const partition = followed();
    take(partition, frame(stamped(0, 2)));
    const onProgress = vi.fn();
    partition.setProgressListener(onProgress);
    log.makeSafe(1);
    expect(onProgress).toHaveBeenCalled();
    expect([partition.receivedOffset, partition.safeOffset]).toEqual([2, 1]);
  });

  test("R-11: cuts where the leader says that they part, and goes on from there", async () => {
    const partition = followed();
    take(partition, frame(Buffer.concat([stamped(0, 2, 3), stamped(2, 2, 4)])));
    expect(await partition.settle({ kind: "diverging", epoch: 3, endOffset: 2 })).toBe("now");
    expect(partition.position).toEqual({ fetchOffset: 2, lastFetchedEpoch: 3, logStartOffset: 0 });
  });

  test("takes nothing in while it is cut", async () => {
    const partition = followed();
    take(partition, frame(stamped(0, 2)));
    let open = (): void => undefined;
    log.cutGate = new Promise((resolve) => (open = resolve));
    const cut = partition.settle({ kind: "diverging", epoch: 5, endOffset: 0 });
    const answer = partition.takeIn(frame(stamped(2, 1)));
    expect(answer).toBeInstanceOf(Promise);
    open();
    expect(await cut).toBe("now");
    await answer;
    expect(partition.position.fetchOffset).toBe(0);
  });

  test("begins anew where the leader's log begins", async () => {
    const partition = followed();
    take(partition, frame(stamped(0, 2)));
    const answer = { kind: "outOfRange", logStartOffset: 40, logEndOffset: 90 } as const;
    expect(await partition.settle(answer)).toBe("now");
    expect(partition.position).toEqual({
      ...{ fetchOffset: 40, lastFetchedEpoch: -1, logStartOffset: 40 },
    });
    // The leader's log starts within a batch.
    await partition.takeIn(frame(stamped(38, 4)));
    expect(partition.position.fetchOffset).toBe(38);
    expect(partition.takeIn(frame(stamped(38, 4)))).toBe("taken");
    expect(partition.position.fetchOffset).toBe(42);
  });

  test("what comes behind a gap is safe when a checkpoint covers it", async () => {
    let note = (): void => undefined;
    const noted = new Promise<void>((resolve) => (note = resolve));
    checkpoint = () => noted;
    const partition = followed();
    take(partition, frame(Buffer.concat([stamped(0, 2), stamped(10, 2)])));
    log.makeSafe();
    await settle();
    expect([partition.receivedOffset, partition.safeOffset]).toEqual([12, 2]);
    note();
    await settle();
    expect(partition.safeOffset).toBe(12);
  });

  test("a gap is covered once, however much comes behind it meanwhile", async () => {
    let note = (): void => undefined;
    const noted = new Promise<void>((resolve) => (note = resolve));
    checkpoint = () => noted;
    const partition = followed();
    take(partition, frame(Buffer.concat([stamped(0, 2), stamped(10, 2)])));
    log.makeSafe();
    take(partition, frame(stamped(12, 2)));
    await settle();
    note();
    await settle();
    log.makeSafe();
    expect(partition.safeOffset).toBe(14);
  });

  test("who has the log next finds a gap covered by a checkpoint", async () => {
    let covered = 0;
    checkpoint = () => {
      covered += 1;
      return Promise.resolve();
    };
    const partition = followed();
    take(partition, frame(Buffer.concat([stamped(0, 2), stamped(10, 2)])));
    await partition.close();
    expect(covered).toBe(1);
    expect(log.safeEndOffset).toBe(12);
  });

  test("what the leader has deleted goes here, too, as far as it is committed (S13)", async () => {
    const partition = followed();
    take(partition, frame(stamped(0, 2), { highWatermark: 1, logStartOffset: 2 }));
    await settle();
    expect(partition.position.logStartOffset).toBe(1);
  });

  test("a log that has failed takes nothing, nor does one that was closed", async () => {
    const partition = followed();
    log.fail();
    expect(partition.takeIn(frame(stamped(0, 1)))).toBe("failed");
    log.failure = null;
    await partition.close();
    expect(partition.takeIn(frame(stamped(0, 1)))).toBe("failed");
    expect(await partition.settle({ kind: "refused", error: "NOT_CONTROLLER" })).toBe("never");
  });

  test.each([
    ["FENCED_LEADER_EPOCH", "never"],
    ["UNKNOWN_LEADER_EPOCH", "later"],
    ["NOT_LEADER_OR_FOLLOWER", "later"],
    ["KAFKA_STORAGE_ERROR", "later"],
  ] as const)("after %s it asks %s", async (error, expected) => {
    expect(await followed().settle({ kind: "refused", error })).toBe(expected);
  });
});

function flipped(bytes: Buffer): Buffer {
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
}
