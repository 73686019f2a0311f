import { describe, expect, test } from "vitest";
import { batchNextOffset } from "../../src/protocol/records/batch.ts";
import { Log, type LogConfig, type LogOptions } from "../../src/storage/log.ts";
import {
  batchOf,
  checkpointText,
  CLIENT,
  CONFIG,
  DIRECTORY,
  logWorld,
  readAll,
} from "./support/log-world.ts";
import { settle } from "./support/manual-clock.ts";
import type { ScriptedDisk } from "./support/scripted-disk.ts";

const SIZE = batchOf(1).length;
const SMALL: Partial<LogConfig> = { segmentBytes: 5 * SIZE, indexIntervalBytes: 1 };

const file = (base: number, suffix: string): string =>
  `${DIRECTORY}/${String(base).padStart(20, "0")}${suffix}`;

/** A disk as a killed process leaves it: so many batches of one record, written, not closed. */
async function killed(batchCount: number, config: Partial<LogConfig> = {}): Promise<ScriptedDisk> {
  const { disk, open } = logWorld();
  const log = await open(config);
  for (let i = 0; i < batchCount; i += 1) {
    log.append(
      batchOf(1, 20, {
        timestampMs: 1_800_000_000_000 + i,
        producerId: 10 + (i % 3),
        producerEpoch: 0,
        baseSequence: Math.floor(i / 3),
      }),
      { leaderEpoch: Math.floor(i / 8), origin: "client" },
    );
  }
  await settle();
  return disk.clone();
}

/** The same after an orderly stop. */
async function closed(batchCount: number, config: Partial<LogConfig> = {}): Promise<ScriptedDisk> {
  const { disk, open } = logWorld(await killed(batchCount, config));
  await (await open(config)).close();
  return disk.clone();
}

/** Opens a copy of the disk, and shows what is found. */
async function recovered(
  disk: ScriptedDisk,
  config: Partial<LogConfig> = {},
  options: Partial<Omit<LogOptions, "config">> = {},
) {
  const world = logWorld(disk.clone());
  const log = await world.open(config, options);
  return { ...world, log };
}

describe("a torn tail is cut at a batch border", () => {
  test("wherever in the last batch it was torn (E1)", async () => {
    const whole = await killed(3);
    const bytes = whole.content(file(0, ".log"));
    for (let length = 2 * SIZE; length <= 3 * SIZE; length += 1) {
      const torn = whole.clone();
      torn.put(file(0, ".log"), bytes.subarray(0, length));
      const { log, disk } = await recovered(torn);
      const expected = length === 3 * SIZE ? 3 : 2;
      expect(log.logEndOffset, `torn at ${length}`).toBe(expected);
      expect(disk.content(file(0, ".log")).length).toBe(expected * SIZE);
      expect(log.flushedEndOffset).toBe(expected);
    }
  });

  test("when its bytes are zeros behind any byte of it (E18, S17)", async () => {
    const whole = await killed(3);
    const bytes = whole.content(file(0, ".log"));
    for (let from = 2 * SIZE; from < 3 * SIZE; from += 1) {
      const torn = whole.clone();
      // 4 KiB more: the file had grown for batches that never came.
      torn.put(file(0, ".log"), Buffer.concat([bytes.subarray(0, from), Buffer.alloc(4096)]));
      const { log } = await recovered(torn);
      // The last bytes of a batch may be zeros of its own.
      const isWhole = bytes.subarray(from).every((byte) => byte === 0);
      expect(log.logEndOffset, `zeros from ${from}`).toBe(isWhole ? 3 : 2);
    }
  });

  test("when any one bit of it is flipped", async () => {
    const whole = await killed(3);
    const bytes = whole.content(file(0, ".log"));
    for (let bit = 2 * SIZE * 8; bit < 3 * SIZE * 8; bit += 1) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const torn = whole.clone();
      torn.put(file(0, ".log"), damaged);
      const { log } = await recovered(torn);
      // No checksum covers the leader epoch (protocol guide): a higher one looks like a new leader's.
      const at = (bit >> 3) - 2 * SIZE;
      const isHigherEpoch = at >= 12 && at < 16 && bit !== (2 * SIZE + 12) * 8 + 7;
      expect(log.logEndOffset, `bit ${bit}`).toBe(isHigherEpoch ? 3 : 2);
      await log.close();
    }
  });

  test("and appending goes on from there, with the same bytes as ever", async () => {
    const torn = await killed(3);
    torn.put(file(0, ".log"), torn.content(file(0, ".log")).subarray(0, 3 * SIZE - 1));
    const { log, open, disk } = await recovered(torn);
    const next = batchOf(4);
    expect(log.append(next, CLIENT)).toMatchObject({ baseOffset: 2, lastOffset: 5 });
    await log.close();
    const again = await open({}, { isClean: true });
    expect((await readAll(again)).map((batch) => batchNextOffset(batch))).toEqual([1, 2, 6]);
    expect(disk.content(file(0, ".log")).length).toBe(2 * SIZE + next.length);
  });

  test("the cut is durable before anything is appended", async () => {
    const torn = await killed(3);
    torn.put(file(0, ".log"), torn.content(file(0, ".log")).subarray(0, 3 * SIZE - 1));
    const { disk } = await recovered(torn);
    const calls = disk.calls.map(({ operation }) => operation);
    expect(calls.indexOf("datasync")).toBeGreaterThan(calls.indexOf("truncate"));
    expect(calls.indexOf("truncate")).toBeGreaterThan(-1);
  });
});

