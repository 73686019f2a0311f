import { beforeEach, describe, expect, test } from "vitest";
import type { Operation } from "../../../src/sim/checker/operation.ts";
import { ERROR_TYPES, SHOWN, describeCase } from "../../../src/sim/checker/report.ts";
import type { Case, ErrorType } from "../../../src/sim/checker/report.ts";
import { Story, polls, sends } from "./support/story.ts";

let story = new Story();
beforeEach(() => {
  story = new Story();
});

/** The only thing that is wrong is this. */
function only(type: ErrorType, options: Parameters<Story["check"]>[0] = {}): Case {
  const { cases } = story.check(options);
  expect([...cases.keys()]).toEqual([type]);
  expect(cases.get(type)).toHaveLength(1);
  return cases.get(type)![0]!;
}

/** Nothing is wrong, and there is something that could be. */
function clean(options: Parameters<Story["check"]>[0] = {}): void {
  expect(story.operations.length).toBeGreaterThan(0);
  expect(story.types(options)).toEqual([]);
  expect(story.check(options).isValid).toBe(true);
}

function has(found: Case, facts: object, operations: readonly Operation[], isTolerated = false) {
  expect(found).toMatchObject({ ...facts, isTolerated });
  expect(found.operations).toHaveLength(operations.length);
  for (const [index, operation] of operations.entries()) {
    expect(found.operations[index]).toBe(operation);
  }
}

describe("inconsistent-offsets", () => {
  test("two polls disagree about an offset", () => {
    story.send("p", sends("k", "a@0"));
    story.send("q", sends("k", "b"), { outcome: "info" });
    const one = story.poll("c", polls("k", "a@0"));
    const two = story.poll("d", polls("k", "b@0"));
    const facts = { key: "k", offset: 0, values: ["a", "b"] };
    has(only("inconsistent-offsets"), facts, [one, two]);
    expect(story.check().isValid).toBe(false);
  });

  test("an ack and a poll disagree about an offset", () => {
    const ack = story.send("p", sends("k", "a@0 b@1"));
    const read = story.poll("c", polls("k", "b@0 a@1"));
    const cases = story.check().cases.get("inconsistent-offsets")!;
    expect(cases.map((each) => "values" in each && each.values)).toEqual([
      ["b", "a"],
      ["a", "b"],
    ]);
    has(cases[0]!, { offset: 0 }, [read, ack]);
  });

  test("many values at an offset are one case of bounded size", () => {
    for (let index = 0; index < 20; index += 1) story.send("p", sends("k", `v${index}@0`));
    const cases = story.check().cases.get("inconsistent-offsets")!;
    expect(cases).toHaveLength(1);
    expect(cases[0]!.operations).toHaveLength(SHOWN);
  });

  test("is not: the same offset of two keys", () => {
    story.send("p", [...sends("k", "a@0"), ...sends("l", "b@0")]);
    story.poll("c", [...polls("k", "a@0"), ...polls("l", "b@0")]);
    clean();
  });

  test("is not: what an unknown send said, and nobody saw", () => {
    story.send("p", sends("k", "a@0"), { outcome: "info" });
    story.send("q", sends("k", "b@0"));
    story.poll("c", polls("k", "b@0"));
    clean();
  });

  test("is not: where an aborted transaction had its records", () => {
    story.txn("p", sends("k", "a@0"), { outcome: "fail" });
    story.send("q", sends("k", "b@0"));
    story.poll("c", polls("k", "b@0"));
    clean();
  });
});

