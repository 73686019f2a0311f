import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { ManualClock } from "./manual-clock.ts";

function queueWithLog() {
  const clock = new ManualClock();
  const queue = new TimerQueue(clock);
  const log: string[] = [];
  return { clock, queue, log };
}

describe("TimerQueue", () => {
  test("entries run once, in order of due time and then of arrival, on one timer of the clock", async () => {
    const { clock, queue, log } = queueWithLog();
    for (const [name, delayMs] of [
      ["c", 30],
      ["a", 10],
      ["b", 10],
      ["now", -5],
    ] as const) {
      queue.after(delayMs, () => log.push(`${name}@${clock.nowMs()}`));
    }
    expect(clock.pendingCount).toBe(1);
    await clock.advance(1000);
    expect(log).toEqual(["now@0", "a@10", "b@10", "c@30"]);
    expect(clock.pendingCount).toBe(0);
  });

  test("an entry may add and cancel others while it runs", async () => {
    const { clock, queue, log } = queueWithLog();
    queue.after(10, () => {
      victim.cancel();
      queue.after(0, () => log.push(`added@${clock.nowMs()}`));
      queue.after(5, () => log.push(`later@${clock.nowMs()}`));
    });
    const victim = queue.after(10, () => log.push("victim"));
    await clock.advance(100);
    expect(log).toEqual(["added@10", "later@15"]);
  });

  test("an entry that throws does not keep the others from running", async () => {
    const { clock, queue, log } = queueWithLog();
    queue.after(10, () => {
      throw new Error("planted");
    });
    queue.after(10, () => log.push("same time"));
    queue.after(20, () => log.push("later"));
    await expect(clock.advance(10)).rejects.toThrow("planted");
    await clock.advance(100);
    expect(log).toEqual(["same time", "later"]);
  });

  test("cancelling the first moves the timer; cancelling all stops it", async () => {
    const { clock, queue, log } = queueWithLog();
    const first = queue.after(10, () => log.push("first"));
    const second = queue.after(20, () => log.push("second"));
    first.cancel();
    first.cancel();
    await clock.advance(15);
    expect(log).toEqual([]);
    second.cancel();
    expect(clock.pendingCount).toBe(0);
  });

  test("after close nothing runs and nothing is armed", async () => {
    const { clock, queue, log } = queueWithLog();
    queue.after(10, () => log.push("a"));
    queue.close();
    queue.after(10, () => log.push("b"));
    expect(clock.pendingCount).toBe(0);
    await clock.advance(100);
    expect(log).toEqual([]);
  });

  test("a queue closed by one of its entries runs no other", async () => {
    const { clock, queue, log } = queueWithLog();
    queue.after(10, () => queue.close());
    queue.after(10, () => log.push("after close"));
    await clock.advance(100);
    expect(log).toEqual([]);
    expect(clock.pendingCount).toBe(0);
  });

  test("it behaves as one clock timer for each entry would", async () => {
    const operation = fc.oneof(
      fc.record({ kind: fc.constant("after" as const), delayMs: fc.nat(50) }),
      fc.record({ kind: fc.constant("cancel" as const), index: fc.nat(30) }),
      fc.record({ kind: fc.constant("advance" as const), ms: fc.nat(20) }),
      fc.record({ kind: fc.constant("stall" as const), ms: fc.nat(40) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 50 }), async (operations) => {
        const { clock, queue, log } = queueWithLog();
        const plainClock = new ManualClock();
        const plainLog: string[] = [];
        const timers = [];
        const plainTimers = [];
        for (const [id, one] of operations.entries()) {
          if (one.kind === "after") {
            timers.push(queue.after(one.delayMs, () => log.push(`${id}`)));
            plainTimers.push(plainClock.after(one.delayMs, () => plainLog.push(`${id}`)));
          } else if (one.kind === "cancel") {
            timers[one.index]?.cancel();
            plainTimers[one.index]?.cancel();
          } else {
            await clock[one.kind](one.ms);
            await plainClock[one.kind](one.ms);
          }
        }
        expect(log).toEqual(plainLog);
        expect(clock.pendingCount).toBeLessThanOrEqual(1);
      }),
      { numRuns: 200 },
    );
  });
});