describe("damage above the recovery point", () => {
  test("in a rolled segment cuts all that follows, newest first, and says so", async () => {
    const disk = await killed(17, SMALL);
    const bytes = disk.content(file(5, ".log"));
    bytes.writeUInt8(bytes.readUInt8(2 * SIZE + 70) ^ 1, 2 * SIZE + 70);
    disk.put(file(5, ".log"), bytes);
    const { log, said, disk: after } = await recovered(disk, SMALL, { recoveryPoint: 6 });
    expect(log.logEndOffset).toBe(7);
    expect(log.segmentBaseOffsets).toEqual([0, 5]);
    const removed = after.calls.filter(
      ({ operation, path }) => operation === "remove" && path.endsWith(".log"),
    );
    expect(removed.map(({ path }) => path)).toEqual([file(15, ".log"), file(10, ".log")]);
    expect(said).toContainEqual(
      expect.objectContaining({
        level: "warn",
        facts: expect.objectContaining({
          logEndOffset: 7,
          cutBytes: 3 * SIZE,
          removedSegments: [10, 15],
          isFollowedByValidBatch: true,
        }) as unknown,
      }),
    );
  });

  test("a segment that lost its end whole leaves no gap behind", async () => {
    const disk = await killed(12, SMALL);
    disk.put(file(5, ".log"), disk.content(file(5, ".log")).subarray(0, 3 * SIZE));
    const { log } = await recovered(disk, SMALL);
    expect(log.logEndOffset).toBe(8);
    expect(log.segmentBaseOffsets).toEqual([0, 5]);
  });

  test("snapshots and epochs from beyond the cut are gone (S10, S11)", async () => {
    const disk = await killed(17, SMALL);
    disk.put(file(5, ".log"), disk.content(file(5, ".log")).subarray(0, 2 * SIZE));
    const { log, disk: after } = await recovered(disk, SMALL);
    expect(log.latestLeaderEpoch).toBe(0);
    expect(checkpointText(after.content(`${DIRECTORY}/leader-epoch-checkpoint`))).toBe(
      "0\n1\n0 0\n",
    );
    const snapshots = after.names(DIRECTORY).filter((name) => name.endsWith(".snapshot"));
    expect(snapshots).toEqual(["00000000000000000005.snapshot"]);
  });
});

test("recovery leaves the producers at each border of segments, as rolling does (S11)", async () => {
  const whole = await closed(17, SMALL);
  const borders = [5, 10, 15].map((offset) => file(offset, ".snapshot"));
  const disk = whole.clone();
  for (const path of borders) await disk.memory.remove(path);
  const { disk: after } = await recovered(disk, SMALL);
  for (const path of borders) expect(after.content(path), path).toEqual(whole.content(path));
});

