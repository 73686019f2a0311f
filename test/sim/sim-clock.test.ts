import { describe, expect, test } from "vitest";
import { afterForPeer } from "../../src/base/clock.ts";
import { ProcessClock, SimClock } from "../../src/sim/sim-clock.ts";

function runAll(clock: SimClock, log: string[]): string[] {
  for (let event = clock.next(); event !== null; event = clock.next()) event();
  return log;
}

describe("SimClock", () => {
  test("events run in order of time, and time is theirs", () => {
    const clock = new SimClock();
    const log: string[] = [];
    for (const ms of [30, 10, 20, 10]) {
      clock.schedule("io", ms, () => log.push(`${ms}@${clock.nowMs}`));
    }
    expect(runAll(clock, log)).toEqual(["10@10", "10@10", "20@20", "30@30"]);
  });

  test("after a stall due timers run before input that came earlier, as in Node's loop", () => {
    const clock = new SimClock();
    const log: string[] = [];
    clock.schedule("io", 5, () => log.push("input"));
    clock.schedule("timer", 10, () => log.push("timer"));
    clock.stall(100);
    expect(runAll(clock, log)).toEqual(["timer", "input"]);
  });

  test("afterPoll runs after input that is there, before time goes on", () => {
    const clock = new SimClock();
    const log: string[] = [];
    clock.schedule("timer", 0, () => {
      log.push("timer");
      clock.afterPoll(() => log.push(`polled@${clock.nowMs}`));
    });
    clock.schedule("io", 0, () => log.push("input"));
    clock.schedule("timer", 1, () => log.push("later"));
    expect(runAll(clock, log)).toEqual(["timer", "input", "polled@0", "later"]);
  });

  test("what a callback of afterPoll puts off again runs before time goes on, however often", () => {
    const clock = new SimClock();
    const log: string[] = [];
    const again = (count: number): void => {
      log.push(`${count}@${clock.nowMs}`);
      if (count < 3) clock.afterPoll(() => again(count + 1));
    };
    clock.afterPoll(() => again(0));
    clock.schedule("timer", 100, () => log.push(`timer@${clock.nowMs}`));
    for (let event = clock.next(); event !== null; event = clock.next()) event();
    expect(log).toEqual(["0@0", "1@0", "2@0", "3@0", "timer@100"]);
  });

  test("a stall between two callbacks of afterPoll loses neither", () => {
    const clock = new SimClock();
    const log: string[] = [];
    clock.afterPoll(() => log.push("first"));
    clock.afterPoll(() => log.push("second"));
    clock.next()?.();
    clock.stall(100);
    clock.afterPoll(() => log.push("third"));
    expect(runAll(clock, log)).toEqual(["first", "second", "third"]);
  });

  test("a decision about a peer sees input that arrived during a stall", () => {
    const clock = new SimClock();
    const process = new ProcessClock(clock);
    let hasHeard = false;
    const log: string[] = [];
    clock.schedule("io", 50, () => (hasHeard = true));
    afterForPeer(process, 1000, () => log.push(hasHeard ? "heard" : "silent"));
    clock.stall(5000);
    expect(runAll(clock, log)).toEqual(["heard"]);
  });

  test("what a killed process has pending never runs", () => {
    const clock = new SimClock();
    const process = new ProcessClock(clock);
    const log: string[] = [];
    process.after(1, () => log.push("dead"));
    process.afterPoll(() => log.push("dead"));
    clock.schedule("timer", 2, () => log.push("alive"));
    process.kill();
    expect(runAll(clock, log)).toEqual(["alive"]);
  });

  test("a cancelled timer does not move time", () => {
    const clock = new SimClock();
    clock.schedule("timer", 100, () => undefined).cancel();
    expect(clock.next()).toBeNull();
    expect(clock.nowMs).toBe(0);
  });
});