describe("duplicate", () => {
  test("one value at two offsets", () => {
    story.send("p", sends("k", "a@0"));
    const read = story.poll("c", polls("k", "a@0 a@1"));
    has(only("duplicate"), { key: "k", value: "a", offsets: [0, 1] }, [read]);
  });

  test("one that the ack names elsewhere than the poll", () => {
    const ack = story.send("p", sends("k", "a@0"), { outcome: "info" });
    const read = story.poll("c", polls("k", "a@2"));
    has(only("duplicate"), { offsets: [2, 0] }, [read, ack]);
  });

  test("many are one case of bounded size, and each is found once", () => {
    story.send("p", sends("k", "a"));
    const everywhere = Array.from({ length: 20 }, (_, offset) => `a@${offset}`).join(" ");
    story.poll("c", polls("k", everywhere));
    story.poll("d", polls("k", everywhere));
    expect(only("duplicate")).toHaveProperty("offsets.length", SHOWN);
  });

  test("is tolerated where the producer is not idempotent", () => {
    story.send("p", sends("k", "a@0"), { idempotent: false });
    story.poll("c", polls("k", "a@0 a@1"));
    expect(story.types()).toEqual(["(duplicate)"]);
    expect(story.check().isValid).toBe(true);
  });

  test("is not: an unknown send that an idempotent producer repeats, and that is there once", () => {
    story.send("p", sends("k", "a"), { outcome: "info" });
    story.send("p", sends("k", "b@1"));
    story.send("p", sends("k", "a@0"));
    story.poll("c", polls("k", "a@0 b@1"));
    clean();
  });

  test("is not: one value in two keys", () => {
    story.send("p", [...sends("k", "a@0"), ...sends("l", "a@7")]);
    story.poll("c", [...polls("k", "a@0"), ...polls("l", "a@7")]);
    clean();
  });
});

