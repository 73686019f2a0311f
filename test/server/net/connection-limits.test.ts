import { describe, expect, test } from "vitest";
import { ConnectionCounts, MAX_HOLD_MS } from "../../../src/server/net/connection-limits.ts";
import { limitsOf } from "../support/connection-limits.ts";

const HOST = "10.0.0.7";

function counts(limits: Parameters<typeof limitsOf>[0]) {
  const clock = { now: 0, nowMs: () => clock.now };
  return { clock, counts: new ConnectionCounts(clock, limitsOf(limits)) };
}

describe("how many connections there may be", () => {
  test("in all: full, until one goes", () => {
    const { counts: all } = counts({ maxConnections: 2 });
    all.add(HOST, "A");
    all.add("10.0.0.8", "B");
    expect(all.refusal("10.0.0.9", "A")).toMatchObject({ kind: "full" });
    all.remove("10.0.0.8", "B");
    expect(all.refusal("10.0.0.9", "A")).toBeNull();
  });

  test("from an address, and another number from one that has its own", () => {
    const { counts: all } = counts({
      maxConnectionsPerIp: 1,
      maxConnectionsPerIpOverrides: new Map([
        ["10.0.0.8", 2],
        ["10.0.0.9", 0],
      ]),
    });
    all.add(HOST, "A");
    all.add("10.0.0.8", "A");
    expect(all.refusal(HOST, "A")).toMatchObject({ kind: "too-many" });
    expect(all.refusal("10.0.0.8", "A")).toBeNull();
    expect(all.refusal("10.0.0.9", "A")).toMatchObject({ kind: "too-many" });
    all.remove(HOST, "A");
    expect(all.refusal(HOST, "A")).toBeNull();
  });

  test("on a listener that has a limit of its own; others go on", () => {
    const { counts: all } = counts({ listeners: { A: { maxConnections: 1 } } });
    all.add(HOST, "A");
    expect(all.refusal(HOST, "A")).toMatchObject({ kind: "full" });
    expect(all.refusal(HOST, "B")).toBeNull();
    expect([all.countOf("A"), all.countOf("B")]).toEqual([1, 0]);
  });
});

describe("how fast connections may come", () => {
  test("as many as in a second at once, the next ones wait at the limit's pace", () => {
    const { counts: all } = counts({ maxCreationRate: 10 });
    const holds = Array.from({ length: 13 }, () => all.add(HOST, "A"));
    expect(holds).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200]);
  });

  test("nobody waits who comes at the limit's pace", () => {
    const { clock, counts: all } = counts({ maxCreationRate: 10 });
    for (let i = 0; i < 100; i += 1) {
      expect(all.add(HOST, "A")).toBe(0);
      clock.now += 100;
    }
  });

  test("whoever would wait for too long is refused, until time has passed", () => {
    const { clock, counts: all } = counts({ maxCreationRate: 10 });
    while (all.refusal(HOST, "A") === null) all.add(HOST, "A");
    expect(all.refusal(HOST, "A")).toMatchObject({ kind: "too-fast" });
    expect(all.countOf("A")).toBe(10 + MAX_HOLD_MS / 100 + 1);
    clock.now += 1_000;
    expect(all.refusal(HOST, "A")).toBeNull();
  });

  test("a listener's own pace holds on it alone", () => {
    const { counts: all } = counts({ listeners: { A: { maxCreationRate: 1 } } });
    expect([all.add(HOST, "A"), all.add(HOST, "A"), all.add(HOST, "A")]).toEqual([0, 0, 1_000]);
    expect([all.add(HOST, "B"), all.add(HOST, "B"), all.add(HOST, "B")]).toEqual([0, 0, 0]);
  });
});
