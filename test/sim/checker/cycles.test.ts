import { beforeEach, describe, expect, test } from "vitest";
import type { DataOperation } from "../../../src/sim/checker/operation.ts";
import type { CheckOptions } from "../../../src/sim/checker/check.ts";
import type { CycleCase, CycleStep, ErrorType } from "../../../src/sim/checker/report.ts";
import { Story, polls, sends } from "./support/story.ts";

let story = new Story();
beforeEach(() => {
  story = new Story();
});

/** All operations at once: real time orders nothing. */
const AT_ONCE = { startedMs: 0, endedMs: 1_000 } as const;

const CYCLES: readonly ErrorType[] = [
  "G0",
  "G0-process",
  "G0-realtime",
  "G1c",
  "G1c-process",
  "G1c-realtime",
  "G2",
  "G2-process",
  "G2-realtime",
];

function cycles(options: CheckOptions = {}): CycleCase[] {
  const { cases } = story.check(options);
  return CYCLES.flatMap((type) => (cases.get(type) ?? []) as CycleCase[]);
}

/** The one cycle there is, told from the given operation on. */
function theCycle(first: DataOperation, options: CheckOptions = {}) {
  const found = cycles(options);
  expect(found).toHaveLength(1);
  const { type, isTolerated, operations, steps } = found[0]!;
  const begin = operations.indexOf(first);
  expect(begin).toBeGreaterThanOrEqual(0);
  const turn = <T>(all: readonly T[]): T[] => [...all.slice(begin), ...all.slice(0, begin)];
  return { type, isTolerated, operations: turn(operations), steps: turn(steps).map(text) };
}

function text(step: CycleStep): string {
  return "key" in step ? `${step.kind} ${step.key}:${step.value}>${step.nextValue}` : step.kind;
}

/** What all sends say is true: somebody polls all of it. */
function pollAll(...texts: [string, string][]): void {
  story.poll(
    "all",
    texts.flatMap(([key, words]) => polls(key, words)),
    {
      startedMs: 0,
      endedMs: 1_000,
    },
  );
}

describe("G0", () => {
  test("two transactions write two keys in different orders, and may", () => {
    const one = story.txn("p", [...sends("k", "a@0"), ...sends("l", "b@1")], AT_ONCE);
    const two = story.txn("q", [...sends("k", "c@1"), ...sends("l", "d@0")], AT_ONCE);
    pollAll(["k", "a@0 c@1"], ["l", "d@0 b@1"]);
    expect(theCycle(one)).toEqual({
      type: "G0",
      isTolerated: true,
      operations: [one, two],
      steps: ["ww k:a>c", "ww l:d>b"],
    });
    expect(story.types()).toEqual(["(G0)"]);
  });

  test("G0-process: what a process wrote later lies before, by way of another", () => {
    const one = story.send("p", sends("k", "a@1"), { startedMs: 0, endedMs: 10 });
    const two = story.send("p", sends("l", "b@0"), { startedMs: 20, endedMs: 1_000 });
    const other = story.txn("q", [...sends("k", "c@0"), ...sends("l", "d@1")], AT_ONCE);
    pollAll(["k", "c@0 a@1"], ["l", "b@0 d@1"]);
    expect(theCycle(one)).toEqual({
      type: "G0-process",
      isTolerated: true,
      operations: [one, two, other],
      steps: ["process", "ww l:b>d", "ww k:c>a"],
    });
  });

  test("G0-realtime: what was acked before the other began lies behind it", () => {
    const one = story.send("p", sends("k", "a@1"), { startedMs: 0, endedMs: 10 });
    const two = story.send("q", sends("k", "b@0"), { startedMs: 20, endedMs: 30 });
    pollAll(["k", "b@0 a@1"]);
    expect(theCycle(two)).toEqual({
      type: "G0-realtime",
      isTolerated: true,
      operations: [two, one],
      steps: ["ww k:b>a", "realtime"],
    });
  });

  test("is not: one ends as the other begins, or may take effect later", () => {
    story.send("p", sends("k", "a@1"), { startedMs: 0, endedMs: 10 });
    story.send("q", sends("k", "b@0"), { startedMs: 10, endedMs: 30 });
    story.send("p", sends("l", "a"), { startedMs: 0, endedMs: 10, outcome: "info" });
    story.send("q", sends("l", "b@0"), { startedMs: 20, endedMs: 30 });
    pollAll(["k", "b@0 a@1"], ["l", "b@0 a@1"]);
    expect(story.types()).toEqual([]);
  });

  test("is not: where nobody knows who wrote a value, or where it is", () => {
    story.txn("p", [...sends("k", "a"), ...sends("l", "b@1")], { ...AT_ONCE, outcome: "info" });
    story.txn("r", [...sends("k", "a")], { ...AT_ONCE, outcome: "info" });
    story.txn("q", [...sends("k", "c@1"), ...sends("l", "d@0")], AT_ONCE);
    pollAll(["k", "a@0 c@1"], ["l", "d@0 b@1"]);
    expect(cycles()).toEqual([]);
  });

  test("a write of nobody does not hide the order of those around it", () => {
    const one = story.txn("p", [...sends("k", "a@0"), ...sends("l", "b@1")], AT_ONCE);
    const two = story.txn("q", [...sends("k", "c@2"), ...sends("l", "d@0")], AT_ONCE);
    story.send("r", sends("k", "x"), { ...AT_ONCE, outcome: "info" });
    story.send("s", sends("k", "x"), { ...AT_ONCE, outcome: "info" });
    pollAll(["k", "a@0 x@1 c@2"], ["l", "d@0 b@1"]);
    expect(theCycle(one)).toMatchObject({
      operations: [one, two],
      steps: ["ww k:a>c", "ww l:d>b"],
    });
  });
});