describe("lost-write and unseen", () => {
  test("an acked record that readers have passed", () => {
    const lost = story.send("p", sends("k", "a@0"));
    story.send("p", sends("k", "b@1"));
    const read = story.poll("c", polls("k", "b@1"));
    const { cases } = story.check();
    expect([...cases.keys()]).toEqual(["lost-write", "unseen"]);
    has(cases.get("lost-write")![0]!, { key: "k", value: "a", offsets: [0] }, [lost, read]);
    has(cases.get("unseen")![0]!, { key: "k", value: "a" }, [lost]);
  });

  test("an unknown transaction of which another write was seen", () => {
    const half = story.txn("p", [...sends("k", "a@0"), ...sends("l", "b@0")], { outcome: "info" });
    story.send("q", sends("k", "c@1"));
    const read = story.poll("c", [...polls("k", "c@1"), ...polls("l", "b@0")]);
    has(only("lost-write"), { key: "k", value: "a" }, [half, read]);
  });

  test("an acked record at an offset that shows another", () => {
    story.send("p", sends("k", "a@0"));
    story.send("q", sends("k", "b"), { outcome: "info" });
    story.poll("c", polls("k", "b@0"));
    expect(story.types()).toEqual(["inconsistent-offsets", "lost-write", "unseen"]);
  });

  test("an acked record after all that was read is unseen, and not yet lost", () => {
    story.send("p", sends("k", "a@0"));
    const late = story.send("p", sends("k", "b@1"));
    story.poll("c", polls("k", "a@0"));
    has(only("unseen"), { key: "k", value: "b", offsets: [1] }, [late]);
  });

  test("one whose offset nobody was told is unseen", () => {
    const silent = story.send("p", sends("k", "a"));
    story.send("p", sends("k", "b@1"));
    story.poll("c", polls("k", "b@1"));
    has(only("unseen"), { value: "a", offsets: [] }, [silent]);
  });

  test("is not: a record that a later poll covers, of whatever outcome", () => {
    story.send("p", sends("k", "a@0 b@1 c@2"));
    story.poll("c", polls("k", "c@2"));
    story.poll("d", polls("k", "a@0 b@1"), { outcome: "info" });
    clean();
  });

  test("is not: an unknown send that nobody saw, before one that was seen", () => {
    story.send("p", sends("k", "a@0"), { outcome: "info" });
    story.send("q", sends("k", "b@1"));
    story.poll("c", polls("k", "b@1"));
    clean();
  });

  test("is not: the rest of an unknown send of which a record was seen, outside a transaction", () => {
    story.send("p", [...sends("k", "a@0"), ...sends("l", "b@0")], { outcome: "info" });
    story.send("q", sends("k", "c@1"));
    story.poll("c", [...polls("k", "c@1"), ...polls("l", "b@0")]);
    clean();
  });

  test("is not: the rest of an unknown transaction whose seen value may be another's", () => {
    story.txn("p", [...sends("k", "a@0"), ...sends("l", "b@0")], { outcome: "info" });
    story.send("p", sends("l", "b@0"), { outcome: "info" });
    story.send("q", sends("k", "c@1"));
    story.poll("c", [...polls("k", "c@1"), ...polls("l", "b@0")]);
    clean();
  });

  test("is not: the rest of an open transaction that was read uncommitted", () => {
    story.txn("p", [...sends("k", "a@0"), ...sends("l", "b@0")], { outcome: "info" });
    story.send("q", sends("k", "c@1"));
    story.poll("c", [...polls("k", "c@1"), ...polls("l", "b@0")], {
      isolation: "read_uncommitted",
    });
    clean();
  });

  test("is not: what retention has deleted", () => {
    story.send("p", sends("k", "a@0 b@1 c@2"));
    story.send("p", sends("k", "z"));
    story.poll("c", polls("k", "c@2"));
    clean({ keys: new Map([["k", { logStartOffset: 2 }]]) });
    expect(story.types({ keys: new Map([["k", { logStartOffset: 1 }]]) })).toContain("lost-write");
  });

  test("is not: what compaction may have removed", () => {
    const keyed = (value: string, offset: number, recordKey: string) =>
      sends("k", `${value}@${offset}`).map((send) => ({ ...send, recordKey }));
    const all = [...keyed("a", 0, "x"), ...keyed("b", 1, "y"), ...keyed("c", 2, "x")];
    story.send("p", all, { startedMs: 0 });
    // A poll may be over before the ack of what it shows.
    story.poll("c", polls("k", "b@1 c@2"), { startedMs: 1, endedMs: 2 });
    clean({ keys: new Map([["k", { isCompacted: true }]]) });
    expect(story.types()).toEqual(["lost-write", "unseen"]);
  });

  test("compaction does not excuse a key's last record, nor one that an aborted one follows", () => {
    const keyed = (text: string) => sends("k", text).map((send) => ({ ...send, recordKey: "x" }));
    const lost = story.send("p", keyed("a@0"));
    story.txn("q", keyed("b@1"), { outcome: "fail" });
    story.send("p", sends("k", "c@2"));
    story.poll("c", polls("k", "c@2"));
    const { cases } = story.check({ keys: new Map([["k", { isCompacted: true }]]) });
    has(cases.get("lost-write")![0]!, { value: "a" }, [lost, story.operations[3]!]);
  });

  test("over time, what is unseen goes to zero", () => {
    story.send("p", sends("k", "a@0 b@1"));
    story.poll("c", polls("k", "a@0"));
    story.send("p", sends("k", "c"), { outcome: "info" });
    story.poll("c", polls("k", "b@1"));
    story.crash("c");
    const { unseenOverTime } = story.check();
    expect(unseenOverTime.map(({ value }) => value)).toEqual([2, 1, 1, 0]);
    expect(unseenOverTime.map(({ atMs }) => atMs)).toEqual([15, 25, 35, 45]);
  });

  test("a poll that is over before the ack leaves nothing unseen", () => {
    story.send("p", sends("k", "a@0"), { startedMs: 1, endedMs: 50 });
    story.poll("c", polls("k", "a@0"), { startedMs: 2, endedMs: 3 });
    clean();
    expect(story.check().unseenOverTime.map(({ value }) => value)).toEqual([0, 0]);
  });

  test("is tolerated where a run may lose", () => {
    story.send("p", sends("k", "a@0 b@1"));
    story.poll("c", polls("k", "b@1"));
    const report = story.check({ alsoTolerated: ["lost-write", "unseen"] });
    expect(report.isValid).toBe(true);
    expect([...report.cases.keys()]).toEqual(["lost-write", "unseen"]);
  });
});

