import { describe, expect, test } from "vitest";
import { DiskError } from "../../src/base/disk.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { batchBaseOffset, batchLeaderEpoch } from "../../src/protocol/records/batch.ts";
import { Log, type LogConfig } from "../../src/storage/log.ts";
import { batchOf, CLIENT, CONFIG, DIRECTORY, logWorld, readAll } from "./support/log-world.ts";
import { settle } from "./support/manual-clock.ts";
import type { ScriptedDisk } from "./support/scripted-disk.ts";

const SIZE = batchOf(1).length;
/** Three batches a segment. */
const SMALL: Partial<LogConfig> = { segmentBytes: 3 * SIZE, indexIntervalBytes: 1 };

function file(baseOffset: number, suffix: string): string {
  return `${DIRECTORY}/${String(baseOffset).padStart(20, "0")}${suffix}`;
}

/** A log with so many batches of one record, all flushed and finished. */
async function filled(count: number, config: Partial<LogConfig> = SMALL) {
  const world = logWorld();
  const log = await world.open(config);
  for (let i = 0; i < count; i += 1) log.append(batchOf(1), CLIENT);
  await log.flush();
  await settle();
  return { ...world, log };
}

function opensAgain(disk: ScriptedDisk, recoveryPoint: number, config = SMALL): Promise<Log> {
  return logWorld(disk.clone()).open(config, { recoveryPoint });
}

const offsets = (batches: readonly Buffer[]): number[] =>
  batches.map((each) => batchBaseOffset(each));
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, i) => from + i);

function changesOf(disk: ScriptedDisk, from: number): string[] {
  const kinds = ["remove", "truncate", "datasync", "syncDir", "rename"];
  return disk.calls
    .slice(from)
    .filter(({ operation }) => kinds.includes(operation))
    .map(({ operation, path }) => `${operation} ${path.slice(DIRECTORY.length + 1)}`);
}

