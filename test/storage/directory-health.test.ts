import { describe, expect, test } from "vitest";
import type { Uuid } from "../../src/base/ids.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { DirectorySync } from "../../src/storage/directory-sync.ts";
import type { NewFaultRule } from "../../src/storage/fault-rules.ts";
import { FaultyDisk } from "../../src/storage/faulty-disk.ts";
import { DirectoryError, LogManager } from "../../src/storage/log-manager.ts";
import { batchOf, CLIENT, CONFIG, logWorld } from "./support/log-world.ts";
import { settle } from "./support/manual-clock.ts";

const TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ" as Uuid;
const OTHER_ID = "AAAAAAAAAAAAAAAAAAAAAg" as Uuid;
const NO_ROOM = { kind: "error", code: "ENOSPC" } as const;
const EIO = { kind: "error", code: "EIO" } as const;

/** No room in the directory, for bytes, names or the like. */
function full(path: string): NewFaultRule {
  const operations = ["writev", "create", "mkdir"] as const;
  return { operations, path: `${path}/**`, times: Infinity, fault: NO_ROOM };
}

function world(memory = new MemoryDisk()) {
  const { clock, dependencies, said } = logWorld();
  const disk = new FaultyDisk({ disk: memory, clock });
  const open = (logDirs: readonly string[] = ["/a", "/b"]): Promise<LogManager> =>
    LogManager.open(
      { ...dependencies, disk, random: new SeededRandom(7) },
      { logDirs, nodeId: 1, clusterId: null },
    );
  return { clock, memory, disk, said, open };
}

const partition = (partitionIndex: number, topicId = TOPIC_ID) => ({
  topic: "topic",
  partitionIndex,
  topicId,
});

const FLUSHED = { ...CONFIG, flushMessages: 1 };