describe("C21 and G1a", () => {
  test("a record that nobody sent to this key", () => {
    story.send("p", sends("k", "a@0"));
    const read = story.poll("c", [...polls("k", "a@0"), ...polls("l", "a@0")]);
    has(only("C21"), { key: "l", value: "a", offsets: [0] }, [read]);
  });

  test("a record of an aborted transaction, polled", () => {
    const aborted = story.txn("p", sends("k", "a@0"), { outcome: "fail" });
    const read = story.poll("c", polls("k", "a@0"));
    has(only("G1a"), { key: "k", value: "a" }, [aborted, read]);
  });

  test("a refused send, polled, even by a transaction that itself came to nothing", () => {
    const refused = story.send("p", sends("k", "a"), { outcome: "fail" });
    const read = story.txn("c", polls("k", "a@0"), { outcome: "fail" });
    has(only("G1a"), { value: "a" }, [refused, read]);
  });

  test("read_uncommitted may see what is aborted, and not what was refused", () => {
    const isolation = "read_uncommitted";
    const aborted = story.txn("p", sends("k", "a"), { outcome: "fail" });
    const read = story.poll("c", polls("k", "a@0"), { isolation });
    has(only("G1a"), { value: "a" }, [aborted, read], true);
    story.send("p", sends("l", "b"), { outcome: "fail" });
    story.poll("c", polls("l", "b@0"), { isolation });
    expect(story.types()).toEqual(["G1a"]);
    const committed = story.poll("d", polls("k", "a@0"));
    const cases = story.check().cases.get("G1a")!;
    has(cases[0]!, { value: "a" }, [aborted, committed]);
  });

  test("who is not shown an aborted record that another was shown, jumps over nothing", () => {
    story.txn("p", sends("k", "b"), { outcome: "fail" });
    story.send("q", sends("k", "a@0 c@2"));
    story.poll("c", polls("k", "a@0 b@1 c@2"));
    story.poll("d", polls("k", "a@0 c@2"));
    expect(story.types()).toEqual(["G1a"]);
  });

  test("is not: a refused send that succeeds when it is repeated", () => {
    story.send("p", sends("k", "a"), { outcome: "fail" });
    story.send("p", sends("k", "a@0"));
    story.poll("c", polls("k", "a@0"));
    clean();
  });

  test("is not: an unknown transaction, seen", () => {
    story.txn("p", sends("k", "a@0"), { outcome: "info" });
    story.poll("c", polls("k", "a@0"));
    clean();
  });
});

describe("precommitted-read", () => {
  test("a transaction that polls what it has sent", () => {
    const early = story.txn("p", [...sends("k", "a@0"), ...polls("k", "a@0")]);
    has(only("precommitted-read"), { key: "k", value: "a" }, [early]);
  });

  test("is tolerated under read_uncommitted", () => {
    story.txn("p", [...sends("k", "a@0"), ...polls("k", "a@0")], { isolation: "read_uncommitted" });
    expect(story.types()).toEqual(["(precommitted-read)"]);
  });

  test("is not: its process polls it in the next transaction", () => {
    story.txn("p", [...sends("k", "a@0"), ...polls("k", "")]);
    story.txn("p", [...sends("k", "b@2"), ...polls("k", "a@0")]);
    story.poll("p", polls("k", "b@2"));
    clean();
  });
});