describe("truncateTo", () => {
  test("drops whole segments newest first, cuts the one that stays, and is durable when it resolves (S15)", async () => {
    const { log, disk } = await filled(10);
    const before = disk.calls.length;
    await log.truncateTo(4);
    const changes = changesOf(disk, before);
    const logs = changes.filter(
      (change) => change.endsWith(".log") || change.startsWith("syncDir"),
    );
    expect(logs.slice(0, 5)).toEqual([
      "remove 00000000000000000009.log",
      "remove 00000000000000000006.log",
      "truncate 00000000000000000003.log",
      "datasync 00000000000000000003.log",
      "syncDir ",
    ]);
    expect(log.logEndOffset).toBe(4);
    expect(log.flushedEndOffset).toBe(4);
    expect(log.segmentBaseOffsets).toEqual([0, 3]);
  });

  test("goes on where it was cut, as if the rest had never been (S10, S11)", async () => {
    const world = logWorld();
    const log = await world.open(SMALL);
    const of = (sequence: number, epoch: number): void => {
      log.append(batchOf(1, 20, { producerId: 7, producerEpoch: 0, baseSequence: sequence }), {
        leaderEpoch: epoch,
        origin: "client",
      });
    };
    for (let i = 0; i < 8; i += 1) of(i, i < 5 ? 1 : 2);
    await log.truncateTo(4);
    expect(log.latestLeaderEpoch).toBe(1);
    expect(() => of(8, 3)).toThrow(
      expect.objectContaining({ errorName: "OUT_OF_ORDER_SEQUENCE_NUMBER" }),
    );
    for (let i = 4; i < 8; i += 1) of(i, 3);
    await log.flush();
    const batches = await readAll(log);
    expect(offsets(batches)).toEqual(range(0, 8));
    expect(batches.map((batch) => batchLeaderEpoch(batch))).toEqual([1, 1, 1, 1, 3, 3, 3, 3]);
    expect(log.endOffsetForEpoch(1)).toEqual({ leaderEpoch: 1, endOffset: 4 });
    const again = await opensAgain(world.disk, log.flushedEndOffset);
    expect(offsets(await readAll(again))).toEqual(range(0, 8));
    expect(again.endOffsetForEpoch(1)).toEqual({ leaderEpoch: 1, endOffset: 4 });
  });

  test("takes a batch that reaches beyond the offset as a whole", async () => {
    const { open } = logWorld();
    const log = await open();
    for (const count of [3, 5, 2]) log.append(batchOf(count), CLIENT);
    await log.truncateTo(6);
    expect(log.logEndOffset).toBe(3);
    await log.truncateTo(6);
    expect(log.logEndOffset).toBe(3);
  });

  test("also of what is not written yet, and of a segment's border", async () => {
    const { open } = logWorld();
    const log = await open(SMALL);
    for (let i = 0; i < 7; i += 1) log.append(batchOf(1), CLIENT);
    await log.truncateTo(3);
    expect(log.logEndOffset).toBe(3);
    expect(offsets(await readAll(log))).toEqual([0, 1, 2]);
    log.append(batchOf(1), CLIENT);
    await log.flush();
    expect(offsets(await readAll(log))).toEqual([0, 1, 2, 3]);
  });

  test("lowers the checkpoints before it changes anything", async () => {
    const world = logWorld();
    const told: { limits: object; flushed: number; calls: number }[] = [];
    const log = await world.open(SMALL, {
      beforeTruncation: (limits) => {
        const flushed = log.flushedEndOffset;
        told.push({ limits, flushed, calls: changesOf(world.disk, 0).length });
        return Promise.resolve();
      },
    });
    for (let i = 0; i < 8; i += 1) log.append(batchOf(1), CLIENT);
    await log.flush();
    await settle();
    const before = changesOf(world.disk, 0).length;
    await log.truncateTo(4);
    expect(told).toEqual([
      { limits: { endOffset: 4, logStartOffset: 0 }, flushed: 4, calls: before },
    ]);
  });

  test("lowers them to where the log ends then, when a batch reaches beyond the offset", async () => {
    const world = logWorld();
    const limits: unknown[] = [];
    const log = await world.open(SMALL, {
      beforeTruncation: (given) => {
        limits.push(given);
        return Promise.resolve();
      },
    });
    log.append(batchOf(1), CLIENT);
    log.append(batchOf(3), CLIENT);
    await log.flush();
    await log.truncateTo(2);
    expect(limits).toEqual([{ endOffset: 1, logStartOffset: 0 }]);
    expect(log.logEndOffset).toBe(1);
  });

  test("cut off at any call, it leaves the log as it was or a beginning of it (S3, S6, S15)", async () => {
    const { log, disk } = await filled(10);
    const bytes = (await readAll(log)).map((batch) => Buffer.from(batch));
    const image = disk.clone();
    const before = disk.calls.length;
    await log.truncateTo(4);
    const callCount = disk.calls.length - before;
    expect(callCount).toBeGreaterThan(15);
    for (let calls = 0; calls <= callCount; calls += 1) {
      const world = logWorld(image.clone());
      const one = await world.open(SMALL, { recoveryPoint: 10 });
      world.disk.killAfter(calls);
      void one.truncateTo(4);
      await settle();
      const again = await opensAgain(world.disk, 4);
      const left = await readAll(again);
      expect(left, `after ${calls} calls`).toEqual(bytes.slice(0, left.length));
      expect(left.length).toBeGreaterThanOrEqual(4);
    }
  });

  test("whoever reads meanwhile gets what is there afterwards", async () => {
    const { log, disk } = await filled(9);
    const release = disk.hold("truncate", ".log");
    const truncating = log.truncateTo(4);
    await settle();
    const options = { offset: 0, maxBytes: 10_000, minOneBatch: true };
    const reading = log.read({ ...options, endOffset: 4 });
    await settle();
    release();
    await truncating;
    expect((await reading).nextOffset).toBe(3);
    await expect(log.read({ ...options, offset: 5, endOffset: 9 })).rejects.toMatchObject({
      errorName: "OFFSET_OUT_OF_RANGE",
    });
  });

  test.each(["truncate", "remove", "syncDir"] as const)(
    "a %s that fails is final, and nothing is appended any more (R9)",
    async (operation) => {
      const { log, disk } = await filled(9);
      disk.fail(operation, operation === "truncate" ? "3.log" : "", "EIO");
      await expect(log.truncateTo(4)).rejects.toMatchObject({ errorName: "KAFKA_STORAGE_ERROR" });
      expect(log.failure?.code).toBe("EIO");
      expect(() => log.append(batchOf(1), CLIENT)).toThrow(
        expect.objectContaining({ errorName: "KAFKA_STORAGE_ERROR" }),
      );
      await log.close();
    },
  );
});

