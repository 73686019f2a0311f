import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loopTurn } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import type { Uuid } from "../../src/base/ids.ts";
import {
  DirectoryError,
  LogManager,
  type LogManagerOptions,
  type PartitionId,
} from "../../src/storage/log-manager.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { batchOf, checkpointText, CLIENT, CONFIG, logWorld } from "./support/log-world.ts";
import { settle } from "./support/manual-clock.ts";
import { ScriptedDisk } from "./support/scripted-disk.ts";

const TOPIC_A = "AAAAAAAAAAAAAAAAAAAAAQ" as Uuid;
const TOPIC_B = "AAAAAAAAAAAAAAAAAAAAAg" as Uuid;
const ONE_DIR = { logDirs: ["/data"], nodeId: 1, clusterId: null } as const;

let seed = 0;

function managerWorld(disk = new ScriptedDisk()) {
  const world = logWorld(disk);
  seed += 1;
  const dependencies = { ...world.dependencies, random: new SeededRandom(seed) };
  const start = (options: Partial<LogManagerOptions> = {}): Promise<LogManager> =>
    LogManager.open(dependencies, { ...ONE_DIR, ...options });
  return { ...world, start };
}

function partition(partitionIndex: number, topicId = TOPIC_A): PartitionId {
  return { topic: "topic", partitionIndex, topicId };
}