describe("G1c", () => {
  test("two transactions that each polled what the other wrote", () => {
    const one = story.txn("p", [...sends("k", "a@0"), ...polls("l", "b@0")], AT_ONCE);
    const two = story.txn("q", [...sends("l", "b@0"), ...polls("k", "a@0")], AT_ONCE);
    expect(theCycle(one)).toEqual({
      type: "G1c",
      isTolerated: false,
      operations: [one, two],
      steps: ["wr k:a>a", "wr l:b>b"],
    });
    expect(story.types()).toEqual(["G1c"]);
  });

  test("by any record of a poll, not the first alone", () => {
    story.txn("r", sends("k", "x@0"), AT_ONCE);
    const one = story.txn("p", [...sends("k", "a@1"), ...polls("l", "b@0")], AT_ONCE);
    story.txn("q", [...sends("l", "b@0"), ...polls("k", "x@0 a@1")], AT_ONCE);
    expect(theCycle(one)).toMatchObject({ type: "G1c", steps: ["wr k:a>a", "wr l:b>b"] });
  });

  test("is tolerated where a step of it is uncommitted", () => {
    const isolation = "read_uncommitted";
    const one = story.txn("p", [...sends("k", "a@0"), ...polls("l", "b@0")], {
      ...AT_ONCE,
      isolation,
    });
    story.txn("q", [...sends("l", "b@0"), ...polls("k", "a@0")], AT_ONCE);
    expect(theCycle(one)).toMatchObject({ type: "G1c", isTolerated: true });
  });

  test("is tolerated where a step of it is an order of writes", () => {
    const one = story.txn("p", [...sends("k", "a@0"), ...sends("l", "b@1")], AT_ONCE);
    const two = story.txn("q", [...polls("k", "a@0"), ...sends("l", "c@0")], AT_ONCE);
    pollAll(["k", "a@0"], ["l", "c@0 b@1"]);
    expect(theCycle(one)).toEqual({
      type: "G1c",
      isTolerated: true,
      operations: [one, two],
      steps: ["wr k:a>a", "ww l:c>b"],
    });
  });

  test("G1c-process: a process polls what is written because of what it writes later", () => {
    const read = story.poll("p", polls("k", "a@0"), { startedMs: 0, endedMs: 10 });
    const wrote = story.send("p", sends("l", "b@0"), { startedMs: 20, endedMs: 1_000 });
    const other = story.txn("q", [...polls("l", "b@0"), ...sends("k", "a@0")], AT_ONCE);
    expect(theCycle(read)).toEqual({
      type: "G1c-process",
      isTolerated: false,
      operations: [read, wrote, other],
      steps: ["process", "wr l:b>b", "wr k:a>a"],
    });
  });

  test("G1c-realtime: a record is polled before it is sent", () => {
    const read = story.poll("c", polls("k", "a@0"), { startedMs: 0, endedMs: 10 });
    const wrote = story.send("p", sends("k", "a@0"), { startedMs: 20, endedMs: 30 });
    expect(theCycle(read)).toEqual({
      type: "G1c-realtime",
      isTolerated: false,
      operations: [read, wrote],
      steps: ["realtime", "wr k:a>a"],
    });
  });

  test("G1c-realtime spans whatever else happened meanwhile, as one step", () => {
    const read = story.poll("c", polls("k", "a@0"), { startedMs: 0, endedMs: 10 });
    story.send("r", sends("m", "x@0"), { startedMs: 20, endedMs: 30 });
    story.send("r", sends("m", "y@1"), { startedMs: 40, endedMs: 50 });
    const wrote = story.send("p", sends("l", "b@0"), { startedMs: 60, endedMs: 1_000 });
    const other = story.txn("q", [...polls("l", "b@0"), ...sends("k", "a@0")], AT_ONCE);
    pollAll(["m", "x@0 y@1"]);
    expect(theCycle(read)).toEqual({
      type: "G1c-realtime",
      isTolerated: false,
      operations: [read, wrote, other],
      steps: ["realtime", "wr l:b>b", "wr k:a>a"],
    });
  });

  test("G1c-process and G1c-realtime are tolerated where a step is an order of writes", () => {
    const one = story.send("p", sends("k", "a@1"), { startedMs: 0, endedMs: 10 });
    const two = story.send("p", sends("l", "b@0"), { startedMs: 20, endedMs: 1_000 });
    story.txn("q", [...polls("l", "b@0"), ...sends("k", "c@0")], AT_ONCE);
    pollAll(["k", "c@0 a@1"]);
    const steps = ["process", "wr l:b>b", "ww k:c>a"];
    expect(theCycle(one)).toMatchObject({ type: "G1c-process", isTolerated: true, steps });
    story.operations[1] = { ...two, process: "r" };
    steps[0] = "realtime";
    expect(theCycle(one)).toMatchObject({ type: "G1c-realtime", isTolerated: true, steps });
  });

  test("is not: a transaction polls what another wrote, which polled what a third wrote", () => {
    story.txn("p", sends("k", "a@0"), AT_ONCE);
    story.txn("q", [...polls("k", "a@0"), ...sends("l", "b@0")], AT_ONCE);
    story.txn("r", [...polls("l", "b@0"), ...polls("k", "a@0")], AT_ONCE);
    expect(story.types()).toEqual([]);
  });

  test("is not: a transaction that failed took part", () => {
    story.txn("p", [...sends("k", "a@0"), ...polls("l", "b@0")], AT_ONCE);
    story.txn("q", [...sends("l", "b"), ...polls("k", "a@0")], { ...AT_ONCE, outcome: "fail" });
    expect(cycles()).toEqual([]);
    expect(story.types()).toEqual(["G1a"]);
  });

  test("a worse cycle in the same knot is told once, and one of its own kind beside it", () => {
    const one = story.txn("p", [...sends("k", "a@0"), ...polls("l", "b@0")], AT_ONCE);
    const two = story.txn("q", [...sends("l", "b@0"), ...polls("k", "a@0")], AT_ONCE);
    story.txn("p", [...sends("m", "c@0"), ...sends("n", "d@1")], AT_ONCE);
    story.txn("q", [...sends("m", "e@1"), ...sends("n", "f@0")], AT_ONCE);
    pollAll(["m", "c@0 e@1"], ["n", "f@0 d@1"]);
    expect(cycles().map(({ type }) => type)).toEqual(["G0", "G1c"]);
    expect(new Set(cycles()[1]!.operations)).toEqual(new Set([one, two]));
  });
});