describe("truncateFullyAndStartAt", () => {
  test.each([50, 3])(
    "leaves an empty log that goes on at %d, also after a crash",
    async (offset) => {
      const { log, disk } = await filled(10);
      await log.truncateFullyAndStartAt(offset);
      expect([log.logStartOffset, log.logEndOffset]).toEqual([offset, offset]);
      expect(log.latestLeaderEpoch).toBe(-1);
      const empty = await opensAgain(disk, 0);
      expect([empty.logStartOffset, empty.logEndOffset]).toEqual([offset, offset]);
      log.append(batchOf(2), CLIENT);
      await log.flush();
      const again = await opensAgain(disk, offset);
      expect([again.logStartOffset, again.logEndOffset]).toEqual([offset, offset + 2]);
    },
  );

  test("makes the directory of a log that nothing was written to", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    await log.truncateFullyAndStartAt(7);
    const again = await opensAgain(disk, 0);
    expect([again.logStartOffset, again.logEndOffset]).toEqual([7, 7]);
  });
});

describe("removeSegmentsBelow", () => {
  test("removes whole inactive segments, the oldest first, each durably (S13, S15)", async () => {
    const { log, disk } = await filled(10);
    const before = disk.calls.length;
    expect(await log.removeSegmentsBelow(8, "test")).toBe(2);
    expect([log.logStartOffset, log.segmentBaseOffsets]).toEqual([6, [6, 9]]);
    const changes = changesOf(disk, before).filter(
      (change) => change.endsWith(".log") || change.startsWith("syncDir"),
    );
    expect(changes).toEqual([
      "rename 00000000000000000000.log",
      "syncDir ",
      "rename 00000000000000000003.log",
      "syncDir ",
    ]);
    expect(await log.removeSegmentsBelow(100, "test")).toBe(1);
    // Never the active one.
    expect(log.segmentBaseOffsets).toEqual([9]);
    expect(offsets(await readAll(log))).toEqual([9]);
  });

  test("the files go after file.delete.delay.ms, or with the next start", async () => {
    const { log, disk, clock } = await filled(10, { ...SMALL, fileDeleteDelayMs: 1_000 });
    await log.removeSegmentsBelow(3, "test");
    expect(disk.exists(file(0, ".log.deleted"))).toBe(true);
    const early = disk.clone();
    await clock.advance(999);
    expect(disk.exists(file(0, ".log.deleted"))).toBe(true);
    await clock.advance(1);
    expect(disk.names(DIRECTORY).filter((name) => name.endsWith(".deleted"))).toEqual([]);
    await logWorld(early).open(SMALL, { recoveryPoint: 10 });
    expect(early.names(DIRECTORY).filter((name) => name.endsWith(".deleted"))).toEqual([]);
  });

  test("a reader that holds a segment sees it through; the next one is out of range", async () => {
    const { log, disk } = await filled(10);
    const release = disk.hold("read", "0.log");
    const options = { offset: 0, endOffset: 10, maxBytes: 10_000, minOneBatch: true };
    const reading = log.read(options);
    await settle();
    const removing = log.removeSegmentsBelow(3, "test");
    await settle();
    release();
    expect((await reading).nextOffset).toBe(3);
    expect(await removing).toBe(1);
    await expect(log.read(options)).rejects.toMatchObject({ errorName: "OFFSET_OUT_OF_RANGE" });
  });

  test("the segment that follows is durable before the last one with batches goes", async () => {
    const { log, disk } = await filled(3);
    expect(log.rollSegment()).toBe(true);
    await settle();
    const created = disk.calls.findIndex(({ path }) => path === file(3, ".log"));
    await log.removeSegmentsBelow(3, "test");
    const renamed = disk.calls.findIndex(
      ({ operation, path }) => operation === "rename" && path === file(0, ".log"),
    );
    expect(created).toBeGreaterThan(-1);
    expect(renamed).toBeGreaterThan(created);
    const between = disk.calls.slice(created, renamed);
    expect(between.some(({ operation }) => operation === "syncDir")).toBe(true);
    const again = await opensAgain(disk, 3);
    expect([again.logStartOffset, again.logEndOffset]).toEqual([3, 3]);
  });

  test("waits until the file that follows is there, for else the log could begin at 0 again", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    log.append(batchOf(2), CLIENT);
    await settle();
    const release = disk.hold("open", file(2, ".log"));
    log.rollSegment();
    // The old segment is finished before the new one has a file.
    await log.flush();
    const removing = log.removeSegmentsBelow(2, "test");
    await settle();
    expect(disk.exists(file(0, ".log"))).toBe(true);
    release();
    expect(await removing).toBe(1);
    expect(disk.exists(file(2, ".log"))).toBe(true);
  });

  test("cut off at any call, what is left has no gap and all that was kept (S13, S15)", async () => {
    const { log, disk } = await filled(10);
    const image = disk.clone();
    const before = disk.calls.length;
    await log.removeSegmentsBelow(9, "test");
    const callCount = disk.calls.length - before;
    for (let calls = 0; calls <= callCount; calls += 1) {
      const world = logWorld(image.clone());
      const one = await world.open(SMALL, { recoveryPoint: 10 });
      world.disk.killAfter(calls);
      void one.removeSegmentsBelow(9, "test");
      await settle();
      const again = await opensAgain(world.disk, 10);
      const left = offsets(await readAll(again));
      expect(left, `after ${calls} calls`).toEqual(range(again.logStartOffset, 10));
      expect([0, 3, 6, 9]).toContain(again.logStartOffset);
    }
  });
});

