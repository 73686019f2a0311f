import { describe, expect, test } from "vitest";
import { Deadlines } from "../../src/replica/delayed.ts";
import { MemoryBudget } from "../../src/base/memory-budget.ts";
import { DelayedFetch, type FetchTarget } from "../../src/replica/delayed-fetch.ts";
import { noTraffic } from "../../src/replica/traffic.ts";
import type { Partition } from "../../src/replica/partition.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { ManualClock, settle, stateOf, TOPIC_ID } from "./support.ts";

/** A fetch of one partition whose log lends ten bytes at a time, and counts what is out. */
function setUp(options: { minBytes: number; memory?: MemoryBudget; maxBytes?: number }) {
  const memory = options.memory ?? new MemoryBudget(0);
  const clock = new ManualClock();
  const lent = { now: 0, ever: 0 };
  const asked = { maxBytes: -1 };
  const partition = {
    traffic: noTraffic(),
    isLeader: true,
    exposedBytes: 10,
    maxMessageBytes: 700,
    highWatermark: 1,
    lastStableOffset: 1,
    logStartOffset: 0,
    logEndOffset: 1,
    refusal: () => null,
    watch: () => true,
    unwatch: () => undefined,
    log: {
      read: (options?: { readonly maxBytes: number }) => {
        asked.maxBytes = options?.maxBytes ?? -1;
        lent.now += 1;
        lent.ever += 1;
        const release = () => void (lent.now -= 1);
        return Promise.resolve({ records: Buffer.alloc(10), nextOffset: 1, release });
      },
    },
  };
  const target: FetchTarget = {
    topic: "t",
    topicId: TOPIC_ID,
    partition: 0,
    fetchOffset: 0,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    partitionMaxBytes: 1000,
  };
  const fetch = new DelayedFetch(
    {
      clock,
      deadlines: new Deadlines({ clock, timers: new TimerQueue(clock) }, { granularityMs: 10 }),
      memory,
      find: () => partition as unknown as Partition,
    },
    [target],
    {
      minBytes: options.minBytes,
      maxBytes: options.maxBytes ?? 1000,
      maxWaitMs: 500,
      isReadCommitted: false,
    },
  );
  return { fetch, lent, asked, clock, memory, partition };
}

test("a fetch keeps what it was lent until its answer has left", async () => {
  const { fetch, lent } = setUp({ minBytes: 1 });
  expect(await fetch.run()).not.toBeNull();
  expect(lent.now).toBe(1);
  fetch.release();
  fetch.release();
  expect(lent).toEqual({ now: 0, ever: 1 });
});

test("a fetch that reads anew gives back what it read before", async () => {
  const { fetch, lent } = setUp({ minBytes: 15 });
  const answer = fetch.run();
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
  fetch.onExposed(10);
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
  fetch.expire();
  await answer;
  expect(lent.ever).toBeGreaterThan(1);
  expect(lent.now).toBe(1);
});

test("a fetch whose connection has closed gives back what it read", async () => {
  const { fetch, lent } = setUp({ minBytes: 15 });
  const answer = fetch.run();
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
  fetch.close();
  expect(await answer).toBeNull();
  fetch.release();
  expect(lent.now).toBe(0);
});

describe("memory", () => {
  test("what a fetch reads counts until its answer is handed over", async () => {
    const memory = new MemoryBudget(5_000);
    const { fetch, partition } = setUp({ minBytes: 1, memory });
    let duringReadBytes = -1;
    const { read } = partition.log;
    partition.log.read = () => {
      duringReadBytes = memory.usedBytes;
      return read();
    };
    expect(await fetch.run()).not.toBeNull();
    expect(duringReadBytes).toBe(700);
    expect(memory.usedBytes).toBe(0);
    expect(partition.traffic.bytesOut).toBe(10);
  });

  test("a fetch reads no more than its share of the room", async () => {
    const memory = new MemoryBudget(5_000);
    memory.take(2_600);
    const { fetch, asked } = setUp({ minBytes: 1, memory });
    await fetch.run();
    expect(asked.maxBytes).toBe(300);
  });

  test("without room a fetch waits, and reads when there is some", async () => {
    const memory = new MemoryBudget(100);
    memory.take(100);
    const { fetch, lent } = setUp({ minBytes: 1, memory });
    const answer = fetch.run();
    expect(await stateOf(answer)).toBe("pending");
    expect(lent.ever).toBe(0);
    memory.release(50);
    expect((await answer)![0]!.records.length).toBe(10);
    expect(memory.usedBytes).toBe(50);
  });

  test("without room until its deadline a fetch answers that nothing has come yet", async () => {
    const memory = new MemoryBudget(100);
    memory.take(100);
    const { fetch, clock } = setUp({ minBytes: 1, memory });
    const answer = fetch.run();
    await settle();
    clock.advance(600);
    const [partition] = (await answer)!;
    expect(partition).toMatchObject({ errorCode: 0, highWatermark: 1 });
    expect(partition!.records.length).toBe(0);
    expect(memory.usedBytes).toBe(100);
  });

  test("a fetch whose connection closes gives back what it had taken", async () => {
    const memory = new MemoryBudget(5_000);
    const { fetch, partition } = setUp({ minBytes: 1, memory });
    const { read } = partition.log;
    partition.log.read = () => {
      fetch.close();
      return read();
    };
    expect(await fetch.run()).toBeNull();
    expect(memory.usedBytes).toBe(0);
  });
});