describe("G2", () => {
  const options = { antiDependencies: true };

  test("each of two transactions missed what the other wrote: only where it is asked for", () => {
    story.send("s", [...sends("k", "x@0"), ...sends("l", "y@0")], AT_ONCE);
    const one = story.txn("p", [...polls("k", "x@0"), ...sends("l", "a@1")], AT_ONCE);
    const two = story.txn("q", [...polls("l", "y@0"), ...sends("k", "b@1")], AT_ONCE);
    pollAll(["k", "x@0 b@1"], ["l", "y@0 a@1"]);
    expect(story.types()).toEqual([]);
    expect(theCycle(one, options)).toEqual({
      type: "G2",
      isTolerated: true,
      operations: [one, two],
      steps: ["rw k:x>b", "rw l:y>a"],
    });
  });

  test("G2-process, G2-realtime: a poll that does not show what was acked", () => {
    const first = story.send("p", sends("k", "a@0"), { startedMs: 0, endedMs: 1 });
    const wrote = story.send("p", sends("k", "b@1"), { startedMs: 10, endedMs: 11 });
    const stale = story.poll("p", polls("k", "a@0"), { startedMs: 20, endedMs: 21 });
    story.poll("p", polls("k", "b@1"), { startedMs: 30, endedMs: 31 });
    expect(theCycle(stale, options)).toEqual({
      type: "G2-process",
      isTolerated: true,
      operations: [stale, wrote],
      steps: ["rw k:a>b", "process"],
    });
    story.operations[2] = { ...stale, process: "c" };
    expect(cycles(options).map(({ type }) => type)).toEqual(["G2-realtime"]);
    expect(first.outcome).toBe("ok");
  });

  test("is not: polls that show the newest there is, or that nobody knows who wrote", () => {
    story.send("p", sends("k", "a@0"));
    story.poll("c", polls("k", "a@0"));
    story.send("p", sends("k", "b@1"));
    story.poll("c", polls("k", "b@1"));
    story.send("p", sends("l", "x"), { outcome: "info" });
    story.send("p", sends("l", "x"), { outcome: "info" });
    story.poll("c", polls("l", "x@0"));
    expect(story.types(options)).toEqual([]);
  });
});

test("a cycle through twenty thousand operations needs no deep stack", () => {
  const count = 20_000;
  for (let index = 0; index < count; index += 1) {
    const next = (index + 1) % count;
    story.txn(
      `p${index % 50}`,
      [...sends(`k${index}`, `v${index}@0`), ...polls(`k${next}`, `v${next}@0`)],
      AT_ONCE,
    );
  }
  const found = cycles();
  expect(found.map(({ type }) => type)).toEqual(["G1c"]);
  expect(found[0]!.operations).toHaveLength(count);
});