describe("poll order", () => {
  beforeEach(() => {
    story.send("p", sends("k", "a@0 b@1 c@2 d@3"));
    story.poll("all", polls("k", "a@0 b@1 c@2 d@3"));
  });

  test("int-poll-skip: one operation jumps over records", () => {
    const read = story.txn("c", [...polls("k", "a@0"), ...polls("k", "d@3")]);
    const facts = { key: "k", from: 0, to: 3, skipped: ["b", "c"] };
    has(only("int-poll-skip"), facts, [read]);
  });

  test("poll-skip: two operations jump over a record", () => {
    const one = story.poll("c", polls("k", "a@0"));
    const two = story.poll("c", polls("k", "c@2 d@3"));
    has(only("poll-skip"), { key: "k", from: 0, to: 2, skipped: ["b"] }, [one, two]);
  });

  test("int-nonmonotonic-poll: one operation goes back, or repeats", () => {
    const back = story.poll("c", polls("k", "b@1 a@0"));
    has(only("int-nonmonotonic-poll"), { from: 1, to: 0, skipped: [] }, [back]);
    story.poll("d", polls("k", "b@1 b@1"));
    expect(story.check().cases.get("int-nonmonotonic-poll")).toHaveLength(2);
  });

  test("nonmonotonic-poll: the next operation goes back, or repeats", () => {
    const one = story.poll("c", polls("k", "a@0 b@1"));
    const two = story.poll("c", polls("k", "b@1 c@2"));
    has(only("nonmonotonic-poll"), { from: 1, to: 1, skipped: [] }, [one, two]);
  });

  test("with a subscription both are tolerated between operations, never inside", () => {
    story.subscribe("c", ["k"]);
    story.poll("c", polls("k", "a@0"));
    story.poll("c", polls("k", "c@2"));
    story.poll("c", polls("k", "b@1 d@3"));
    expect(story.types()).toEqual(["int-poll-skip", "(poll-skip)", "(nonmonotonic-poll)"]);
  });

  test("where rebalances are logged, a subscription excuses nothing else", () => {
    story.subscribe("c", ["k"]);
    story.poll("c", polls("k", "a@0"));
    story.poll("c", polls("k", "c@2"));
    expect(story.types({ rebalancesAreLogged: true })).toEqual(["poll-skip"]);
  });

  test("an assignment ends what a subscription excuses", () => {
    story.subscribe("c", ["k"]);
    story.assign("c", ["k"]);
    story.poll("c", polls("k", "a@0"));
    story.poll("c", polls("k", "c@2"));
    expect(story.types()).toEqual(["poll-skip"]);
  });

  test("a key that stays assigned goes on; one whose new assignment failed too", () => {
    story.poll("c", polls("k", "a@0"));
    story.assign("c", ["k", "l"]);
    story.assign("c", ["l"], { outcome: "fail" });
    story.poll("c", polls("k", "c@2"));
    expect(story.types()).toEqual(["poll-skip"]);
  });

  test("after a transaction that failed, neither place is that before the last", () => {
    story.poll("c", polls("k", "a@0"));
    story.txn("c", polls("k", "b@1"), { outcome: "fail" });
    const one = story.operations.at(-2)!;
    const two = story.poll("c", polls("k", "d@3"));
    has(only("poll-skip"), { from: 0, to: 3, skipped: ["b", "c"] }, [one, two]);
  });

  test("is not: gaps of control records and aborted transactions", () => {
    story.txn("p", sends("k", "x@4 y@5"), { outcome: "fail" });
    story.txn("q", sends("k", "z@6"), { outcome: "info" });
    story.send("p", sends("k", "e@9"));
    story.poll("c", polls("k", "d@3 e@9"));
    story.poll("c", polls("k", ""));
    clean();
  });

  test("is not: what only readers of uncommitted data see", () => {
    story.txn("p", sends("k", "x"), { outcome: "fail" });
    story.txn("p", sends("k", "y"), { outcome: "info" });
    story.send("p", sends("k", "e@9"));
    story.poll("u", polls("k", "d@3 x@4 y@5 e@9"), { isolation: "read_uncommitted" });
    story.poll("c", polls("k", "d@3 e@9"));
    expect(story.types()).toEqual(["(G1a)"]);
  });

  test("an unknown send that others saw may not be jumped over, by whom ever it was seen", () => {
    story.send("p", sends("k", "x"), { outcome: "info" });
    story.poll("u", polls("k", "x@4"), { isolation: "read_uncommitted" });
    story.send("p", sends("k", "e@5"));
    story.poll("c", polls("k", "d@3 e@5"));
    expect(story.types()).toEqual(["int-poll-skip"]);
  });

  test("is not: records that compaction or retention may have removed", () => {
    story.poll("c", polls("k", "a@0 d@3"));
    clean({ keys: new Map([["k", { logStartOffset: 3 }]]) });
    expect(story.types({ keys: new Map([["k", { logStartOffset: 2 }]]) })).not.toEqual([]);
  });

  test("is not: a jump across a rebalance, inside an operation or between two", () => {
    story.subscribe("c", ["k"]);
    story.poll("c", polls("k", "a@0"));
    story.poll("c", polls("k", "c@2 a@0"), { rebalancedKeys: ["k"] });
    story.poll("c", polls("k", "b@1"));
    story.poll("c", [], { rebalancedKeys: ["k"] });
    story.poll("c", polls("k", "d@3"));
    clean({ rebalancesAreLogged: true });
  });

  test("is not: a consumer that goes back after a restart, a seek or another assignment", () => {
    story.poll("c", polls("k", "a@0 b@1 c@2"));
    story.crash("c");
    story.poll("c", polls("k", "b@1"));
    story.assign("c", ["k"], { seeks: true });
    story.poll("c", polls("k", "a@0 b@1"));
    story.assign("c", ["l"]);
    story.assign("c", ["k"]);
    story.poll("c", polls("k", "d@3"));
    story.assign("c", ["k"], { outcome: "info" });
    story.poll("c", polls("k", "a@0"));
    clean();
  });

  test("is not: a failed transaction after which the client goes back, or goes on", () => {
    for (const [client, next] of [
      ["goes on", "c@2"],
      ["goes back", "b@1"],
    ] as const) {
      story.poll(client, polls("k", "a@0"));
      story.txn(client, polls("k", "b@1"), { outcome: "fail" });
      story.poll(client, polls("k", next));
    }
    story.txn("begins with it", polls("k", "a@0"), { outcome: "info" });
    story.poll("begins with it", polls("k", "a@0"));
    clean();
  });
});