describe("advanceLogStartOffset", () => {
  test("hides what lies below at once, and removes segments that are all below", async () => {
    const { log } = await filled(10);
    const advancing = log.advanceLogStartOffset(5);
    expect(log.logStartOffset).toBe(5);
    await advancing;
    expect(log.segmentBaseOffsets).toEqual([3, 6, 9]);
    expect(offsets(await readAll(log))).toEqual(range(5, 10));
    await log.advanceLogStartOffset(2);
    expect(log.logStartOffset).toBe(5);
    await log.advanceLogStartOffset(10);
    expect([log.logStartOffset, log.logEndOffset]).toEqual([10, 10]);
    log.append(batchOf(1), CLIENT);
    await log.flush();
    expect(offsets(await readAll(log))).toEqual([10]);
  });
});

describe("segments", () => {
  test("are summed up with what they hold, without being read twice", async () => {
    const world = logWorld();
    const log = await world.open(SMALL);
    for (let i = 0; i < 5; i += 1) log.append(batchOf(1, 20, { timestampMs: 1_000 + i }), CLIENT);
    await log.flush();
    const expected = [
      { baseOffset: 0, endOffset: 3, sizeBytes: 3 * SIZE, maxTimestampMs: 1_002, isActive: false },
      { baseOffset: 3, endOffset: 5, sizeBytes: 2 * SIZE, maxTimestampMs: 1_004, isActive: true },
    ];
    expect(await log.segmentSummaries()).toEqual(expected);
    expect(log.sizeBytes).toBe(5 * SIZE);
    await log.close();
    const again = logWorld(world.disk.clone());
    const reopened = await again.open(SMALL, { isClean: true, recoveryPoint: 5 });
    expect(reopened.sizeBytes).toBe(5 * SIZE);
    expect(await reopened.segmentSummaries()).toEqual(expected);
    const calls = again.disk.calls.length;
    await reopened.segmentSummaries();
    expect(again.disk.calls.length).toBe(calls);
  });

  test("roll on demand, unless they are empty, and the one before is finished", async () => {
    const { log, disk } = await filled(2, {});
    expect(log.rollSegment()).toBe(true);
    expect(log.rollSegment()).toBe(false);
    await settle();
    expect(log.segmentBaseOffsets).toEqual([0, 2]);
    expect((await log.segmentSummaries()).map(({ isActive }) => isActive)).toEqual([false, true]);
    for (const name of [file(0, ".index"), file(0, ".timeindex"), file(2, ".snapshot")]) {
      expect(disk.count("datasync", name), name).toBe(1);
    }
    log.append(batchOf(1), CLIENT);
    await log.flush();
    expect(disk.count("open", file(2, ".log"))).toBe(1);
  });

  test("roll earlier by a random part of segment.jitter.ms, each by its own", async () => {
    const agesAt = async (seed: number): Promise<number> => {
      const world = logWorld();
      const config = { ...CONFIG, segmentMs: 10_000, segmentJitterMs: 9_000 };
      const log = await Log.open(
        { ...world.dependencies, random: new SeededRandom(seed) },
        { directory: DIRECTORY, config },
      );
      const startMs = 1_800_000_000_000;
      for (let ageMs = 0; ageMs <= 10_100; ageMs += 100) {
        log.append(batchOf(1, 20, { timestampMs: startMs + ageMs }), CLIENT);
        if (log.segmentBaseOffsets.length > 1) return ageMs;
      }
      return Infinity;
    };
    const ages = await Promise.all([1, 2, 3, 4].map(agesAt));
    expect(new Set(ages).size).toBeGreaterThan(1);
    for (const ageMs of ages) {
      expect(ageMs).toBeGreaterThan(1_000);
      expect(ageMs).toBeLessThanOrEqual(10_100);
    }
  });

  test("of a compacted topic roll in time for max.compaction.lag.ms", async () => {
    const { open } = logWorld();
    const cleanupPolicy = { compacts: true, deletes: false };
    const log = await open({ cleanupPolicy, maxCompactionLagMs: 500 });
    for (const ageMs of [0, 500, 501]) {
      log.append(batchOf(1, 20, { timestampMs: 1_800_000_000_000 + ageMs }), CLIENT);
    }
    expect(log.segmentBaseOffsets).toEqual([0, 2]);
    await settle();
  });
});