describe("damage below the recovery point (S4, S16, R10)", () => {
  test.each<[string, (disk: ScriptedDisk) => void]>([
    [
      "a flipped bit",
      (disk) => {
        const bytes = disk.content(file(5, ".log"));
        bytes.writeUInt8(bytes.readUInt8(SIZE + 70) ^ 1, SIZE + 70);
        disk.put(file(5, ".log"), bytes);
      },
    ],
    [
      "a file that is too short",
      (disk) => disk.put(file(5, ".log"), disk.content(file(5, ".log")).subarray(0, 2 * SIZE)),
    ],
    ["an empty last segment", (disk) => disk.put(file(5, ".log"), Buffer.alloc(0))],
  ])("%s is kept, and the log goes on behind its durable point", async (_name, damage) => {
    const disk = await killed(9, SMALL);
    damage(disk);
    const { log, said, disk: after } = await recovered(disk, SMALL, { recoveryPoint: 8 });
    expect(log.failure).toBeNull();
    // What was good above the point comes after damage, so only the flipped bit leaves it readable.
    expect(log.logEndOffset).toBeGreaterThanOrEqual(8);
    expect(after.content(file(0, ".log"))).toEqual(disk.content(file(0, ".log")));
    expect(after.content(file(5, ".log"))).toEqual(disk.content(file(5, ".log")));
    expect(said.filter(({ level }) => level === "error")).toMatchObject([
      { facts: { recoveryPoint: 8, damagedCount: 1 } },
    ]);
    const before = { offset: 0, endOffset: 5, maxBytes: 10_000, minOneBatch: true };
    expect((await log.read(before)).nextOffset).toBe(5);
    const { baseOffset } = log.append(batchOf(1), { leaderEpoch: 1, origin: "client" });
    expect(baseOffset).toBe(log.logEndOffset - 1);
    await log.close();
    // Nothing of what was durable is cut by the next start either (S4, S6).
    const again = await recovered(after, SMALL, { recoveryPoint: baseOffset + 1 });
    expect(again.log.logEndOffset).toBe(baseOffset + 1);
    await again.log.close();
  });

  test("is not looked for in segments that were flushed whole: that is the readers' matter", async () => {
    const disk = await killed(12, SMALL);
    const { disk: after } = await recovered(disk, SMALL, { recoveryPoint: 10 });
    expect(after.count("read", file(0, ".log"))).toBe(0);
    expect(after.count("read", file(5, ".log"))).toBe(0);
  });
});

describe("what stands beside the log is made anew when it is not right (E14, S9)", () => {
  const everySuffix = [".index", ".timeindex", ".snapshot"] as const;
  const damages: [string, (content: Buffer) => Buffer | null][] = [
    ["missing", () => null],
    ["empty", () => Buffer.alloc(0)],
    ["zeros", (content) => Buffer.alloc(content.length)],
    ["cut short", (content) => content.subarray(0, content.length - 5)],
    ["noise", (content) => Buffer.from(content.map((byte, i) => byte ^ ((i * 37 + 11) & 0xff)))],
  ];

  const cases = everySuffix.flatMap((suffix) =>
    damages.map(([name, damage]) => ({ suffix, name, damage })),
  );

  test.each(cases)(
    "$suffix files $name, after a clean stop and after a kill",
    async ({ suffix, damage }) => {
      const good = await closed(17, SMALL);
      for (const isClean of [true, false]) {
        const disk = good.clone();
        for (const name of disk.names(DIRECTORY).filter((one) => one.endsWith(suffix))) {
          const content = damage(disk.content(`${DIRECTORY}/${name}`));
          if (content === null) await disk.memory.remove(`${DIRECTORY}/${name}`);
          else disk.put(`${DIRECTORY}/${name}`, content);
        }
        const { log, disk: after } = await recovered(disk, SMALL, { isClean, recoveryPoint: 17 });
        expect(log.failure).toBeNull();
        expect((await readAll(log, 0, SIZE)).length).toBe(17);
        // Each producer's last batch is known again, and its next one is the next.
        for (const index of [14, 15, 16]) {
          const producer = { producerId: 10 + (index % 3), producerEpoch: 0 };
          const repeat = batchOf(1, 20, { ...producer, baseSequence: Math.floor(index / 3) });
          expect(log.append(repeat, { leaderEpoch: 2, origin: "client" })).toMatchObject({
            kind: "duplicate",
            baseOffset: index,
          });
        }
        await log.close();
        if (suffix === ".snapshot") continue;
        for (const name of good.names(DIRECTORY).filter((one) => one.endsWith(suffix))) {
          expect(after.content(`${DIRECTORY}/${name}`), name).toEqual(
            good.content(`${DIRECTORY}/${name}`),
          );
        }
      }
    },
  );

  test.each([
    ["missing", null],
    ["zeros", Buffer.alloc(12)],
    ["of another epoch", Buffer.from("0\n2\n0 0\n9 8\n")],
    ["of an epoch that came later", Buffer.from("0\n1\n7 0\n")],
  ])("the leader epochs %s", async (_name, content) => {
    const good = await closed(17, SMALL);
    for (const isClean of [true, false]) {
      const disk = good.clone();
      const path = `${DIRECTORY}/leader-epoch-checkpoint`;
      if (content === null) await disk.memory.remove(path);
      else disk.put(path, content);
      const { log, disk: after } = await recovered(disk, SMALL, { isClean, recoveryPoint: 17 });
      expect(log.failure).toBeNull();
      expect(log.logEndOffset).toBe(17);
      expect([0, 7, 8, 16].map((offset) => log.leaderEpochAt(offset))).toEqual([0, 0, 1, 2]);
      log.append(batchOf(1), { leaderEpoch: 2, origin: "client" });
      await log.close();
      expect(checkpointText(after.content(path))).toBe("0\n3\n0 0\n1 8\n2 16\n");
    }
  });

  test("temporary files and indexes without a segment are swept away", async () => {
    const disk = await closed(3);
    disk.put(`${DIRECTORY}/leader-epoch-checkpoint.tmp`, Buffer.from("0\n"));
    disk.put(file(99, ".index"), Buffer.alloc(8));
    const { disk: after } = await recovered(disk);
    expect(after.names(DIRECTORY).some((name) => name.endsWith(".tmp"))).toBe(false);
    expect(after.exists(file(99, ".index"))).toBe(false);
  });
});