describe("send order", () => {
  test("int-nonmonotonic-send: one operation's sends change places", () => {
    const sent = story.txn("p", sends("k", "a@1 b@0"));
    story.poll("c", polls("k", "b@0 a@1"));
    has(only("int-nonmonotonic-send"), { key: "k", from: 1, to: 0 }, [sent]);
  });

  test("nonmonotonic-send: two operations of a process change places", () => {
    const one = story.send("p", sends("k", "a"), { outcome: "info", endedMs: 500 });
    const two = story.send("p", sends("k", "b@3"));
    story.poll("c", polls("k", "b@3 a@4"));
    has(only("nonmonotonic-send"), { key: "k", from: 4, to: 3 }, [one, two]);
  });

  test("are tolerated where the producer is not idempotent", () => {
    story.send("p", sends("k", "a@1 b@0"), { idempotent: false });
    story.send("p", sends("l", "c"), { idempotent: false, outcome: "info" });
    story.send("p", sends("l", "d@0"));
    story.poll("c", [...polls("k", "b@0 a@1"), ...polls("l", "d@0 c@1")]);
    expect(story.types()).toEqual(["(int-nonmonotonic-send)", "(nonmonotonic-send)"]);
  });

  test("int-send-skip: another's record is between two of a transaction, and may be", () => {
    const sent = story.txn("p", sends("k", "a@0 c@2"), { startedMs: 1, endedMs: 99 });
    story.send("q", sends("k", "b@1"));
    story.poll("c", polls("k", "a@0 b@1 c@2"), { startedMs: 100, endedMs: 101 });
    const { cases } = story.check();
    has(cases.get("int-send-skip")![0]!, { from: 0, to: 2, skipped: ["b"] }, [sent], true);
    // Before the one and after the other: a cycle of writes, which may be too.
    expect(story.types()).toEqual(["(int-send-skip)", "(G0)"]);
  });

  test("is not: a transaction's own record between two of it, whose place is not certain", () => {
    story.txn("p", sends("k", "a@0 b@1 c@2"));
    story.poll("c", polls("k", "a@0 b@1 c@2 b@5"));
    expect(story.types()).toEqual(["duplicate"]);
  });

  test("is not: sends in flight together, which are acked in another order", () => {
    story.send("p", sends("k", "a@0"), { startedMs: 1, endedMs: 9 });
    story.send("p", sends("k", "b@1"), { startedMs: 2, endedMs: 5 });
    story.poll("c", polls("k", "a@0 b@1"));
    clean();
  });

  test("is not: the last send of a client that crashed, behind what the next one sends", () => {
    story.send("p", sends("k", "a"), { outcome: "info" });
    story.crash("p");
    story.send("p", sends("k", "b@0"));
    story.poll("c", polls("k", "b@0 a@1"));
    clean();
  });

  test("is not: a gap of control records, or the order of two keys", () => {
    story.txn("p", [...sends("k", "a@5"), ...sends("l", "b@0"), ...sends("k", "c@8")]);
    story.poll("c", [...polls("k", "a@5 c@8"), ...polls("l", "b@0")]);
    clean();
  });
});