describe("a full directory", () => {
  test("refuses what does not fit, goes on within two seconds of room, and keeps what it had", async () => {
    const { clock, disk, open } = world();
    const manager = await open();
    const [a, b] = [
      await manager.openLog(partition(0), FLUSHED),
      await manager.openLog(partition(1), FLUSHED),
    ];
    expect([a.directory, b.directory]).toEqual(["/a/topic-0", "/b/topic-1"]);
    a.append(batchOf(2), CLIENT);
    await a.flush();
    disk.setRules([full("/a")]);
    a.append(batchOf(1), CLIENT);
    await expect(a.flush()).rejects.toMatchObject({ errorName: "KAFKA_STORAGE_ERROR" });
    b.append(batchOf(1), CLIENT);
    await b.flush();
    await clock.advance(10_000);
    expect(a.failure?.code).toBe("ENOSPC");
    expect(manager.directories.map(({ isOnline }) => isOnline)).toEqual([true, true]);
    disk.setRules([]);
    for (let seconds = 0; seconds < 2; seconds += 1) await clock.advance(1_000);
    expect(a.failure).toBeNull();
    expect(a.logEndOffset).toBe(2);
    a.append(batchOf(1), CLIENT);
    await a.flush();
    expect(a.flushedEndOffset).toBe(3);
    await manager.close(5);
    const again = await open();
    expect((await again.openLog(partition(0), FLUSHED)).logEndOffset).toBe(3);
    expect(again.previousBrokerEpoch).toBe(5);
    await again.close(null);
  });

  test("whose checkpoint did not fit fails no log, and has it when there is room", async () => {
    const { clock, disk, memory, open, said } = world();
    const manager = await open(["/a"]);
    const log = await manager.openLog(partition(0), FLUSHED);
    log.append(batchOf(2), CLIENT);
    await log.flush();
    disk.setRules([{ ...full("/a"), path: "checkpoint.tmp" }]);
    await clock.advance(5_000);
    expect(said.some(({ message }) => message.startsWith("the log directory is full"))).toBe(true);
    expect(log.failure).toBeNull();
    disk.setRules([]);
    await clock.advance(1_000);
    expect(String(memory.files().get("/a/recovery-point-offset-checkpoint"))).toMatch(
      /topic 0 2\s/,
    );
    await manager.close(null);
  });

  test("takes no new partition while another has room", async () => {
    const { disk, open } = world();
    const manager = await open();
    await manager.openLog(partition(0), CONFIG);
    await manager.openLog(partition(1), CONFIG);
    disk.setRules([full("/a")]);
    const log = await manager.openLog(partition(2), CONFIG);
    expect(log.directory).toBe("/a/topic-2");
    log.append(batchOf(1), CLIENT);
    await expect(log.flush()).rejects.toMatchObject({ errorName: "KAFKA_STORAGE_ERROR" });
    for (const index of [3, 4]) {
      expect((await manager.openLog(partition(index), CONFIG)).directory).toBe(`/b/topic-${index}`);
    }
    await manager.close(null);
  });

  test("tells when what was refused may be opened", async () => {
    const { clock, disk, memory, open } = world();
    const before = await open(["/a"]);
    (await before.openLog(partition(0), CONFIG)).append(batchOf(1), CLIENT);
    await before.close(null);
    // As after a crash: what is not known to be durable is synced when the log is opened.
    for (const name of [".kafka_cleanshutdown", "recovery-point-offset-checkpoint"]) {
      await memory.remove(`/a/${name}`);
    }
    const manager = await open(["/a"]);
    let healCount = 0;
    manager.setHealListener(() => (healCount += 1));
    disk.setRules([full("/a")]);
    await expect(manager.openLog(partition(0), CONFIG)).rejects.toThrow("ENOSPC");
    await clock.advance(3_000);
    expect(healCount).toBe(0);
    disk.setRules([]);
    await clock.advance(1_000);
    expect(healCount).toBe(1);
    expect((await manager.openLog(partition(0), CONFIG)).logEndOffset).toBe(1);
    await clock.advance(5_000);
    expect(healCount).toBe(1);
    await manager.close(null);
  });

  test("that is deleted from never gives an old recovery point to a new log", async () => {
    const { clock, disk, memory, open } = world();
    const manager = await open(["/a"]);
    const log = await manager.openLog(partition(0), FLUSHED);
    for (let i = 0; i < 9; i += 1) log.append(batchOf(1), CLIENT);
    await log.flush();
    await clock.advance(5_000);
    disk.setRules([full("/a")]);
    await manager.deleteLog("topic", 0);
    expect(manager.partitionsOnDisk()).toEqual([]);
    await expect(manager.openLog(partition(0, OTHER_ID), FLUSHED)).rejects.toThrow("ENOSPC");
    disk.setRules([]);
    await clock.advance(1_000);
    const next = await manager.openLog(partition(0, OTHER_ID), FLUSHED);
    expect(next.logEndOffset).toBe(0);
    expect(String(memory.files().get("/a/recovery-point-offset-checkpoint"))).not.toContain(
      "topic 0 9",
    );
    await manager.close(null);
  });

  test("where a deleted log cannot be moved aside gives its records to no other topic (E16)", async () => {
    const { clock, disk, open } = world();
    const manager = await open(["/a"]);
    const log = await manager.openLog(partition(0), FLUSHED);
    log.append(batchOf(3), CLIENT);
    await log.flush();
    const rule = { operations: ["rename"], path: "/a/topic-0", times: Infinity, fault: NO_ROOM };
    disk.setRules([rule as NewFaultRule]);
    await manager.deleteLog("topic", 0);
    await expect(manager.openLog(partition(0, OTHER_ID), FLUSHED)).rejects.toThrow("ENOSPC");
    disk.setRules([]);
    await clock.advance(1_000);
    const next = await manager.openLog(partition(0, OTHER_ID), FLUSHED);
    expect(next.logEndOffset).toBe(0);
    next.append(batchOf(1), CLIENT);
    await next.flush();
    await manager.close(null);
    const again = await open(["/a"]);
    expect((await again.openLog(partition(0, OTHER_ID), FLUSHED)).logEndOffset).toBe(1);
    await again.close(null);
  });

  test("is offline for ever when a sync fails in it", async () => {
    const { clock, disk, open } = world();
    const manager = await open();
    const log = await manager.openLog(partition(0), FLUSHED);
    disk.setRules([{ operations: ["datasync"], path: "/a/**", fault: NO_ROOM }]);
    log.append(batchOf(1), CLIENT);
    await expect(log.flush()).rejects.toThrow("ENOSPC");
    await clock.advance(20_000);
    expect(log.failure?.code).toBe("ENOSPC");
    expect(manager.directories.map(({ isOnline }) => isOnline)).toEqual([false, true]);
    await manager.close(null);
  });
});

