import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { AckGroup, AckQueue, type AckWaiter, Deadlines } from "../../src/replica/delayed.ts";
import { UnexposedBytes } from "../../src/replica/unexposed-bytes.ts";
import { ManualClock, stateOf } from "./support.ts";

interface Waiting extends AckWaiter {
  readonly settled: (KafkaError | null)[];
}

function waiter(endOffset: number): Waiting {
  const settled: (KafkaError | null)[] = [];
  return { endOffset, settled, settle: (refusal) => settled.push(refusal) };
}

describe("AckQueue", () => {
  test("an advance wakes exactly those whose offset it reached, once, in order of offsets", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20)), fc.array(fc.nat(20)), (endOffsets, marks) => {
        const queue = new AckQueue();
        const order: number[] = [];
        const waiters = endOffsets.map((endOffset) => ({
          endOffset,
          settle: () => void order.push(endOffset),
        }));
        for (const each of waiters) queue.add(each);
        let reached = -1;
        for (const mark of marks) {
          order.length = 0;
          queue.release(mark);
          const due = endOffsets.filter((each) => each > reached && each <= mark);
          expect(order).toEqual(due.toSorted((a, b) => a - b));
          reached = Math.max(reached, mark);
        }
        expect(queue.length).toBe(endOffsets.filter((each) => each > reached).length);
      }),
    );
  });

  test("waiters of the same offset wake in the order of their arrival", () => {
    const queue = new AckQueue();
    const order: string[] = [];
    const named = (name: string, endOffset: number): AckWaiter => ({
      endOffset,
      settle: () => void order.push(name),
    });
    queue.add(named("a", 5));
    queue.add(named("c", 9));
    queue.add(named("b", 5));
    queue.release(9);
    expect(order).toEqual(["a", "b", "c"]);
  });

  test("a waiter that was removed is never called", () => {
    const queue = new AckQueue();
    const [gone, stays] = [waiter(1), waiter(1)];
    queue.add(gone);
    queue.add(stays);
    queue.remove(gone);
    queue.release(1);
    expect(gone.settled).toEqual([]);
    expect(stays.settled).toEqual([null]);
  });

  test("a refusal reaches all and empties the queue", () => {
    const queue = new AckQueue();
    const all = [waiter(1), waiter(2)];
    for (const each of all) queue.add(each);
    const refusal = new KafkaError("NOT_LEADER_OR_FOLLOWER");
    queue.refuse(refusal);
    queue.release(9);
    for (const each of all) expect(each.settled).toEqual([refusal]);
  });
});

describe("AckGroup", () => {
  const queue = new AckQueue();
  const source = {
    awaitAck: (each: AckWaiter) => queue.add(each),
    forgetAck: (each: AckWaiter) => queue.remove(each),
  };

  function timing(clock: ManualClock): Deadlines {
    return new Deadlines({ clock, timers: new TimerQueue(clock) }, { granularityMs: 100 });
  }

  test("is done when its last ack is", async () => {
    const group = new AckGroup();
    group.add(source, 1, -1);
    const second = group.add(source, 2, -1);
    const done = group.wait(timing(new ManualClock()), 1_000);
    queue.release(1);
    expect(await stateOf(done)).toBe("pending");
    queue.release(2);
    expect(await stateOf(done)).toBe("resolved");
    expect(second.refusal).toBeNull();
  });

  test("refuses with REQUEST_TIMED_OUT those acks alone that have not come in time", async () => {
    const clock = new ManualClock();
    const group = new AckGroup();
    const first = group.add(source, 1, -1);
    const second = group.add(source, 2, -1);
    const done = group.wait(timing(clock), 1_000);
    queue.release(1);
    clock.advance(999);
    expect(await stateOf(done)).toBe("pending");
    clock.advance(101);
    expect(await stateOf(done)).toBe("resolved");
    expect(first.refusal).toBeNull();
    expect(second.refusal?.errorName).toBe("REQUEST_TIMED_OUT");
    expect(queue.length).toBe(0);
  });
});

describe("Deadlines", () => {
  function setUp(): { clock: ManualClock; deadlines: Deadlines } {
    const clock = new ManualClock();
    const timers = new TimerQueue(clock);
    return { clock, deadlines: new Deadlines({ clock, timers }, { granularityMs: 10 }) };
  }

  test("a request expires never early and at most one granule late", () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(1_000), (startMs, delayMs) => {
        const { clock, deadlines } = setUp();
        clock.advance(startMs);
        let expiredMs = -1;
        deadlines.add(delayMs, { expire: () => (expiredMs = clock.nowMs()) });
        clock.advance(5_000);
        expect(expiredMs).toBeGreaterThanOrEqual(startMs + delayMs);
        expect(expiredMs).toBeLessThan(startMs + delayMs + 10);
      }),
    );
  });

  test("a cancelled one never does", () => {
    const { clock, deadlines } = setUp();
    let isExpired = false;
    deadlines.add(50, { expire: () => (isExpired = true) }).cancel();
    clock.advance(1_000);
    expect(isExpired).toBe(false);
  });

  test("a thousand of the same moment share a timer", () => {
    const { clock, deadlines } = setUp();
    let expiredCount = 0;
    for (let i = 0; i < 1_000; i += 1) deadlines.add(500, { expire: () => (expiredCount += 1) });
    expect(clock.pendingCount).toBe(1);
    clock.advance(510);
    expect(expiredCount).toBe(1_000);
    expect(clock.pendingCount).toBe(0);
  });

  test("nobody is parked for longer than ten minutes, whatever was asked for", () => {
    const { clock, deadlines } = setUp();
    let isExpired = false;
    deadlines.add(2 ** 31 - 1, { expire: () => (isExpired = true) });
    clock.advance(600_010);
    expect(isExpired).toBe(true);
  });
});

describe("UnexposedBytes", () => {
  test("an advance takes the batches that it passes, each once, and never less than a byte", () => {
    const bytes = new UnexposedBytes();
    bytes.add(5, 100);
    bytes.add(6, 10);
    bytes.add(9, 1_000);
    expect(bytes.takeUpTo(6)).toBe(110);
    expect(bytes.takeUpTo(8)).toBe(1);
    expect(bytes.takeUpTo(9)).toBe(1_000);
  });
});