describe("replaceSegments", () => {
  test("nobody reads the old ones while files move, and all read the new one afterwards", async () => {
    const { log, disk } = await filled(10);
    // The batch at 1 was overwritten by a later one, say.
    const kept = Buffer.concat([0, 2, 3, 4, 5].map((i) => batchAt(disk, i)));
    let release = (): void => undefined;
    const until = new Promise<void>((resolve) => {
      release = resolve;
    });
    const replacing = log.replaceSegments(log.segments.list.slice(0, 2), async () => {
      await until;
      disk.put(file(0, ".log"), kept);
      for (const suffix of [".index", ".timeindex"]) await disk.remove(file(0, suffix));
      await disk.rename(file(3, ".log"), file(3, ".log.deleted"));
      return [file(3, ".log.deleted")];
    });
    await settle();
    const reading = log.read({ offset: 1, endOffset: 10, maxBytes: 10_000, minOneBatch: true });
    await settle();
    release();
    expect(await replacing).toBe(true);
    expect(batchBaseOffset((await reading).records)).toBe(2);
    expect(log.segmentBaseOffsets).toEqual([0, 6, 9]);
    expect(offsets(await readAll(log))).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(log.sizeBytes).toBe(9 * SIZE);
  });

  test("is refused when one of them has gone, or takes batches", async () => {
    const { log } = await filled(10);
    const segments = new Map(log.segments.list.map((each) => [each.baseOffset, each]));
    await log.removeSegmentsBelow(3, "test");
    const never = (): Promise<never> => Promise.reject(new Error("must not be called"));
    for (const bases of [[0, 3], [3, 9], [9], [6, 9]]) {
      const old = bases.map((base) => segments.get(base)!);
      expect(await log.replaceSegments(old, never), String(bases)).toBe(false);
    }
  });

  test("is refused when the log was cut meanwhile, though a segment begins there again", async () => {
    const { log } = await filled(10);
    const old = log.segments.list.slice(0, 2);
    void log.truncateTo(9);
    const never = (): Promise<never> => Promise.reject(new Error("must not be called"));
    expect(await log.replaceSegments(old, never)).toBe(false);
    expect(log.segmentBaseOffsets.slice(0, 2)).toEqual([0, 3]);
  });
});

