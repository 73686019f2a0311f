import { beforeEach, describe, expect, test } from "vitest";
import { MAX_POINTS, Series } from "../../../src/sim/checker/series.ts";
import { Story, polls, sends } from "./support/story.ts";

let story = new Story();
beforeEach(() => {
  story = new Story();
});

function at(startedMs: number, endedMs = startedMs) {
  return { startedMs, endedMs };
}

describe("realtime lag", () => {
  test("of who has all there is is nothing", () => {
    story.send("p", sends("k", "a@0"), at(1));
    story.assign("c", ["k"], at(2));
    story.poll("c", polls("k", "a@0"), at(50));
    expect(story.check()).toMatchObject({ lags: [], worstLag: null });
    expect(story.check().lagOverTime).toEqual([{ atMs: 50, value: 0 }]);
  });

  test("is the time since the first that a consumer misses was there, at least", () => {
    story.send("p", sends("k", "a@0"), at(1, 2));
    story.send("p", sends("k", "b@1"), at(3, 10));
    story.send("p", sends("k", "c@2"), at(11, 20));
    story.assign("c", ["k"], at(21));
    story.poll("c", polls("k", "a@0"), at(30, 40));
    story.poll("c", polls("k", ""), at(45, 50));
    story.poll("c", polls("k", "b@1 c@2"), at(55, 60));
    const { lags, worstLag, lagOverTime } = story.check();
    expect(worstLag).toEqual({ process: "c", key: "k", atMs: 45, lagMs: 35 });
    expect(lags).toEqual([worstLag]);
    expect(lagOverTime.map(({ value }) => value)).toEqual([20, 35, 0]);
  });

  test("of an assigned key begins with its first record, of a subscription with the first polled", () => {
    story.send("p", sends("k", "a@0"), at(1, 10));
    story.assign("c", ["k", "other"], at(11));
    story.subscribe("d", ["k"], at(11));
    story.poll("c", polls("k", ""), at(30));
    story.poll("d", polls("k", ""), at(30));
    expect(story.check().lags).toEqual([{ process: "c", key: "k", atMs: 30, lagMs: 20 }]);
  });

  test("the worst of several is told", () => {
    story.send("p", [...sends("k", "a@0"), ...sends("l", "b@0")], at(1, 10));
    story.assign("c", ["k"], at(11));
    story.assign("d", ["l"], at(11));
    story.poll("c", [], at(20));
    story.poll("d", [], at(40));
    story.poll("c", [], at(30));
    const { lags, worstLag } = story.check();
    expect(lags.map(({ process, lagMs }) => [process, lagMs])).toEqual([
      ["c", 20],
      ["d", 30],
    ]);
    expect(worstLag).toMatchObject({ process: "d", lagMs: 30 });
  });

  test("goes on over an assignment that keeps the key, and that fails", () => {
    story.send("p", sends("k", "a@0 b@1"), at(1, 10));
    story.assign("c", ["k"], at(11));
    story.poll("c", polls("k", "a@0 b@1"), at(12));
    story.assign("c", ["k", "l"], at(13));
    story.assign("c", ["l"], { ...at(14), outcome: "fail" });
    story.poll("c", [], at(90));
    expect(story.check().lags).toEqual([]);
  });

  test("is not counted of keys that were taken away, nor after a seek, a crash or an unknown assignment", () => {
    story.send("p", sends("k", "a@0 b@1"), at(1, 10));
    for (const [process, change] of [
      ["taken", () => story.poll("taken", [], { ...at(21), rebalancedKeys: ["k"] })],
      ["seeks", () => story.assign("seeks", ["k"], { ...at(21), seeks: true })],
      ["crashed", () => story.crash("crashed", at(21))],
      ["unknown", () => story.assign("unknown", ["k"], { ...at(21), outcome: "info" })],
    ] as const) {
      story.assign(process, ["k"], at(5));
      change();
      story.poll(process, [], at(30));
    }
    expect(story.check().lags).toEqual([]);
  });

  test("counts what was acked or polled committed, and polls that succeeded", () => {
    story.txn("p", sends("k", "x@5"), { ...at(1), outcome: "info" });
    story.poll("u", polls("k", "x@5"), { ...at(2), isolation: "read_uncommitted" });
    story.send("p", sends("k", "a"), at(3));
    story.assign("c", ["k"], at(4));
    story.poll("c", [], at(90));
    expect(story.check().lags).toEqual([]);
    story.poll("d", polls("k", "x@5"), at(10));
    story.poll("c", [], { ...at(80), outcome: "info" });
    expect(story.check().lags).toEqual([{ process: "c", key: "k", atMs: 90, lagMs: 80 }]);
  });
});

describe("a series", () => {
  test("has all points where they are few", () => {
    const series = new Series();
    expect(series.points()).toEqual([]);
    series.add(1, 5);
    series.add(2, 3);
    expect(series.points()).toEqual([
      { atMs: 1, value: 5 },
      { atMs: 2, value: 3 },
    ]);
  });

  test("keeps the greatest and the last where they are many, in bounded space", () => {
    const series = new Series();
    for (let index = 0; index < 10_001; index += 1) series.add(index, index === 4_321 ? 99 : 7);
    series.add(10_001, 0);
    const points = series.points();
    expect(points.length).toBeLessThanOrEqual(MAX_POINTS + 1);
    expect(points.length).toBeGreaterThan(MAX_POINTS / 4);
    expect(points).toContainEqual({ atMs: 4_321, value: 99 });
    expect(points.at(-1)).toEqual({ atMs: 10_001, value: 0 });
    expect(points.map(({ atMs }) => atMs)).toEqual(
      points.map(({ atMs }) => atMs).toSorted((a, b) => a - b),
    );
  });
});