describe("a directory that cannot be opened at the start", () => {
  test.each<[string, NewFaultRule]>([
    ["unreadable", { operations: ["list"], path: "/b", times: Infinity, fault: EIO }],
    [
      "not writable",
      { operations: ["lock"], path: "/b", fault: { kind: "error", code: "EACCES" } },
    ],
    ["broken where its identity is", { path: "/b/meta.properties", times: Infinity, fault: EIO }],
  ])("because it is %s is offline and named, and the others are served", async (_name, rule) => {
    const memory = new MemoryDisk();
    const before = await world(memory).open();
    for (const index of [0, 1]) {
      const log = await before.openLog(partition(index), FLUSHED);
      log.append(batchOf(3), CLIENT);
      await log.flush();
    }
    await before.close(8);
    const { disk, said, open } = world(memory);
    disk.setRules([rule]);
    const manager = await open();
    expect(manager.directories.map(({ path, isOnline }) => [path, isOnline])).toEqual([
      ["/a", true],
      ["/b", false],
    ]);
    expect(said.some(({ facts }) => facts["directory"] === "/b")).toBe(true);
    // Whether the other one was left in order cannot be known (R5).
    expect(manager.previousBrokerEpoch).toBeNull();
    expect((await manager.openLog(partition(0), FLUSHED)).logEndOffset).toBe(3);
    // Never an empty log in the place of one that is only out of sight.
    await expect(manager.openLog(partition(1), FLUSHED)).rejects.toThrow("it may lie in /b");
    // One that the cluster knows to be in the other, and that is not there, was never written to.
    const directoryId = manager.directories[0]!.directoryId!;
    const assigned = await manager.openLog({ ...partition(3), directoryId }, FLUSHED);
    expect(assigned.directory).toBe("/a/topic-3");
    manager.finishStart();
    expect((await manager.openLog(partition(2), FLUSHED)).directory).toBe("/a/topic-2");
    await manager.close(9);
    const after = await world(memory).open();
    expect((await after.openLog(partition(1), FLUSHED)).logEndOffset).toBe(3);
    await after.close(10);
  });

  /** Two directories with a partition each; the second has no room for the lock of the next start. */
  async function fullAtStart() {
    const memory = new MemoryDisk();
    const before = await world(memory).open();
    for (const index of [0, 1]) {
      const log = await before.openLog(partition(index), FLUSHED);
      log.append(batchOf(3), CLIENT);
      await log.flush();
    }
    await before.close(8);
    const { clock, disk, open } = world(memory);
    disk.setRules([{ operations: ["lock"], path: "/b", times: Infinity, fault: NO_ROOM }]);
    const manager = await open();
    let healedCount = 0;
    manager.setHealListener(() => (healedCount += 1));
    return { clock, disk, memory, manager, healedCount: () => healedCount };
  }

  test("for want of room is opened when there is room, and what lies in it is served", async () => {
    const { clock, disk, memory, manager, healedCount } = await fullAtStart();
    await expect(manager.openLog(partition(1), FLUSHED)).rejects.toThrow("it may lie in /b");
    manager.finishStart();
    await clock.advance(10_000);
    expect(manager.directories.map(({ isOnline }) => isOnline)).toEqual([true, false]);
    disk.setRules([]);
    for (let seconds = 0; seconds < 2; seconds += 1) await clock.advance(1_000);
    expect(healedCount()).toBe(1);
    expect(manager.directories.map(({ isOnline }) => isOnline)).toEqual([true, true]);
    const log = await manager.openLog(partition(1), FLUSHED);
    expect([log.directory, log.logEndOffset]).toEqual(["/b/topic-1", 3]);
    log.append(batchOf(1), CLIENT);
    await log.flush();
    // The cluster learns of the directory when the node registers next.
    for (const index of [2, 3]) {
      expect((await manager.openLog(partition(index), FLUSHED)).directory).toBe(
        `/a/topic-${index}`,
      );
    }
    await manager.close(9);
    const after = await world(memory).open();
    expect(after.previousBrokerEpoch).toBe(9);
    expect((await after.openLog(partition(1), FLUSHED)).logEndOffset).toBe(4);
    await after.close(10);
  });

  test("is no reason to make a partition anew that was missing, even when it is there again (R5)", async () => {
    const { clock, disk, memory, manager } = await fullAtStart();
    // Of a third directory that was wiped meanwhile, say.
    const opening = (): Promise<unknown> => manager.openLog(partition(7), FLUSHED);
    await expect(opening()).rejects.toThrow("it may lie in /b");
    manager.finishStart();
    await expect(opening()).rejects.toThrow("it may lie in /b");
    disk.setRules([]);
    for (let seconds = 0; seconds < 2; seconds += 1) await clock.advance(1_000);
    await expect(opening()).rejects.toThrow("restart");
    expect(memory.directories().filter((path) => path.includes("topic-7"))).toEqual([]);
    await manager.close(9);
  });

  test("for want of room, and then is broken, stays offline", async () => {
    const { clock, disk, manager, healedCount } = await fullAtStart();
    let count = 0;
    disk.setRules([{ operations: ["lock"], path: "/b", times: Infinity, fault: EIO }]);
    disk.setFaultListener(() => (count += 1));
    for (let seconds = 0; seconds < 5; seconds += 1) await clock.advance(1_000);
    expect([count, healedCount()]).toEqual([1, 0]);
    expect(manager.directories.map(({ isOnline }) => isOnline)).toEqual([true, false]);
    await manager.close(9);
  });

  test("ends the start if it is the first: the metadata lies there", async () => {
    const { disk, open } = world();
    disk.setRules([{ operations: ["mkdir"], path: "/a", fault: { kind: "error", code: "EROFS" } }]);
    await expect(open()).rejects.toThrow(DirectoryError);
    await expect((await world().open(["/a"])).close(null)).resolves.toBeUndefined();
  });
});