describe("heal", () => {
  const options = { flushMessages: 1 } as const;

  test.each([
    ["write", "writev", ".log"],
    ["creation of a segment", "open", ".log"],
    ["write of the epochs", "writev", "leader-epoch-checkpoint.tmp"],
    ["rename of the epochs", "rename", "leader-epoch-checkpoint.tmp"],
  ] as const)(
    "a %s that found no room: nothing is acked or lost, and the log goes on",
    async (_name, operation, path) => {
      const { open, disk } = logWorld();
      const log = await open(options);
      const heard: string[] = [];
      log.setListener({
        onAdvance: () => undefined,
        onFailure: (error) => heard.push(`failed: ${error.code}`),
        onHealed: () => heard.push("healed"),
      });
      const isWrite = operation === "writev" && path === ".log";
      // Files exist already, or are made by the batch that finds no room.
      if (isWrite) {
        log.append(batchOf(3), CLIENT);
        await log.flush();
      }
      const acked = log.flushedEndOffset;
      disk.fail(operation, path, "ENOSPC");
      log.append(batchOf(1), CLIENT);
      await settle();
      expect(log.failure?.code).toBe("ENOSPC");
      expect(log.flushedEndOffset).toBe(acked);
      await expect(log.flush()).rejects.toMatchObject({ errorName: "KAFKA_STORAGE_ERROR" });
      disk.allow();
      await log.heal();
      expect(log.failure).toBeNull();
      expect(heard[0]).toBe("failed: ENOSPC");
      expect(heard.at(-1)).toBe("healed");
      const end = log.logEndOffset;
      expect(end).toBeGreaterThanOrEqual(acked);
      log.append(batchOf(2), CLIENT);
      await log.flush();
      expect(log.logEndOffset).toBe(end + 2);
      expect(offsets(await readAll(log))[0]).toBe(0);
      const again = await opensAgain(disk, log.flushedEndOffset, options);
      expect(again.logEndOffset).toBe(end + 2);
    },
  );

  test("keeps all that was written, synced or not", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    log.append(batchOf(3), CLIENT);
    await settle();
    disk.fail("writev", ".log", "ENOSPC");
    log.append(batchOf(1), CLIENT);
    await settle();
    disk.allow();
    await log.heal();
    expect([log.logEndOffset, log.flushedEndOffset]).toEqual([3, 3]);
  });

  test("is not for a failed sync, nor for EIO: these are final (R9)", async () => {
    for (const [operation, code] of [
      ["datasync", "ENOSPC"],
      ["writev", "EIO"],
    ] as const) {
      const { open, disk } = logWorld();
      const log = await open(options);
      disk.fail(operation, ".log", code);
      log.append(batchOf(1), CLIENT);
      await settle();
      disk.allow();
      await expect(log.heal()).rejects.toMatchObject({ code });
      expect(log.failure?.code).toBe(code);
    }
  });

  test("a failure that cannot heal takes the place of one that could, and is told", async () => {
    const { open, disk } = logWorld();
    const log = await open(options);
    const heard: string[] = [];
    log.setListener({ onAdvance: () => undefined, onFailure: ({ code }) => heard.push(code) });
    disk.fail("writev", ".log", "ENOSPC");
    log.append(batchOf(1), CLIENT);
    await settle();
    log.fail(new DiskError("EIO", DIRECTORY, "datasync"));
    log.fail(new DiskError("ENOSPC", DIRECTORY, "writev"));
    expect(heard).toEqual(["ENOSPC", "EIO"]);
    await expect(log.heal()).rejects.toMatchObject({ code: "EIO" });
  });

  test("of a log that is well does nothing", async () => {
    const { log, disk } = await filled(1);
    const calls = disk.calls.length;
    await log.heal();
    expect(disk.calls.length).toBe(calls);
  });
});

test("a flush that waits when the log is abandoned is refused", async () => {
  const { open, disk } = logWorld();
  const log = await open();
  log.append(batchOf(1), CLIENT);
  const release = disk.hold("datasync", ".log");
  const flushing = log.flush();
  flushing.catch(() => undefined);
  await settle();
  const abandoning = log.abandon();
  await expect(flushing).rejects.toMatchObject({ errorName: "NOT_LEADER_OR_FOLLOWER" });
  release();
  await abandoning;
});

function batchAt(disk: ScriptedDisk, index: number): Buffer {
  const base = index - (index % 3);
  const from = (index % 3) * SIZE;
  return disk.content(file(base, ".log")).subarray(from, from + SIZE);
}
