import { describe, expect, test } from "vitest";
import type { DiskFile } from "../../src/base/disk.ts";
import { callSite } from "../../src/storage/call-site.ts";
import { replaceFile } from "../../src/storage/atomic-file.ts";
import { FaultRuleError, parseFaultRules } from "../../src/storage/fault-file.ts";
import { describeRule, faultRule, type NewFaultRule } from "../../src/storage/fault-rules.ts";
import { type DiskCall, FaultyDisk } from "../../src/storage/faulty-disk.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { ManualClock, settle } from "./support/manual-clock.ts";

const EIO = { kind: "error", code: "EIO" } as const;

async function world(...rules: NewFaultRule[]) {
  const memory = new MemoryDisk();
  await memory.mkdir("/data/a");
  await memory.mkdir("/data/b");
  const clock = new ManualClock();
  const disk = new FaultyDisk({ disk: memory, clock }, rules);
  const create = (path: string): Promise<DiskFile> => disk.open(path, { create: true });
  return { memory, clock, disk, create };
}

/** "ok", or the code of the refusal. */
async function outcome(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe("rules", () => {
  test("apply to the operation, path and count that they name, and to nothing else", async () => {
    const rule = { operations: ["datasync"], path: "/data/a/**", after: 1, times: 2, fault: EIO };
    const { create } = await world(rule as NewFaultRule);
    const a = await create("/data/a/x");
    const b = await create("/data/b/x");
    const outcomes: string[] = [];
    for (let count = 0; count < 4; count += 1) outcomes.push(await outcome(a.datasync()));
    expect(outcomes).toEqual(["ok", "EIO", "EIO", "ok"]);
    expect(await outcome(b.datasync())).toBe("ok");
    await a.writev([Buffer.from("x")], 0);
  });

  test("hold for open files too when they come, and no more when they go", async () => {
    const { disk, create } = await world();
    const file = await create("/data/a/x");
    disk.setRules([{ times: Infinity, fault: { kind: "error", code: "ENOSPC" } }]);
    expect(await outcome(file.writev([Buffer.from("x")], 0))).toBe("ENOSPC");
    expect(await outcome(disk.rename("/data/a/x", "/data/a/y"))).toBe("ENOSPC");
    disk.setRules([]);
    expect(await outcome(file.writev([Buffer.from("x")], 0))).toBe("ok");
  });

  test.each([
    ["/data/a/**", ["/data/a", "/data/a/t-0/x.log"], ["/data/ab", "/data/b/x", "/x/data/a/y"]],
    ["*.log", ["/data/a/1.log"], ["/data/a/1.logs"]],
    [".log", ["/data/a/1.log", "x.log"], ["/data/a/1.index"]],
    ["/data/?/t-*/0.log", ["/data/a/t-12/0.log"], ["/data/a/t-1/2/0.log", "/data/ab/t-1/0.log"]],
    ["/data/a", ["/data/a"], ["/data/a/x"]],
    ["t-0/**", ["/data/a/t-0", "/data/a/t-0/x"], ["/data/a/t-1/x"]],
  ])("a path may be %s", async (path, hits, misses) => {
    const { disk } = await world({ path, operations: ["statfs"], times: Infinity, fault: EIO });
    for (const hit of hits)
      expect(`${hit}: ${await outcome(disk.statfs(hit))}`).toBe(`${hit}: EIO`);
    for (const miss of misses)
      expect(`${miss}: ${await outcome(disk.statfs(miss))}`).toBe(`${miss}: ok`);
  });

  test("a rename matches by either of its names", async () => {
    const { disk, create } = await world({ path: "/data/b/y", fault: EIO });
    await create("/data/a/x");
    expect(await outcome(disk.rename("/data/a/x", "/data/b/y"))).toBe("EIO");
  });

  test("each fault is told, with the call that meets it", async () => {
    const { disk } = await world({ name: "bad", operations: ["list"], fault: EIO });
    const told: string[] = [];
    disk.setFaultListener((rule, call) =>
      told.push(`${rule.name}: ${call.operation} ${call.path}`),
    );
    await outcome(disk.list("/data"));
    await outcome(disk.list("/data"));
    expect(told).toEqual(["bad: list /data"]);
  });
});

describe("faults", () => {
  test("an error leaves no effect", async () => {
    const { disk, memory, create } = await world();
    await create("/data/a/x");
    disk.setRules([{ operations: ["remove"], fault: EIO }]);
    expect(await outcome(disk.remove("/data/a/x"))).toBe("EIO");
    expect(memory.files().has("/data/a/x")).toBe(true);
  });

  test("a short write leaves its first bytes and is refused", async () => {
    const fault = { kind: "shortWrite", bytes: 5, code: "ENOSPC" } as const;
    const { memory, create } = await world({ fault });
    const file = await create("/data/a/x");
    const buffers = [Buffer.from("abc"), Buffer.from("defgh")];
    expect(await outcome(file.writev(buffers, 0))).toBe("ENOSPC");
    expect(String(memory.files().get("/data/a/x"))).toBe("abcde");
    await file.writev(buffers, 0);
    expect(String(memory.files().get("/data/a/x"))).toBe("abcdefgh");
  });

  test("a flipped bit is on the disk after a write, and only in what was read after a read", async () => {
    const { disk, memory, create } = await world();
    const file = await create("/data/a/x");
    const buffer = Buffer.from("abcd");
    disk.setRules([{ operations: ["writev"], fault: { kind: "flipBit", position: 2, bit: 1 } }]);
    await file.writev([buffer], 0);
    expect(String(buffer)).toBe("abcd");
    expect(String(memory.files().get("/data/a/x"))).toBe("abad");
    disk.setRules([{ operations: ["read"], fault: { kind: "flipBit", position: null, bit: 0 } }]);
    const target = Buffer.alloc(4);
    await file.read(target, 0);
    expect(String(target)).toBe("ab`d");
    await file.read(target, 0);
    expect(String(target)).toBe("abad");
  });

  test("a flipped bit waits for a call that covers its position", async () => {
    const fault = { kind: "flipBit", position: 6, bit: 0 } as const;
    const { memory, create } = await world({ operations: ["writev"], fault });
    const file = await create("/data/a/x");
    for (const position of [0, 4, 8]) await file.writev([Buffer.alloc(4)], position);
    expect([...(memory.files().get("/data/a/x") ?? [])].indexOf(1)).toBe(6);
  });

  test("a delayed call comes late; a delayed sync covers what was there when it was asked", async () => {
    const { clock, disk, memory, create } = await world();
    const file = await create("/data/a/x");
    disk.setRules([{ times: Infinity, fault: { kind: "delay", ms: 50 } }]);
    const write = file.writev([Buffer.from("x")], 0);
    await settle();
    expect(memory.files().get("/data/a/x")?.length).toBe(0);
    await clock.advance(50);
    await write;
    expect(memory.files().get("/data/a/x")?.length).toBe(1);
    let isSynced = false;
    void file.datasync().then(() => (isSynced = true));
    await clock.advance(49);
    expect(isSynced).toBe(false);
    await clock.advance(1);
    expect(isSynced).toBe(true);
  });

  test("a late call may be refused as well", async () => {
    const { clock, disk } = await world({ fault: { kind: "delay", ms: 5 } }, { fault: EIO });
    const call = outcome(disk.syncDir("/data"));
    await clock.advance(5);
    expect(await call).toBe("EIO");
  });
});

describe("call sites", () => {
  test("name the file and function of ours that called the disk", async () => {
    const { disk } = await world();
    const calls: DiskCall[] = [];
    disk.setRecorder((call) => calls.push(call));
    await replaceFile(disk, "/data/a/x", Buffer.from("x"));
    expect(calls.map((call) => `${call.callSite} ${call.operation}`)).toEqual([
      "atomic-file.ts replaceFile create",
      "atomic-file.ts replaceFile writev",
      "atomic-file.ts replaceFile datasync",
      "atomic-file.ts replaceFile close",
      "atomic-file.ts replaceFile rename",
    ]);
    disk.setRules([{ callSite: "atomic-file.ts replaceFile", operations: ["rename"], fault: EIO }]);
    expect(await outcome(disk.rename("/data/a/x", "/data/a/y"))).toBe("ok");
    await disk.rename("/data/a/y", "/data/a/x");
    expect(await outcome(replaceFile(disk, "/data/a/x", Buffer.from("x")))).toBe("EIO");
  });

  test.each([
    [
      "    at Segment.#writeSnapshot (file:///h/dist/storage/segment.js:3:4)",
      "segment.ts #writeSnapshot",
    ],
    ["    at async Segment.datasync (/h/src/storage/segment.ts:3:4)", "segment.ts datasync"],
    ["    at #w (/h/src/storage/segment.ts?v=1:3:4)", "segment.ts #w"],
    ["    at /h/src/raft/driver.ts:3:4", "driver.ts (anonymous)"],
    ["    at Object.read [as x] (/h/src/raft/driver.ts:3:4)", "driver.ts read"],
    [
      "    at FaultyDisk.open (/h/src/storage/faulty-disk.ts:3:4)\n    at f (/h/src/raft/a.ts:1:2)",
      "a.ts f",
    ],
    ["    at f (/h/test/storage/a.test.ts:1:2)", "unknown"],
    ["    at f (node:internal/fs:1:2)", "unknown"],
  ])("are read from %s", (stack, name) => {
    expect(callSite(`Error\n${stack}`)).toBe(name);
  });
});

describe("a file of rules", () => {
  test("says what happens where and how often", () => {
    const rules = parseFaultRules(
      JSON.stringify([
        { operation: "datasync", path: "/data/a/**", fault: { kind: "error", code: "EIO" } },
        { operation: ["writev", "create"], sticky: true, fault: { kind: "error", code: "ENOSPC" } },
        { name: "slow", after: 3, times: 9, callSite: "a.ts b", fault: { kind: "delay", ms: 100 } },
        { at: "platter", fault: { kind: "shortWrite", bytes: 7 } },
        { operation: "read", fault: { kind: "flipBit", position: 61, bit: 3 } },
      ]),
    );
    expect(rules.map(describeRule)).toEqual([
      "EIO once: datasync of /data/a/**",
      "ENOSPC always: writev, create of **",
      "100 ms late 9x after 3 calls: any call of ** from a.ts b",
      "ENOSPC after 7 bytes once: any call of **",
      "a flipped bit once: read of **",
    ]);
    expect(rules[2]).toEqual(
      faultRule({
        name: "slow",
        after: 3,
        times: 9,
        callSite: "a.ts b",
        fault: { kind: "delay", ms: 100 },
      }),
    );
  });

  test.each([
    ["x", /^it is not JSON/],
    ["{}", /^it must be a list of rules, such as \[/],
    ["[1]", /^rule 1: fault: kind is missing|^rule 1 must be an object/],
    ['[{"fault":{"kind":"error"}},{}]', /^rule 2: fault must be an object/],
    ['[{"fault":{"kind":"boom"}}]', /^rule 1: fault: kind is "boom", must be "error", "delay"/],
    ['[{"fault":{"kind":"error","code":"eio"}}]', /code is "eio", must be a name such as EIO/],
    [
      '[{"fault":{"kind":"delay"}}]',
      /^rule 1: fault: ms is missing, must be a whole number from 0/,
    ],
    ['[{"fault":{"kind":"error"},"opration":"x"}]', /"opration" is unknown; it may have name, at/],
    [
      '[{"fault":{"kind":"error"},"operation":"write"}]',
      /operation is "write", must be one or a list/,
    ],
    ['[{"fault":{"kind":"error"},"sticky":true,"times":2}]', /exclude each other/],
    ['[{"fault":{"kind":"error"},"after":-1}]', /after is -1, must be a whole number/],
    ['[{"fault":{"kind":"error"},"at":"moon"}]', /at is "moon", must be "call" or "platter"/],
    ['[{"fault":{"kind":"flipBit","bit":8}}]', /bit is 8, must be a whole number from 0 to 7/],
  ])("that is %s is refused, with the place and what would be right", (text, message) => {
    expect(() => parseFaultRules(text)).toThrow(FaultRuleError);
    expect(() => parseFaultRules(text)).toThrow(message);
  });
});
