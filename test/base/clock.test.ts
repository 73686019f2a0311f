import { describe, expect, test } from "vitest";
import { afterForPeer, delay, loopTurn, SystemClock } from "../../src/base/clock.ts";
import { ManualClock } from "./manual-clock.ts";

describe("afterForPeer", () => {
  test("fires in time without waiting for the poll", async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    afterForPeer(clock, 1000, () => log.push(`fired@${clock.nowMs()}`));
    await clock.advance(1000);
    expect(log).toEqual(["fired@1000"]);
  });

  test("after a stall it lets the loop read first, and looks anew", async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    // The heartbeat has arrived during the stall, and is read in the same turn of the loop.
    afterForPeer(clock, 1000, () => log.push("peer judged"));
    clock.afterPoll(() => log.push("heartbeat read"));
    await clock.stall(5000);
    expect(log).toEqual(["heartbeat read", "peer judged"]);
  });

  test("100 ms late is no stall yet, 101 ms is one", async () => {
    for (const [lateMs, order] of [
      [100, ["judged", "read"]],
      [101, ["read", "judged"]],
    ] as const) {
      const clock = new ManualClock();
      const log: string[] = [];
      afterForPeer(clock, 1000, () => log.push("judged"));
      clock.afterPoll(() => log.push("read"));
      await clock.stall(1000 + lateMs);
      expect(log).toEqual(order);
    }
  });

  test("cancelled before, or between the late timer and the poll, it never fires", async () => {
    const clock = new ManualClock();
    const log: string[] = [];
    const early = afterForPeer(clock, 10, () => log.push("early"));
    early.cancel();
    const late = afterForPeer(clock, 10, () => log.push("late"));
    clock.afterPoll(() => {
      late.cancel();
      late.cancel();
    });
    await clock.stall(5000);
    expect(log).toEqual([]);
  });
});

describe("SystemClock", () => {
  test("delays beyond what Node's timers take do not fire at once", async () => {
    const clock = new SystemClock();
    let hasFired = false;
    const timer = clock.after(2 ** 40, () => (hasFired = true));
    await delay(clock, 2);
    expect(hasFired).toBe(false);
    timer.cancel();
  });

  test("time does not run back; the wall clock counts whole milliseconds", () => {
    const clock = new SystemClock();
    const before = clock.nowMs();
    expect(clock.nowMs()).toBeGreaterThanOrEqual(before);
    expect(Number.isInteger(clock.wallMs())).toBe(true);
  });

  test("afterPoll and loopTurn come after all promises have settled", async () => {
    const log: string[] = [];
    new SystemClock().afterPoll(() => log.push("poll"));
    void Promise.resolve()
      .then(() => undefined)
      .then(() => log.push("promise"));
    await loopTurn();
    await loopTurn();
    expect(log).toEqual(["promise", "poll"]);
  });
});
