import { beforeEach, describe, expect, test } from "vitest";
import { GroupHistory, type Told, type Write } from "../../src/sim/group-history.ts";

const R = "group/topic-0";
const KEPT = { mayExpire: false };

let nowMs = 0;
let findings: string[] = [];
let history = newHistory(false);

function newHistory(mayLose: boolean): GroupHistory {
  findings = [];
  nowMs = 0;
  const created = new GroupHistory({
    report: (rule) => findings.push(rule),
    mayLose,
    nowMs: () => nowMs,
    retentionMs: 1000,
  });
  created.onStart();
  return created;
}

beforeEach(() => {
  history = newHistory(false);
});

function acked(id: string | null): Write {
  const write = history.startWrite(R, id);
  history.onAck(write);
  return write;
}

function read(id: string | null, options = KEPT): string[] {
  history.onRead(R, id, history.tick(), options);
  return findings.splice(0);
}

function told(memberId: string, generationId: number): Told {
  return { groupId: "group", memberId, generationId, sentAt: history.tick(), run: history.run };
}

describe("offsets: the checker sees", () => {
  test("nothing wrong in the last commit, and in one that is under way", () => {
    expect(read(null)).toEqual([]);
    acked("a");
    expect(read("a")).toEqual([]);
    history.startWrite(R, "b");
    expect(read("a")).toEqual([]);
    expect(read("b")).toEqual([]);
  });

  test("an acked commit that is lost, and an older one that is back (G3)", () => {
    acked("a");
    expect(read(null)).toEqual(["G3"]);
    acked("b");
    expect(read("a")).toEqual(["G3"]);
    expect(read("b")).toEqual([]);
  });

  test("what was refused, and what nobody committed", () => {
    history.onRefusal(history.startWrite(R, "a"));
    expect(read("a")).toEqual(["G3"]);
    expect(read("never")).toEqual(["G3"]);
  });

  test("a deletion that was acked is undone", () => {
    acked("a");
    acked(null);
    expect(read(null)).toEqual([]);
    expect(read("a")).toEqual(["G3"]);
  });

  test("a read that began before the ack may show what was before", () => {
    acked("a");
    const startedAt = history.tick();
    acked("b");
    history.onRead(R, "a", startedAt, KEPT);
    expect(findings).toEqual([]);
  });

  test("a commit whose answer was lost may show, but not after a commit of a later run", () => {
    acked("a");
    history.startWrite(R, "lost");
    history.onStart();
    expect(read("lost")).toEqual([]);
    expect(read("a")).toEqual([]);
    acked("b");
    expect(read("lost")).toEqual(["G3"]);
  });

  test("an ack that came late, of a run that has ended, still counts", () => {
    const write = history.startWrite(R, "a");
    history.onStart();
    history.onAck(write);
    expect(read(null)).toEqual(["G3"]);
  });

  test("nothing, where a power cut may take what was acked, until it is acked again", () => {
    history = newHistory(true);
    acked("a");
    history.onStart();
    expect(read(null)).toEqual([]);
    expect(read("a")).toEqual([]);
    acked("b");
    expect(read("a")).toEqual(["G3"]);
  });

  test("what went before its retention was over (G10)", () => {
    acked("a");
    nowMs = 999;
    expect(read(null, { mayExpire: true })).toEqual(["G3"]);
    nowMs = 1000;
    expect(read(null, { mayExpire: true })).toEqual([]);
    expect(read(null)).toEqual(["G3"]);
  });
});

describe("members: the checker sees", () => {
  function joined(memberId: string, generationId: number, leader = memberId, isNew = false): void {
    history.onJoined(told(memberId, generationId), leader, isNew);
  }
  function synced(memberId: string, generationId: number, text: string): void {
    history.onSynced(told(memberId, generationId), text);
  }

  test("nothing wrong in a group's life", () => {
    joined("a", 1);
    joined("b", 1, "a");
    synced("a", 1, "x:1 a t-0");
    synced("b", 1, "x:1 b t-1");
    history.onAccepted(told("b", 1), "commit");
    joined("a", 2);
    synced("a", 2, "x:2 a t-0,t-1");
    history.onStart();
    history.onAccepted(told("a", 2), "commit");
    expect(findings).toEqual([]);
  });

  test("a generation that falls (G1), in this run or one that was in the log", () => {
    joined("a", 3);
    joined("a", 2);
    expect(findings.splice(0)).toEqual(["G1"]);
    history.onStart();
    joined("a", 2);
    expect(findings.splice(0)).toEqual([]);
    synced("a", 2, "x:1 a");
    history.onStart();
    joined("a", 1);
    expect(findings).toEqual(["G1"]);
  });

  test("a join that was sent before the newer generation was known may bring the older", () => {
    const early = told("b", 1);
    joined("a", 2);
    history.onJoined(early, "b", false);
    expect(findings).toEqual([]);
  });

  test("two leaders, or two assignments, of one generation (G7)", () => {
    joined("a", 1);
    joined("b", 1, "b");
    expect(findings.splice(0)).toEqual(["G7"]);
    synced("a", 1, "x:1 a t-0");
    synced("b", 1, "x:2 b t-1");
    expect(findings.splice(0)).toEqual(["G7"]);
    synced("c", 1, "x:2 a t-0");
    expect(findings).toContain("G7");
  });

  test("a static member that gets another share of its generation (G9)", () => {
    joined("static-1-x", 1, "static-1-x", true);
    synced("static-1-x", 1, "x:1 static-1 t-0");
    joined("static-1-y", 1, "static-1-x", true);
    synced("static-1-y", 1, "x:1 static-1 t-0");
    expect(findings.splice(0)).toEqual([]);
    synced("static-1-y", 1, "x:1 static-1 t-1");
    expect(findings).toEqual(["G9"]);
  });

  test("commits and heartbeats of old generations and of fenced instances (G2)", () => {
    joined("a", 1);
    joined("a", 2);
    history.onAccepted(told("a", 1), "commit");
    history.onAccepted(told("a", 1), "heartbeat");
    expect(findings.splice(0)).toEqual(["G2", "G2"]);
    joined("static-1-x", 2, "a", true);
    joined("static-1-y", 2, "a", true);
    history.onAccepted(told("static-1-x", 2), "commit");
    expect(findings).toEqual(["G2"]);
  });

  test("members that have left (G11), but not while the coordinator may still load", () => {
    joined("a", 1);
    history.onLeft(told("a", 1));
    history.onAccepted(told("a", 1), "heartbeat");
    expect(findings.splice(0)).toEqual(["G11"]);
    history.onStart();
    history.onLeft(told("a", 1));
    history.onAccepted(told("a", 1), "heartbeat");
    expect(findings.splice(0)).toEqual([]);
    history.onServed(told("a", 1));
    history.onAccepted(told("a", 1), "heartbeat");
    expect(findings).toEqual(["G11"]);
  });
});