describe("the report", () => {
  test("does not depend on the order in which processes are listed", () => {
    story.send("p", sends("k", "a@0"));
    story.send("q", sends("k", "b@1"));
    story.poll("c", polls("k", "b@1"));
    const types = story.types();
    story.operations.reverse();
    expect(story.types()).toEqual(types);
  });

  test("says each case in a line", () => {
    story.send("p", sends("k", "a@0 b@1 c@2"));
    story.send("q", sends("k", "x@2"));
    story.txn("r", [...sends("l", "y@0"), ...polls("m", "z@0")]);
    story.txn("s", [...sends("m", "z@0"), ...polls("l", "y@0")]);
    story.poll("c", polls("k", "a@0 c@2"));
    const { cases } = story.check({ alsoTolerated: ["unseen"] });
    const lines = [...cases.values()].flat().map(describeCase);
    expect(lines).toContain(
      "inconsistent-offsets: k@2 is c and x; c poll ok 50..55, q send ok 20..25",
    );
    expect(lines).toContain("lost-write: k@1 b; p send ok 10..15, c poll ok 50..55");
    expect(lines).toContain("unseen (tolerated): k@1 b; p send ok 10..15");
    expect(lines).toContain("int-poll-skip: k from 0 to 2 [b]; c poll ok 50..55");
    expect(lines.join("\n")).toMatch(/^G1c: wr m z>z, wr l y>y; |^G1c: wr l y>y, wr m z>z; /m);
  });

  test("says the order of time in a cycle", () => {
    story.poll("c", polls("k", "a@0"));
    story.send("p", sends("k", "a@0"));
    const lines = [...story.check().cases.values()].flat().map(describeCase);
    expect(lines).toEqual(["G1c-realtime: wr k a>a, realtime; p send ok 20..25, c poll ok 10..15"]);
  });

  test("lists types in the table's order", () => {
    story.send("p", sends("k", "a@0 b@1"));
    story.poll("c", polls("k", "b@1 b@0"));
    const types = [...story.check().cases.keys()];
    expect(types).toEqual(ERROR_TYPES.filter((type) => types.includes(type)));
    expect(types.length).toBeGreaterThan(3);
  });

  test("an offset that is none is the caller's mistake", () => {
    story.send("p", sends("k", "a@-1"));
    expect(() => story.check()).toThrow("an offset");
  });
});