test("a new directory is durable with its parents before anything is in it", async () => {
  const { disk, open } = world();
  const calls: string[] = [];
  disk.setRecorder(({ operation, path }) => calls.push(`${operation} ${path}`));
  await (await open(["/var/lib/a"])).close(null);
  const order = [
    "mkdir /var/lib/a",
    "syncDir /var/lib",
    "syncDir /var",
    "syncDir /",
    "create /var/lib/a/meta.properties.tmp",
  ];
  expect(calls.filter((call) => order.includes(call))).toEqual(order);
});

test("what a process has made of a new directory that was killed is durable before anything is made in it", async () => {
  const { memory } = world();
  // Who made it has died before the names were durable.
  await memory.mkdir("/var/lib/a");
  const first = world(memory);
  const calls: string[] = [];
  first.disk.setRecorder(({ operation, path }) => calls.push(`${operation} ${path}`));
  await (await first.open(["/var/lib/a"])).close(null);
  expect(calls).toEqual(expect.arrayContaining(["syncDir /var/lib", "syncDir /var", "syncDir /"]));
  // The same again, with meta.properties, and without the mark of an orderly stop.
  await memory.remove("/var/lib/a/.kafka_cleanshutdown");
  calls.length = 0;
  const second = world(memory);
  second.disk.setRecorder(({ operation, path }) => calls.push(`${operation} ${path}`));
  const manager = await second.open(["/var/lib/a"]);
  (await manager.openLog(partition(0), CONFIG)).append(batchOf(1), CLIENT);
  await settle();
  const made = calls.indexOf("mkdir /var/lib/a/topic-0");
  expect(made).toBeGreaterThan(0);
  expect(calls.slice(0, made)).toContain("syncDir /var/lib/a");
  await manager.close(null);
});

test("a directory of a topic that nobody knows keeps no later stop from being clean", async () => {
  const { memory, open } = world();
  const first = await open(["/a"]);
  const log = await first.openLog(partition(0), CONFIG);
  log.append(batchOf(4), CLIENT);
  await settle();
  memory.freeLocks();
  // The process was killed; the next one does not know the topic.
  const second = await world(memory).open(["/a"]);
  second.finishStart();
  await settle();
  await second.close(7);
  const third = await world(memory).open(["/a"]);
  expect(third.previousBrokerEpoch).toBe(7);
  expect((await third.openLog(partition(0), CONFIG)).logEndOffset).toBe(4);
  await third.close(8);
});

test("a deletion that is stopped on its way is finished by the next start", async () => {
  const { disk, memory, open } = world();
  const manager = await open(["/a"]);
  const log = await manager.openLog(partition(0), FLUSHED);
  log.append(batchOf(4), CLIENT);
  await log.flush();
  disk.setRules([{ operations: ["remove"], after: 1, fault: { kind: "error", code: "EMFILE" } }]);
  await manager.deleteLog("topic", 0);
  await settle();
  const left = (): string[] => memory.directories().filter((path) => path.includes("topic"));
  expect(left()).toHaveLength(1);
  await manager.close(null);
  const next = await world(memory).open(["/a"]);
  await settle();
  expect(left()).toEqual([]);
  await next.close(null);
});

test("a failed sync of a directory is not tried again, by nobody (R9)", async () => {
  const { disk, memory } = world();
  await memory.mkdir("/a");
  let count = 0;
  disk.setRecorder(() => (count += 1));
  disk.setRules([{ operations: ["syncDir"], fault: EIO }]);
  const sync = new DirectorySync(disk, "/a");
  const callers = [sync.sync(), sync.sync(), sync.sync()];
  expect(await Promise.allSettled(callers)).toMatchObject([
    { reason: { code: "EIO" } },
    { reason: { code: "EIO" } },
    { reason: { code: "EIO" } },
  ]);
  await expect(sync.sync()).rejects.toMatchObject({ code: "EIO" });
  expect(count).toBe(1);
});
