import { expect, test } from "vitest";
import { Deadlines } from "../../src/replica/delayed.ts";
import { DelayedFetch, type FetchTopic } from "../../src/replica/delayed-fetch.ts";
import type { HostedTopic } from "../../src/replica/hosted-topic.ts";
import type { Partition } from "../../src/replica/partition.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { ManualClock, TOPIC_ID } from "./support.ts";

/** A fetch of one partition whose log lends ten bytes at a time, and counts what is out. */
function setUp(options: { minBytes: number }) {
  const clock = new ManualClock();
  const lent = { now: 0, ever: 0 };
  const partition = {
    isLeader: true,
    exposedBytes: 10,
    highWatermark: 1,
    lastStableOffset: 1,
    logStartOffset: 0,
    logEndOffset: 1,
    refusal: () => null,
    watch: () => true,
    unwatch: () => undefined,
    log: {
      read: () => {
        lent.now += 1;
        lent.ever += 1;
        const release = () => void (lent.now -= 1);
        return Promise.resolve({ records: Buffer.alloc(10), nextOffset: 1, release });
      },
    },
  };
  const request = { partition: 0, fetchOffset: 0, currentLeaderEpoch: -1, lastFetchedEpoch: -1 };
  const topics = [
    { topic: "t", topicId: TOPIC_ID, partitions: [{ ...request, partitionMaxBytes: 1000 }] },
  ] as unknown as FetchTopic[];
  const fetch = new DelayedFetch(
    {
      clock,
      deadlines: new Deadlines({ clock, timers: new TimerQueue(clock) }, { granularityMs: 10 }),
      findTopic: () => ({}) as HostedTopic,
      find: () => partition as unknown as Partition,
    },
    topics,
    { ...options, maxBytes: 1000, maxWaitMs: 500, isReadCommitted: false },
  );
  return { fetch, lent };
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