async function codeOf(opening: Promise<unknown>): Promise<string> {
  try {
    await opening;
  } catch (error) {
    if (error instanceof DirectoryError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "opened";
}

describe("whose directory it is", () => {
  test("an empty one becomes this node's, durably, before anything is in it", async () => {
    const { disk, start } = managerWorld();
    const manager = await start();
    const text = String(disk.content("/data/meta.properties"));
    const { directoryId } = manager.directories[0]!;
    expect(text.replace(/#crc32c=[0-9a-f]{8}\n$/, "")).toBe(
      `node.id=1\ndirectory.id=${directoryId}\nversion=1\ncluster.id=${manager.clusterId}\n`,
    );
    const calls = disk.calls.map(({ operation, path }) => `${operation} ${path}`);
    const order = [
      "datasync /data/meta.properties.tmp",
      "rename /data/meta.properties.tmp",
      "syncDir /data",
    ].map((call) => calls.indexOf(call));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order[0]).toBeGreaterThan(-1);
    expect(manager.previousBrokerEpoch).toBeNull();
    await manager.close(null);
  });

  test("it keeps its ids over restarts, and gives its cluster id to a new one beside it", async () => {
    const { start, disk } = managerWorld();
    const first = await start();
    await first.close(null);
    const both = await managerWorld(disk).start({ logDirs: ["/other", "/data/"] });
    expect(both.clusterId).toBe(first.clusterId);
    expect(both.directories[1]).toEqual(first.directories[0]);
    expect(both.directories[0]!.directoryId).not.toBe(first.directories[0]!.directoryId);
    expect(String(disk.content("/other/meta.properties"))).toContain(
      `cluster.id=${first.clusterId}`,
    );
    await both.close(null);
  });

  test("a directory of Kafka's is taken, comments and all", async () => {
    const { start, disk } = managerWorld();
    await disk.memory.mkdir("/data");
    disk.put(
      "/data/meta.properties",
      Buffer.from(
        "#\n#Mon Nov 23 07:00:00 UTC 2026\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAABQ\nversion=1\ncluster.id=abc\n",
      ),
    );
    const manager = await start();
    expect(manager.clusterId).toBe("abc");
    await manager.close(null);
  });

  test.each<[string, Partial<LogManagerOptions>, RegExp]>([
    ["another node", { nodeId: 2 }, /^OTHER_NODE: .*\/data belongs to node 1.*node\.id=1/],
    ["another cluster", { clusterId: "other" }, /^OTHER_CLUSTER: .*\/data belongs to cluster/],
  ])("%s is refused, and may try again", async (_name, options, message) => {
    const { start, disk } = managerWorld();
    await (await start()).close(null);
    expect(await codeOf(managerWorld(disk).start(options))).toMatch(message);
    await (await start()).close(null);
  });

  test("a second broker is refused while the first lives", async () => {
    const { start, disk } = managerWorld();
    const first = await start();
    expect(await codeOf(managerWorld(disk).start())).toMatch(/^LOCKED: .*\/data is in use/);
    await first.close(null);
    await (await managerWorld(disk).start()).close(null);
  });

  test.each([
    ["noise", "\0\0\0"],
    ["an old version", "version=0\nbroker.id=1\ncluster.id=abc\n"],
    ["no cluster", "version=1\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAABQ\n"],
    ["no directory id", "version=1\nnode.id=1\ncluster.id=abc\n"],
  ])("meta.properties with %s is named, with the way out", async (_name, text) => {
    const { start, disk } = managerWorld();
    await disk.memory.mkdir("/data");
    disk.put("/data/meta.properties", Buffer.from(text));
    expect(await codeOf(start())).toMatch(/^DAMAGED_META: \/data\/meta\.properties .*restore it/);
  });

  test("logs without meta.properties are not taken for an empty directory", async () => {
    const { start, disk } = managerWorld();
    await disk.memory.mkdir("/data/topic-0");
    expect(await codeOf(start())).toMatch(/^DAMAGED_META: .*holds logs \(topic-0\)/);
  });

  test("a directory that cannot be written is named", async () => {
    const { start, disk } = managerWorld();
    disk.fail("mkdir", "/data", "EACCES");
    expect(await codeOf(start())).toMatch(/^NOT_WRITABLE: log directory \/data .*EACCES/);
  });
});

describe("partitions", () => {
  test("are spread over the directories, and found again", async () => {
    const { start, disk } = managerWorld();
    const logDirs = ["/a", "/b"];
    const manager = await start({ logDirs });
    const ids = [0, 1, 2, 3, 4, 5].map((index) => partition(index));
    const logs = await Promise.all(ids.map((id) => manager.openLog(id, CONFIG)));
    expect(disk.names("/a").filter((name) => name.startsWith("topic"))).toEqual([]);
    for (const log of logs) log.append(batchOf(1), CLIENT);
    await settle();
    const count = (root: string): number =>
      disk.names(root).filter((name) => name.endsWith("partition.metadata")).length;
    expect([count("/a"), count("/b")]).toEqual([3, 3]);
    expect(String(disk.content(`${manager.log("topic", 4)!.directory}/partition.metadata`))).toBe(
      `version: 0\ntopic_id: ${TOPIC_A}`,
    );
    manager.log("topic", 4)!.append(batchOf(3), CLIENT);
    await manager.close(9);
    const again = await managerWorld(disk).start({ logDirs });
    expect(
      again.partitionsOnDisk().toSorted((a, b) => a.partitionIndex - b.partitionIndex),
    ).toEqual(ids);
    expect(again.log("topic", 4)).toBeUndefined();
    const log = await again.openLog(partition(4), CONFIG);
    expect(log.logEndOffset).toBe(4);
    expect(await again.openLog(partition(4), CONFIG)).toBe(log);
    await again.close(9);
  });

  test("those made at once sync nothing, and share the syncs of their parent when they are written", async () => {
    const { start, disk } = managerWorld();
    const manager = await start();
    const before = disk.count("syncDir", "/data");
    const logs = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        manager.openLog(partition(index), { ...CONFIG, flushMessages: 1 }),
      ),
    );
    expect(disk.count("datasync", "partition.metadata")).toBe(0);
    expect(disk.count("syncDir", "/data") - before).toBe(0);
    const release = disk.hold("syncDir", "/data");
    for (const log of logs) log.append(batchOf(1), CLIENT);
    await settle();
    release();
    await settle();
    expect(disk.count("datasync", "partition.metadata")).toBe(10);
    expect(logs.every((log) => log.safeEndOffset === 1)).toBe(true);
    expect(disk.count("syncDir", "/data") - before).toBe(2);
    await manager.close(null);
  });

  test("a directory of another topic id is moved aside, never reused (E16)", async () => {
    const { start, disk, said } = managerWorld();
    const manager = await start();
    const old = await manager.openLog(partition(0), CONFIG);
    old.append(batchOf(5), CLIENT);
    await old.flush();
    const log = await manager.openLog(partition(0, TOPIC_B), CONFIG);
    expect(log.logEndOffset).toBe(0);
    expect(log.latestLeaderEpoch).toBe(-1);
    log.append(batchOf(1), CLIENT);
    const stray = disk.names("/data").filter((name) => /^topic-0\.[0-9a-f]{32}-stray\//.test(name));
    expect(stray.some((name) => name.endsWith("/00000000000000000000.log"))).toBe(true);
    expect(said.some(({ message }) => message.includes("another topic"))).toBe(true);
    await manager.close(null);
    const again = await managerWorld(disk).start();
    expect(again.partitionsOnDisk()).toEqual([partition(0, TOPIC_B)]);
    await again.close(null);
  });

  test("is the topic's own with any bit of its partition.metadata flipped (E14)", async () => {
    const { start, disk } = managerWorld();
    const manager = await start();
    (await manager.openLog(partition(0), CONFIG)).append(batchOf(4), CLIENT);
    await manager.close(1);
    const path = "/data/topic-0/partition.metadata";
    const good = disk.content(path);
    for (let bit = 0; bit < 8 * good.length; bit += 1) {
      const copy = disk.clone();
      const bytes = Buffer.from(good);
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      copy.put(path, bytes);
      const again = await managerWorld(copy).start();
      expect((await again.openLog(partition(0), CONFIG)).logEndOffset, `bit ${bit}`).toBe(4);
      expect(copy.content(path)).toEqual(good);
      await again.close(1);
    }
  });

  test("one that a crash left without its metadata is a stray if it has data, else it is used", async () => {
    const { start, disk } = managerWorld();
    const manager = await start();
    for (const index of [0, 1]) await manager.openLog(partition(index), CONFIG);
    manager.log("topic", 1)!.append(batchOf(1), CLIENT);
    await manager.close(null);
    await disk.memory.mkdir("/data/topic-0");
    for (const index of [0, 1])
      disk.put(`/data/topic-${index}/partition.metadata`, Buffer.alloc(10));
    const again = await managerWorld(disk).start();
    expect(again.partitionsOnDisk()).toEqual([]);
    for (const index of [0, 1]) {
      expect((await again.openLog(partition(index), CONFIG)).logEndOffset).toBe(0);
    }
    const strays = disk.names("/data").filter((name) => name.includes("-stray/"));
    expect(strays.every((name) => name.startsWith("topic-1."))).toBe(true);
    expect(strays.length).toBeGreaterThan(0);
    await again.close(null);
  });

  test("a deleted one is gone, and its name free, also when the process dies on the way", async () => {
    const { start, disk } = managerWorld();
    const manager = await start();
    const log = await manager.openLog(partition(0), CONFIG);
    log.append(batchOf(5), CLIENT);
    await log.flush();
    await manager.deleteLog("topic", 0);
    await manager.deleteLog("topic", 7);
    await settle();
    expect(disk.names("/data").filter((name) => name.startsWith("topic"))).toEqual([]);
    expect(manager.partitionsOnDisk()).toEqual([]);
    expect(() => log.append(batchOf(1), CLIENT)).toThrow(
      expect.objectContaining({ errorName: "NOT_LEADER_OR_FOLLOWER" }),
    );
    const next = await manager.openLog(partition(0, TOPIC_B), CONFIG);
    expect(next.logEndOffset).toBe(0);
    next.append(batchOf(1), CLIENT);
    await next.flush();
    await disk.memory.mkdir(`/data/topic-3.${"a".repeat(32)}-delete`);
    await disk.memory.rename("/data/topic-0", `/data/topic-0.${"b".repeat(32)}-delete`);
    await manager.close(null);
    const later = await managerWorld(disk.clone()).start();
    await settle();
    expect(later.partitionsOnDisk()).toEqual([]);
    await later.close(null);
  });

  test("a recovery point of a deleted log is not taken for one of its successor", async () => {
    const { start, disk, clock } = managerWorld();
    const manager = await start({ checkpointIntervalMs: 100 });
    const log = await manager.openLog(partition(0), CONFIG);
    for (let i = 0; i < 9; i += 1) log.append(batchOf(1), CLIENT);
    await log.flush();
    await clock.advance(100);
    expect(checkpointText(disk.content("/data/recovery-point-offset-checkpoint"))).toBe(
      "0\n1\ntopic 0 9\n",
    );
    await manager.deleteLog("topic", 0);
    const next = await manager.openLog(partition(0, TOPIC_B), CONFIG);
    next.append(batchOf(2), CLIENT);
    await settle();
    const after = await managerWorld(disk.clone()).start();
    const reopened = await after.openLog(partition(0, TOPIC_B), CONFIG);
    expect(reopened.failure).toBeNull();
    expect(reopened.logEndOffset).toBe(2);
    await after.close(null);
  });
});

describe("a topic that is deleted and made anew", () => {
  test("while its batches are written is a new one, on a disk that is well", async () => {
    const directory = mkdtempSync(join(tmpdir(), "holdfast-logs-"));
    try {
      const { dependencies, said } = logWorld();
      const manager = await LogManager.open(
        { ...dependencies, disk: new NodeDisk(), random: new SeededRandom(1) },
        { ...ONE_DIR, logDirs: [directory] },
      );
      for (let round = 0; round < 8; round += 1) {
        const id = partition(0, round % 2 === 0 ? TOPIC_A : TOPIC_B);
        const log = await manager.openLog(id, CONFIG);
        expect(log.logEndOffset).toBe(0);
        log.append(batchOf(1), CLIENT);
        await log.flush();
        // More than one system call takes: the deletion comes between two parts of one write.
        for (let i = 0; i < 1_400; i += 1) log.append(batchOf(1, 150), CLIENT);
        for (let turn = 0; turn <= round % 3; turn += 1) await loopTurn();
        await manager.deleteLog("topic", 0);
        expect(log.failure).toBeNull();
      }
      expect(said).toEqual([]);
      expect(manager.directories[0]!.isOnline).toBe(true);
      await manager.close(null);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test("after its creation was refused takes nothing offline", async () => {
    const { start, disk } = managerWorld();
    await (await start()).close(null);
    await disk.memory.mkdir("/data/topic-0");
    const manager = await start();
    const other = await manager.openLog(partition(1), CONFIG);
    disk.fail("list", "/topic-0", "EMFILE");
    await expect(manager.openLog(partition(0), CONFIG)).rejects.toMatchObject({
      errorName: "KAFKA_STORAGE_ERROR",
    });
    await manager.deleteLog("topic", 0);
    expect(manager.directories[0]!.isOnline).toBe(true);
    expect(other.failure).toBeNull();
    expect(manager.partitionsOnDisk()).toEqual([partition(1)]);
    await manager.close(null);
  });

  test.each([
    ["first", ["/a", "/b"]],
    ["last", ["/b", "/a"]],
  ])("is found by its id when the old one's directory is back, as the %s", async (_at, logDirs) => {
    const { start, disk } = managerWorld();
    const manager = await start({ logDirs: ["/a", "/b"] });
    const old = await manager.openLog(partition(0), CONFIG);
    expect(old.directory).toBe("/a/topic-0");
    old.append(batchOf(1), CLIENT);
    await old.flush();
    disk.fail("datasync", "/a/topic-0/00000000000000000000.log", "EIO");
    old.append(batchOf(1), CLIENT);
    await expect(old.flush()).rejects.toThrow("EIO");
    await manager.deleteLog("topic", 0);
    const log = await manager.openLog(partition(0, TOPIC_B), CONFIG);
    for (let i = 0; i < 5; i += 1) log.append(batchOf(1), CLIENT);
    await manager.close(1);
    const again = await managerWorld(disk.clone()).start({ logDirs });
    const found = await again.openLog(partition(0, TOPIC_B), CONFIG);
    expect([found.directory, found.logEndOffset]).toEqual(["/b/topic-0", 5]);
    expect(again.partitionsOnDisk()).toEqual([partition(0, TOPIC_B)]);
    expect(again.log("topic", 0)).toBe(found);
    await again.close(2);
  });
});

describe("a clean stop", () => {
  test("leaves the mark with the broker epoch, which the next start takes away for good (R5)", async () => {
    const { start, disk } = managerWorld();
    const manager = await start();
    await manager.openLog(partition(0), CONFIG);
    await manager.close(11);
    expect(String(disk.content("/data/.kafka_cleanshutdown"))).toBe(
      '{"version":0,"brokerEpoch":11}',
    );
    const world = managerWorld(disk.clone());
    const again = await world.start();
    expect(again.previousBrokerEpoch).toBe(11);
    expect(world.disk.exists("/data/.kafka_cleanshutdown")).toBe(false);
    const calls = world.disk.calls.map(({ operation, path }) => `${operation} ${path}`);
    expect(calls.indexOf("syncDir /data")).toBeGreaterThan(
      calls.indexOf("remove /data/.kafka_cleanshutdown"),
    );
    const unclean = await managerWorld(world.disk.clone()).start();
    expect(unclean.previousBrokerEpoch).toBeNull();
    await unclean.close(null);
    await again.close(null);
  });

  test("of a node that was never registered is clean, but names no epoch", async () => {
    const { start, disk } = managerWorld();
    await (await start()).close(null);
    expect(String(disk.content("/data/.kafka_cleanshutdown"))).toBe(
      '{"version":0,"brokerEpoch":-1}',
    );
    const again = await managerWorld(disk).start();
    expect(again.previousBrokerEpoch).toBeNull();
    await again.close(null);
  });

  test("is one only if all directories had one", async () => {
    const { start, disk } = managerWorld();
    const logDirs = ["/a", "/b"];
    await (await start({ logDirs })).close(5);
    await disk.memory.remove("/b/.kafka_cleanshutdown");
    const again = await managerWorld(disk).start({ logDirs });
    expect(again.previousBrokerEpoch).toBeNull();
    await again.close(null);
  });

  test("is not claimed while a partition still has to be recovered", async () => {
    const { start, disk } = managerWorld();
    const manager = await start();
    for (const index of [0, 1]) await manager.openLog(partition(index), CONFIG);
    manager.log("topic", 1)!.append(batchOf(2), CLIENT);
    await settle();
    const killed = disk.clone();
    const second = await managerWorld(killed).start();
    await second.openLog(partition(0), CONFIG);
    await second.close(3);
    expect(killed.exists("/data/.kafka_cleanshutdown")).toBe(false);
    const third = await managerWorld(killed).start();
    for (const index of [0, 1]) await third.openLog(partition(index), CONFIG);
    expect(third.log("topic", 1)!.logEndOffset).toBe(2);
    await third.close(3);
    expect(killed.exists("/data/.kafka_cleanshutdown")).toBe(true);
    await manager.close(null);
  });
});

describe("checkpoints", () => {
  test("are written now and then, whole, and only when something has changed", async () => {
    const { start, disk, clock } = managerWorld();
    const manager = await start({
      checkpointIntervalMs: 60_000,
      highWatermarkCheckpointIntervalMs: 5_000,
    });
    manager.setHighWatermarkSource((_topic, index) => (index === 0 ? 2 : undefined));
    const log = await manager.openLog(partition(0), CONFIG);
    const other = await manager.openLog(partition(1), CONFIG);
    for (const one of [log, other]) one.append(batchOf(3), CLIENT);
    await settle();
    await log.flush();
    await clock.advance(5_000);
    expect(checkpointText(disk.content("/data/replication-offset-checkpoint"))).toBe(
      "0\n2\ntopic 0 2\ntopic 1 3\n",
    );
    expect(checkpointText(disk.content("/data/recovery-point-offset-checkpoint"))).toBe(
      "0\n2\ntopic 0 3\ntopic 1 0\n",
    );
    expect(disk.exists("/data/log-start-offset-checkpoint")).toBe(false);
    await clock.advance(55_000);
    expect(disk.exists("/data/log-start-offset-checkpoint")).toBe(true);
    const writes = disk.count("rename");
    await clock.advance(60_000);
    expect(disk.count("rename")).toBe(writes);
    await manager.close(null);
  });

  test("tell damage from a torn tail five seconds after the sync (R10)", async () => {
    const { start, disk, clock } = managerWorld();
    const manager = await start();
    const log = await manager.openLog(partition(0), { ...CONFIG, flushMessages: 1 });
    for (let i = 0; i < 10; i += 1) log.append(batchOf(1), CLIENT);
    await log.flush();
    await clock.advance(5_000);
    const killed = disk.clone();
    const path = "/data/topic-0/00000000000000000000.log";
    const content = killed.content(path);
    const flippedAt = content.length - 1;
    content.writeUInt8(content.readUInt8(flippedAt) ^ 1, flippedAt);
    killed.put(path, content);
    const after = await managerWorld(killed).start();
    expect((await after.openLog(partition(0), CONFIG)).logEndOffset).toBe(10);
    expect(killed.content(path)).toEqual(content);
    await manager.close(null);
  });

  test("what a start has recovered the next one does not go over again, however soon it comes", async () => {
    const { start, disk } = managerWorld();
    const log = await (await start()).openLog(partition(0), CONFIG);
    log.append(batchOf(10), CLIENT);
    await settle();
    const killed = disk.clone();
    const again = await managerWorld(killed).start();
    await again.openLog(partition(0), CONFIG);
    again.finishStart();
    await settle();
    expect(checkpointText(killed.content("/data/recovery-point-offset-checkpoint"))).toBe(
      "0\n1\ntopic 0 10\n",
    );
  });

  test("of partitions that nobody has opened are kept", async () => {
    const { start, disk } = managerWorld();
    const manager = await start();
    for (const index of [0, 1]) {
      (await manager.openLog(partition(index), CONFIG)).append(batchOf(4), CLIENT);
    }
    await manager.close(1);
    const again = await managerWorld(disk).start();
    await again.openLog(partition(1), CONFIG);
    expect(again.checkpointedHighWatermark("topic", 0)).toBe(4);
    await again.close(1);
    expect(checkpointText(disk.content("/data/recovery-point-offset-checkpoint"))).toBe(
      "0\n2\ntopic 0 4\ntopic 1 4\n",
    );
  });

  test("a damaged one costs a longer scan, no more (E14)", async () => {
    const { start, disk } = managerWorld();
    const manager = await start();
    (await manager.openLog(partition(0), CONFIG)).append(batchOf(4), CLIENT);
    await manager.close(1);
    for (const name of disk
      .names("/data")
      .filter((one) => one.endsWith("checkpoint") && !one.includes("/"))) {
      disk.put(`/data/${name}`, Buffer.from("0\n7\nrubbish"));
    }
    const again = await managerWorld(disk).start();
    expect((await again.openLog(partition(0), CONFIG)).logEndOffset).toBe(4);
    await again.close(1);
  });
});

describe("a failed disk takes its directory offline for ever, and no other (R9)", () => {
  test("with all its logs", async () => {
    const { start, disk } = managerWorld();
    const manager = await start({ logDirs: ["/a", "/b"] });
    const logs = await Promise.all(
      [0, 1, 2, 3].map((index) => manager.openLog(partition(index), CONFIG)),
    );
    const inA = logs.filter((log) => log.directory.startsWith("/a/"));
    const inB = logs.filter((log) => log.directory.startsWith("/b/"));
    disk.fail("datasync", `${inA[0]!.directory}/00000000000000000000.log`, "EIO");
    for (const log of logs) log.append(batchOf(1), CLIENT);
    await expect(inA[0]!.flush()).rejects.toMatchObject({ errorName: "KAFKA_STORAGE_ERROR" });
    expect(inA.map((log) => log.failure?.code)).toEqual(["EIO", "EIO"]);
    expect(inB.map((log) => log.failure)).toEqual([null, null]);
    expect(manager.directories.map(({ isOnline }) => isOnline)).toEqual([false, true]);
    const next = await manager.openLog(partition(9), CONFIG);
    expect(next.directory).toBe("/b/topic-9");
    const broken = inA[0]!.directory.endsWith("0") ? 0 : 1;
    await manager.deleteLog("topic", broken);
    await manager.close(4);
    expect(disk.exists("/a/.kafka_cleanshutdown")).toBe(false);
    expect(disk.exists("/b/.kafka_cleanshutdown")).toBe(true);
  });

  test("and with one that was being opened", async () => {
    const { start, disk } = managerWorld();
    const manager = await start();
    const log = await manager.openLog(partition(0), { ...CONFIG, flushMessages: 1 });
    const release = disk.hold("mkdir", "/topic-1");
    const opening = manager.openLog(partition(1), CONFIG);
    await settle();
    disk.fail("datasync", "/topic-0/00000000000000000000.log", "EIO");
    log.append(batchOf(1), CLIENT);
    await settle();
    expect(manager.directories[0]!.isOnline).toBe(false);
    release();
    expect((await opening).failure?.code).toBe("EIO");
    await manager.close(null);
  });

  test("a checkpoint that cannot be written, too", async () => {
    const { start, disk, clock } = managerWorld();
    const manager = await start();
    await manager.openLog(partition(0), CONFIG);
    disk.fail("writev", "checkpoint.tmp", "EIO");
    await clock.advance(60_000);
    expect(manager.directories[0]!.isOnline).toBe(false);
    expect(manager.log("topic", 0)!.failure?.code).toBe("EIO");
    await expect(manager.openLog(partition(1), CONFIG)).rejects.toMatchObject({
      errorName: "KAFKA_STORAGE_ERROR",
    });
    await manager.close(null);
  });

  test("but a log that is damaged is not offline: what is good of it is served (R10)", async () => {
    const { start, disk } = managerWorld();
    const manager = await start();
    for (const index of [0, 1]) {
      (await manager.openLog(partition(index), CONFIG)).append(batchOf(4), CLIENT);
    }
    await manager.close(1);
    await disk.memory.remove("/data/.kafka_cleanshutdown");
    const path = "/data/topic-0/00000000000000000000.log";
    disk.put(path, Buffer.alloc(100));
    const again = await managerWorld(disk).start();
    const damaged = await again.openLog(partition(0), CONFIG);
    expect(damaged.append(batchOf(1), CLIENT).baseOffset).toBe(4);
    expect((await again.openLog(partition(1), CONFIG)).logEndOffset).toBe(4);
    expect(again.directories[0]!.isOnline).toBe(true);
    await again.close(1);
    expect(disk.content(path)).toEqual(Buffer.alloc(100));
    expect(checkpointText(disk.content("/data/recovery-point-offset-checkpoint"))).toContain(
      "topic 0 5\n",
    );
  });
});

test("idempotent producers are forgotten after producer.id.expiration.ms", async () => {
  const { start, clock } = managerWorld();
  const manager = await start({ producerIdExpirationMs: () => 1_000_000 });
  const log = await manager.openLog(partition(0), CONFIG);
  const send = (baseSequence: number): (() => unknown) => {
    const batch = batchOf(1, 5, { producerId: 3, producerEpoch: 0, baseSequence });
    return () => log.append(batch, CLIENT);
  };
  send(0)();
  await clock.advance(600_000);
  expect(send(9)).toThrow(expect.objectContaining({ errorName: "OUT_OF_ORDER_SEQUENCE_NUMBER" }));
  await clock.advance(600_000);
  send(9)();
  await manager.close(null);
});