describe("a clean start", () => {
  test("reads only the end, and finds all as it was", async () => {
    const disk = await closed(17, SMALL);
    const { log, disk: after } = await recovered(disk, SMALL, { isClean: true, recoveryPoint: 17 });
    expect(log.logEndOffset).toBe(17);
    expect(log.flushedEndOffset).toBe(17);
    expect(log.latestLeaderEpoch).toBe(2);
    const opened = after.calls.filter(
      ({ operation, path }) => operation === "read" && path.endsWith(".log"),
    );
    expect(new Set(opened.map(({ path }) => path))).toEqual(new Set([file(15, ".log")]));
    expect(after.count("writev") + after.count("datasync")).toBe(0);
  });

  test("goes on with the indexes as if there had been no stop", async () => {
    const config = { indexIntervalBytes: 3 * SIZE };
    const unbroken = logWorld();
    const log = await unbroken.open(config);
    for (let i = 0; i < 40; i += 1) log.append(batchOf(1), CLIENT);
    await log.close();
    const broken = logWorld();
    for (let i = 0; i < 40; i += 1) {
      const part = await broken.open(config, { isClean: i > 0 });
      part.append(batchOf(1), CLIENT);
      await part.close();
    }
    for (const suffix of [".log", ".index", ".timeindex"]) {
      expect(broken.disk.content(file(0, suffix))).toEqual(unbroken.disk.content(file(0, suffix)));
    }
  });

  test("an empty log is opened and closed without a trace", async () => {
    const { open, disk } = logWorld();
    await (await open()).close();
    expect(disk.names(DIRECTORY)).toEqual([]);
    const log = await open({}, { isClean: true });
    expect(log.logEndOffset).toBe(0);
  });
});

test("recovering twice is recovering once, also when the first time was cut off (S6)", async () => {
  const torn = await killed(17, SMALL);
  torn.put(file(10, ".log"), torn.content(file(10, ".log")).subarray(0, 4 * SIZE + 30));
  const once = await recovered(torn, SMALL, { recoveryPoint: 6 });
  const expected = await readAll(once.log, 0, SIZE);
  expect(expected.length).toBe(14);
  const callCount = once.disk.calls.length;
  for (let after = 0; after < callCount; after += 1) {
    const disk = torn.clone();
    disk.killAfter(after);
    await Promise.race([logWorld(disk).open(SMALL, { recoveryPoint: 6 }), settle()]);
    const { log } = await recovered(disk, SMALL, { recoveryPoint: 6 });
    expect(await readAll(log, 0, SIZE)).toEqual(expected);
    await log.close();
  }
});

test("recovery gives the event loop a turn after every 5 ms of work", async () => {
  const disk = await killed(600);
  const { clock, dependencies } = logWorld(disk);
  let turns = 0;
  const busy = {
    ...dependencies,
    clock: {
      wallMs: () => clock.wallMs(),
      after: clock.after.bind(clock),
      // Every look at the clock finds that three milliseconds have passed.
      nowMs: () => {
        void clock.advance(3);
        return clock.nowMs();
      },
      afterPoll: (callback: () => void) => {
        turns += 1;
        clock.afterPoll(callback);
      },
    },
  };

  const log = await Log.open(busy, { directory: DIRECTORY, config: CONFIG });
  expect(log.logEndOffset).toBe(600);
  expect(turns).toBeGreaterThanOrEqual(4);
});
