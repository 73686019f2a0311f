import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DiskError } from "../../src/base/disk.ts";
import { InlineOffload } from "../../src/server/offload.ts";
import {
  batchBaseOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
  batchNextOffset,
  batchTimestampType,
  isBatchCrcValid,
} from "../../src/protocol/records/batch.ts";
import type { Log } from "../../src/storage/log.ts";
import {
  batchOf,
  checkpointText,
  CLIENT,
  CONFIG,
  DIRECTORY,
  logWorld,
  readAll,
  split,
} from "./support/log-world.ts";
import { settle } from "./support/manual-clock.ts";

const offload = await InlineOffload.open();
const T0 = 1_800_000_000_000;

function listen(log: Log): { advanced: number; failures: DiskError[] } {
  const heard = { advanced: 0, failures: [] as DiskError[] };
  log.setListener({
    onAdvance: () => {
      heard.advanced += 1;
    },
    onFailure: (error) => heard.failures.push(error),
  });
  return heard;
}

describe("append", () => {
  test("gives offsets at once and stamps them in place, with the checksum intact", async () => {
    const { open } = logWorld();
    const log = await open();
    const batches = [batchOf(3), batchOf(1), batchOf(2)];
    const results = batches.map((batch) => log.append(batch, { leaderEpoch: 4, origin: "client" }));
    expect(results.map(({ baseOffset, lastOffset }) => [baseOffset, lastOffset])).toEqual([
      [0, 2],
      [3, 3],
      [4, 5],
    ]);
    expect(log.logEndOffset).toBe(6);
    expect(log.writtenEndOffset).toBe(0);
    for (const batch of batches) expect(isBatchCrcValid(batch)).toBe(true);
    expect(batches.map((batch) => batchLeaderEpoch(batch))).toEqual([4, 4, 4]);
    await settle();
    expect(log.writtenEndOffset).toBe(6);
    expect(await readAll(log)).toEqual(batches);
  });

  test("writes what one turn brought in one write, as it came", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    const chunk = Buffer.concat([batchOf(1), batchOf(2), batchOf(3)]);
    for (const batch of split(chunk)) log.append(batch, CLIENT);
    await settle();
    expect(disk.count("writev", ".log")).toBe(1);
    expect(disk.content(`${DIRECTORY}/00000000000000000000.log`)).toEqual(chunk);
  });

  test("refuses a batch that no segment can hold", async () => {
    const { open } = logWorld();
    const log = await open({ segmentBytes: 100 });
    expect(() => log.append(batchOf(1, 100), CLIENT)).toThrow(
      expect.objectContaining({ errorName: "RECORD_LIST_TOO_LARGE" }),
    );
    expect(log.logEndOffset).toBe(0);
  });

  test("answers a repeat with the old offsets and writes nothing (X2)", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    const producer = { producerId: 5, producerEpoch: 0 };
    log.append(batchOf(2), CLIENT);
    log.append(batchOf(3, 20, { ...producer, baseSequence: 0 }), CLIENT);
    await log.flush();
    const writes = disk.count("writev");
    const repeat = log.append(batchOf(3, 20, { ...producer, baseSequence: 0 }), CLIENT);
    expect(repeat).toMatchObject({ kind: "duplicate", baseOffset: 2, lastOffset: 4 });
    expect(log.logEndOffset).toBe(5);
    await settle();
    expect(disk.count("writev")).toBe(writes);
  });

  test("knows a repeat of a batch that is not even written yet", async () => {
    const { open } = logWorld();
    const log = await open();
    const batch = (): Buffer =>
      batchOf(1, 20, { producerId: 5, producerEpoch: 0, baseSequence: 0 });
    log.append(batch(), CLIENT);
    expect(log.append(batch(), CLIENT).kind).toBe("duplicate");
  });

  test("checks a client's timestamps against their window, and nobody else's", async () => {
    const { open, clock } = logWorld();
    const log = await open({ timestampBeforeMaxMs: 1_000, timestampAfterMaxMs: 500 });
    const at = (delta: number): Buffer => batchOf(1, 20, { timestampMs: clock.wallMs() + delta });
    for (const good of [-1_000, 0, 500]) log.append(at(good), CLIENT);
    for (const bad of [-1_001, 501]) {
      expect(() => log.append(at(bad), CLIENT)).toThrow(
        expect.objectContaining({ errorName: "INVALID_TIMESTAMP" }),
      );
    }
    log.append(at(99_999), { leaderEpoch: 0, origin: "coordinator" });
    expect(log.logEndOffset).toBe(4);
  });

  test("with LogAppendTime sets the broker's time, and the checksum right", async () => {
    const { open, clock } = logWorld();
    const log = await open({ timestampType: "LogAppendTime", timestampAfterMaxMs: 0 });
    const batch = batchOf(2, 20, { timestampMs: 5 });
    expect(log.append(batch, CLIENT).logAppendTimeMs).toBe(clock.wallMs());
    expect(batchTimestampType(batch)).toBe("LogAppendTime");
    expect(batchMaxTimestamp(batch)).toBe(clock.wallMs());
    expect(isBatchCrcValid(batch)).toBe(true);
    const own = batchOf(1, 20, { timestampMs: 5 });
    expect(log.append(own, { leaderEpoch: 0, origin: "coordinator" }).logAppendTimeMs).toBe(-1);
    expect(batchMaxTimestamp(own)).toBe(5);
  });
});

describe("a new segment begins", () => {
  const names = (disk: { names: (directory: string) => string[] }): string[] =>
    disk.names(DIRECTORY).filter((name) => name.endsWith(".log"));

  test("before a batch that would make it too large", async () => {
    const { open, disk } = logWorld();
    const size = batchOf(1).length;
    const log = await open({ segmentBytes: 3 * size });
    for (let i = 0; i < 7; i += 1) log.append(batchOf(1), CLIENT);
    await log.flush();
    expect(names(disk)).toEqual([0, 3, 6].map((base) => `${String(base).padStart(20, "0")}.log`));
    expect(disk.content(`${DIRECTORY}/00000000000000000003.log`).length).toBe(3 * size);
    expect((await readAll(log)).length).toBe(7);
  });

  test("when the batches' own times say that it is too old", async () => {
    const { open } = logWorld();
    const log = await open({ segmentMs: 1_000 });
    for (const timestampMs of [T0, T0 + 1_000, T0 + 1_001, T0 + 1_002]) {
      log.append(batchOf(1, 20, { timestampMs }), CLIENT);
    }
    await log.flush();
    expect(log.segmentBaseOffsets).toEqual([0, 2]);
  });

  test("when an index is full", async () => {
    const { open } = logWorld();
    // Room for four offset entries, but the time index keeps the last of its places.
    const log = await open({ indexIntervalBytes: 1, segmentIndexBytes: 4 * 12 });
    for (let i = 0; i < 10; i += 1) {
      log.append(batchOf(1, 20, { timestampMs: T0 + i }), CLIENT);
    }
    await log.flush();
    expect(log.segmentBaseOffsets).toEqual([0, 4, 8]);
  });

  test("when an offset would no longer fit beside the base offset", async () => {
    const { open } = logWorld();
    const log = await open();
    const wide = (lastOffsetDelta: number): Buffer => {
      const batch = batchOf(1);
      batch.writeInt32BE(lastOffsetDelta, 23);
      return batch;
    };
    const ours = { leaderEpoch: 0, origin: "coordinator" } as const;
    log.append(wide(2 ** 31 - 3), ours);
    log.append(wide(0), ours);
    log.append(wide(0), ours);
    log.append(wide(0), ours);
    await settle();
    expect(log.segmentBaseOffsets).toEqual([0, 2 ** 31]);
  });

  test("only when the name of the one before is durable: names may survive in any order (S3)", async () => {
    const { open, disk } = logWorld();
    const log = await open({ segmentBytes: batchOf(1).length, flushMessages: Infinity });
    for (let i = 0; i < 2; i += 1) log.append(batchOf(1), CLIENT);
    await settle();
    const names = disk.calls
      .filter(({ operation, path }) => operation === "syncDir" || path.endsWith(".log"))
      .filter(({ operation }) => operation === "syncDir" || operation === "open")
      .map(({ operation, path }) => `${operation} ${path.slice(path.lastIndexOf("/") + 1)}`);
    const second = names.indexOf("open 00000000000000000001.log");
    expect(names.slice(names.indexOf("open 00000000000000000000.log"), second)).toContain(
      `syncDir ${DIRECTORY.slice(DIRECTORY.lastIndexOf("/") + 1)}`,
    );
  });

  test("whose name is durable before anything in it counts as flushed (E17, S15)", async () => {
    const { open, disk } = logWorld();
    const size = batchOf(1).length;
    const log = await open({ segmentBytes: size, flushMessages: 1 });
    log.append(batchOf(1), CLIENT);
    await settle();
    expect(log.flushedEndOffset).toBe(1);
    const release = disk.hold("syncDir", DIRECTORY);
    log.append(batchOf(1), CLIENT);
    await settle();
    expect(log.writtenEndOffset).toBe(2);
    expect(disk.count("datasync", "00000000000000000001.log")).toBe(0);
    expect(log.flushedEndOffset).toBe(1);
    release();
    await settle();
    expect(log.flushedEndOffset).toBe(2);
  });

  test("and the one before has a snapshot and indexes, all synced", async () => {
    const { open, disk } = logWorld();
    const size = batchOf(1).length;
    const log = await open({ segmentBytes: 4 * size, indexIntervalBytes: 1 });
    for (let i = 0; i < 5; i += 1) log.append(batchOf(1), CLIENT);
    await log.flush();
    for (const name of [
      "00000000000000000000.log",
      "00000000000000000000.index",
      "00000000000000000000.timeindex",
      "00000000000000000004.snapshot",
    ]) {
      expect(disk.count("datasync", name), name).toBeGreaterThan(0);
    }
    // One entry for each batch but the first, cut to size.
    expect(disk.content(`${DIRECTORY}/00000000000000000000.index`).length).toBe(3 * 8);
  });
});

describe("flush", () => {
  test("a new partition's directory says durably whose it is before it takes batches", async () => {
    const { open, disk } = logWorld();
    const log = await open({}, { topicId: "AAAAAAAAAAAAAAAAAAAAAQ" as never });
    const release = disk.hold("syncDir", "/data");
    log.append(batchOf(1), CLIENT);
    await settle();
    const kinds = ["writev", "datasync", "syncDir"];
    const calls = disk.calls.filter(({ operation }) => kinds.includes(operation));
    expect(calls.map(({ operation, path }) => `${operation} ${path}`)).toEqual([
      `writev ${DIRECTORY}/partition.metadata`,
      `datasync ${DIRECTORY}/partition.metadata`,
      `syncDir ${DIRECTORY}`,
      "syncDir /data",
    ]);
    expect(log.writtenEndOffset).toBe(0);
    release();
    await settle();
    expect(log.writtenEndOffset).toBe(1);
  });

  test("the name of the first segment and the epochs are durable with the first batch", async () => {
    const { open, disk } = logWorld();
    const log = await open({ flushMessages: 1 }, { topicId: "AAAAAAAAAAAAAAAAAAAAAQ" as never });
    log.append(batchOf(1), CLIENT);
    let release = disk.hold("syncDir", DIRECTORY);
    await settle();
    expect(log.writtenEndOffset).toBe(0);
    release();
    release = disk.hold("syncDir", DIRECTORY);
    await settle();
    expect(log.writtenEndOffset).toBe(1);
    expect(log.safeEndOffset).toBe(0);
    release();
    await settle();
    expect(log.safeEndOffset).toBe(1);
    for (const name of [".log", "leader-epoch-checkpoint.tmp"]) {
      expect(disk.count("datasync", name), name).toBe(1);
    }
    log.append(batchOf(1), CLIENT);
    await settle();
    expect(disk.count("syncDir", DIRECTORY)).toBe(2);
    expect(disk.count("syncDir", "/data")).toBe(1);
  });

  test("one sync covers all that queued up while others were running (S5)", async () => {
    const { open, disk } = logWorld();
    const log = await open({ flushMessages: 1 });
    const heard = listen(log);
    log.append(batchOf(1), CLIENT);
    await settle();
    const before = disk.count("datasync", ".log");
    const release = disk.hold("datasync", ".log");
    for (let i = 0; i < 11; i += 1) {
      log.append(batchOf(1), CLIENT);
      await settle();
    }
    // Writes go on while two syncs run, but count for nothing yet.
    expect(disk.count("datasync", ".log") - before).toBe(2);
    expect(log.writtenEndOffset).toBe(12);
    expect(log.flushedEndOffset).toBe(1);
    expect(log.safeEndOffset).toBe(1);
    const advanced = heard.advanced;
    release();
    await settle();
    expect(log.safeEndOffset).toBe(12);
    expect(disk.count("datasync", ".log") - before).toBe(3);
    expect(heard.advanced - advanced).toBe(3);
  });

  test("a sync counts only when those that began before it have succeeded (S5, S8)", async () => {
    const { open, disk } = logWorld();
    const log = await open({ flushMessages: 1 });
    listen(log);
    log.append(batchOf(1), CLIENT);
    await settle();
    const releaseFirst = disk.hold("datasync", ".log");
    log.append(batchOf(1), CLIENT);
    await settle();
    disk.allow();
    log.append(batchOf(1), CLIENT);
    await settle();
    // The second sync has covered both batches, but the first may still fail, and then both are lost.
    expect(log.flushedEndOffset).toBe(1);
    releaseFirst();
    await settle();
    expect(log.flushedEndOffset).toBe(3);
  });

  test.each(["first", "second"])(
    "when the %s of two syncs fails, no batch of either counts (S8)",
    async (which) => {
      const { open, disk } = logWorld();
      const log = await open({ flushMessages: 1 });
      const heard = listen(log);
      log.append(batchOf(1), CLIENT);
      await settle();
      const releaseFirst = disk.hold("datasync", ".log");
      if (which === "first") disk.fail("datasync", ".log", "EIO");
      log.append(batchOf(1), CLIENT);
      await settle();
      disk.allow();
      if (which === "second") disk.fail("datasync", ".log", "EIO");
      log.append(batchOf(1), CLIENT);
      await settle();
      releaseFirst();
      await settle();
      expect(log.flushedEndOffset).toBe(1);
      expect(heard.failures.map((error) => error.code)).toEqual(["EIO"]);
    },
  );

  test("after so many milliseconds since the first unsynced byte", async () => {
    const { open, clock, disk } = logWorld();
    const log = await open({ flushMs: 100 });
    log.append(batchOf(1), CLIENT);
    await settle();
    await clock.advance(60);
    log.append(batchOf(1), CLIENT);
    await settle();
    expect(log.safeEndOffset).toBe(2);
    await clock.advance(39);
    expect(disk.count("datasync", ".log")).toBe(0);
    await clock.advance(1);
    expect(disk.count("datasync", ".log")).toBe(1);
    expect(log.flushedEndOffset).toBe(2);
  });

  test("what is overdue no longer counts (R4)", async () => {
    const { open, clock, disk } = logWorld();
    const log = await open({ flushMs: 100 });
    disk.hold("datasync", ".log");
    log.append(batchOf(1), CLIENT);
    await settle();
    await clock.advance(200);
    expect(log.safeEndOffset).toBe(1);
    await clock.advance(1);
    expect(log.safeEndOffset).toBe(0);
  });

  test("never happens by itself without a policy, but on request", async () => {
    const { open, clock, disk } = logWorld();
    const log = await open();
    log.append(batchOf(1), CLIENT);
    await clock.advance(1e9);
    expect(log.safeEndOffset).toBe(1);
    expect(disk.count("datasync")).toBe(0);
    await log.flush();
    expect(log.flushedEndOffset).toBe(1);
  });

  test("a stricter policy takes effect at once", async () => {
    const { open } = logWorld();
    const log = await open();
    log.append(batchOf(1), CLIENT);
    await settle();
    log.updateConfig({ ...CONFIG, flushMessages: 1 });
    expect(log.safeEndOffset).toBe(0);
    await settle();
    expect(log.safeEndOffset).toBe(1);
  });
});

describe("a failed write or sync is final (R9, S8)", () => {
  test.each([
    ["write", "writev", "EIO"],
    ["write to a full disk", "writev", "ENOSPC"],
    ["sync", "datasync", "EIO"],
    ["creation of the segment", "open", "EIO"],
  ] as const)("%s", async (_name, operation, code) => {
    const { open, disk } = logWorld();
    const failed: DiskError[] = [];
    const log = await open({ flushMessages: 1 }, { onFailure: (error) => failed.push(error) });
    const heard = listen(log);
    disk.fail(operation, ".log", code);
    log.append(batchOf(1), CLIENT);
    const flushed = log.flush();
    await expect(flushed).rejects.toMatchObject({ errorName: "KAFKA_STORAGE_ERROR" });
    expect(log.failure?.code).toBe(code);
    expect(heard.failures).toEqual(failed);
    expect(failed.length).toBe(1);
    expect(log.safeEndOffset).toBe(0);
    expect(() => log.append(batchOf(1), CLIENT)).toThrow(
      expect.objectContaining({ errorName: "KAFKA_STORAGE_ERROR" }),
    );
    // What ran beside it comes to its end.
    await settle();
    const calls = disk.calls.length;
    await settle();
    expect(disk.calls.length, "nothing is tried again").toBe(calls);
    await log.close();
  });

  test("a sync that succeeds after another one failed moves nothing", async () => {
    const { open, disk } = logWorld();
    const log = await open({ flushMessages: 1 });
    log.append(batchOf(1), CLIENT);
    await settle();
    const release = disk.hold("datasync", ".log");
    log.append(batchOf(1), CLIENT);
    await settle();
    disk.fail("writev", ".log", "EIO");
    log.append(batchOf(1), CLIENT);
    await settle();
    release();
    await settle();
    expect(log.failure?.code).toBe("EIO");
    expect(log.flushedEndOffset).toBe(1);
  });
});

describe("a bug under the writer is nobody's to handle: it ends the process", () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  let before: NodeJS.UnhandledRejectionListener[] = [];
  beforeEach(() => {
    // The runner's own listeners would fail the run for what this test wants to see.
    before = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", note);
    unhandled.length = 0;
  });
  afterEach(() => {
    process.removeAllListeners("unhandledRejection");
    for (const listener of before) process.on("unhandledRejection", listener);
  });

  test.each(["writev", "datasync"] as const)("in %s", async (operation) => {
    const { open, disk } = logWorld();
    const log = await open({ flushMessages: 1 });
    const bug = new RangeError("a bug");
    disk.throwFrom(operation, ".log", bug);
    log.append(batchOf(1), CLIENT);
    await expect(log.flush()).rejects.toBe(bug);
    await settle();
    expect(unhandled).toEqual([bug]);
    expect(() => log.append(batchOf(1), CLIENT)).toThrow("takes no batches");
    await expect(log.flush()).rejects.toThrow("flushes nothing");
    await expect(log.close(), "nor is its end an orderly one").rejects.toBe(bug);
    expect(disk.names(DIRECTORY).filter((name) => name.endsWith(".snapshot"))).toEqual([]);
  });

  test("or in who hears of the advance", async () => {
    const { open } = logWorld();
    const log = await open();
    const bug = new RangeError("a bug");
    log.setListener({
      onAdvance: () => {
        throw bug;
      },
      onFailure: () => undefined,
    });
    log.append(batchOf(1), CLIENT);
    await settle();
    expect(unhandled).toEqual([bug]);
    await expect(log.close()).rejects.toBe(bug);
  });
});

describe("read", () => {
  test("returns the batch that contains the offset, whole", async () => {
    const { open } = logWorld();
    const log = await open();
    log.append(batchOf(5), CLIENT);
    log.append(batchOf(5), CLIENT);
    await settle();
    const options = { offset: 7, endOffset: 10, maxBytes: 1000, minOneBatch: true };
    const { records, nextOffset } = await log.read(options);
    expect(split(records).map((batch) => batchBaseOffset(batch))).toEqual([5]);
    expect(nextOffset).toBe(10);
  });

  test("never goes beyond the end offset, nor beyond what is written (S18)", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    for (let i = 0; i < 4; i += 1) log.append(batchOf(1), CLIENT);
    await settle();
    disk.hold("writev", ".log");
    log.append(batchOf(1), CLIENT);
    await settle();
    const at = async (offset: number, endOffset: number): Promise<number> =>
      (await log.read({ offset, endOffset, maxBytes: 9999, minOneBatch: true })).nextOffset;
    expect(await at(0, 2)).toBe(2);
    expect(await at(2, 2)).toBe(2);
    expect(await at(0, 5)).toBe(4);
    expect(await at(4, 5)).toBe(4);
    for (const offset of [-1, 6]) {
      await expect(at(offset, 5)).rejects.toMatchObject({ errorName: "OFFSET_OUT_OF_RANGE" });
    }
  });

  test("keeps to the bytes, but gives one batch where one must be given", async () => {
    const { open } = logWorld();
    const log = await open();
    const size = batchOf(1, 50).length;
    for (let i = 0; i < 3; i += 1) log.append(batchOf(1, 50), CLIENT);
    await settle();
    const bytes = async (maxBytes: number, minOneBatch: boolean): Promise<number> =>
      (await log.read({ offset: 0, endOffset: 3, maxBytes, minOneBatch })).records.length;
    expect(await bytes(2 * size, false)).toBe(2 * size);
    expect(await bytes(2 * size - 1, false)).toBe(size);
    expect(await bytes(size - 1, false)).toBe(0);
    expect(await bytes(size - 1, true)).toBe(size);
    expect(await bytes(0, true)).toBe(size);
    expect(await bytes(0, false)).toBe(0);
  });

  test("a consumer that goes on where it stopped costs one read each time", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    for (let i = 0; i < 100; i += 1) log.append(batchOf(1, 3_000), CLIENT);
    await settle();
    await log.read({ offset: 0, endOffset: 100, maxBytes: 30_000, minOneBatch: true });
    const before = disk.count("read");
    let offset = 9;
    let readCount = 0;
    while (offset < 100) {
      const options = { offset, endOffset: 100, maxBytes: 30_000, minOneBatch: true };
      offset = (await log.read(options)).nextOffset;
      readCount += 1;
    }
    expect(disk.count("read") - before).toBe(readCount);
  });

  test("finds the same batches from every offset, with every limit, while the log grows", async () => {
    const batch = fc.record({
      count: fc.integer({ min: 1, max: 6 }),
      bytes: fc.integer({ min: 0, max: 400 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(batch, { minLength: 1, maxLength: 40 }),
        fc.array(
          fc.record({
            at: fc.nat(1000),
            end: fc.nat(1000),
            maxBytes: fc.nat(3000),
            minOneBatch: fc.boolean(),
          }),
          {
            maxLength: 20,
          },
        ),
        fc.integer({ min: 500, max: 5_000 }),
        fc.integer({ min: 0, max: 600 }),
        async (batches, reads, segmentBytes, indexIntervalBytes) => {
          const { open } = logWorld();
          const log = await open({
            segmentBytes: Math.max(segmentBytes, 2_700),
            indexIntervalBytes,
          });
          const model: Buffer[] = [];
          for (const [index, { count, bytes }] of batches.entries()) {
            const appended = batchOf(count, bytes);
            log.append(appended, CLIENT);
            model.push(appended);
            if (index % 7 === 0) await log.flush();
          }
          await settle();
          const end = log.logEndOffset;
          for (const { at, end: endShare, maxBytes, minOneBatch } of reads) {
            const offset = Math.floor((at / 1001) * end);
            const endOffset = Math.floor((endShare / 1001) * (end + 1));
            const result = await log.read({ offset, endOffset, maxBytes, minOneBatch });
            const found = split(result.records);
            const first = model.findIndex((one) => batchNextOffset(one) > offset);
            expect(found).toEqual(model.slice(first, first + found.length));
            for (const one of found) expect(batchNextOffset(one)).toBeLessThanOrEqual(endOffset);
            if (found.length > 1 || !minOneBatch) {
              expect(result.records.length).toBeLessThanOrEqual(maxBytes);
            }
            expect(result.nextOffset).toBe(
              found.length === 0 ? offset : batchNextOffset(found.at(-1)!),
            );
            const fits = batchNextOffset(model[first]!) <= endOffset;
            if (fits && (minOneBatch || model[first]!.length <= maxBytes)) {
              expect(found.length).toBeGreaterThan(0);
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("an index entry that leads astray is found out, and the index made anew", async () => {
    const { open, disk } = logWorld();
    const size = batchOf(1).length;
    let log = await open({ segmentBytes: 10 * size, indexIntervalBytes: 1 });
    for (let i = 0; i < 25; i += 1) log.append(batchOf(1), CLIENT);
    await log.close();
    const path = `${DIRECTORY}/00000000000000000000.index`;
    const good = disk.content(path);
    const bad = Buffer.from(good);
    // Still rising, but into the middle of a batch.
    bad.writeInt32BE(bad.readInt32BE(4 * 8 + 4) + 1, 4 * 8 + 4);
    disk.put(path, bad);
    log = await open({ segmentBytes: 10 * size, indexIntervalBytes: 1 }, { isClean: true });
    const { nextOffset } = await log.read({
      offset: 5,
      endOffset: 25,
      maxBytes: size,
      minOneBatch: true,
    });
    expect(nextOffset).toBe(6);
    expect(disk.content(path)).toEqual(good);
  });

  test("bytes that cannot be a batch are answered as corrupt, not served (R10)", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    for (let i = 0; i < 3; i += 1) log.append(batchOf(1), CLIENT);
    await settle();
    const path = `${DIRECTORY}/00000000000000000000.log`;
    const bytes = disk.content(path);
    bytes.fill(0, batchOf(1).length);
    disk.put(path, bytes);
    const at = (offset: number): Promise<unknown> =>
      log.read({ offset, endOffset: 3, maxBytes: 1, minOneBatch: true });
    await expect(at(0)).resolves.toMatchObject({ nextOffset: 1 });
    await expect(at(1)).rejects.toMatchObject({ errorName: "CORRUPT_MESSAGE" });
  });
});

describe("timestamps", () => {
  async function filled(segmentBytes: number) {
    const world = logWorld();
    const log = await world.open({ segmentBytes, indexIntervalBytes: 100 });
    // Batches of three records; time jumps about, but rises in the long run.
    const times: number[] = [];
    for (let i = 0; i < 60; i += 1) {
      const own = [0, 1, 2].map((n) => T0 + i * 10 + ((i * 7 + n * 5) % 23));
      times.push(...own);
      log.append(
        batchOf(3, 0, {
          records: own.map((timestamp) => ({ key: null, value: Buffer.alloc(20), timestamp })),
        }),
        { leaderEpoch: i < 30 ? 1 : 2, origin: "client" },
      );
    }
    await settle();
    return { ...world, log, times };
  }

  test.each([600, 100_000])(
    "the first record at or after, segments of %i",
    async (segmentBytes) => {
      const { log, times } = await filled(segmentBytes);
      for (let target = T0 - 5; target < T0 + 640; target += 3) {
        for (const endOffset of [180, 100, 1]) {
          const offset = times.findIndex((time, index) => time >= target && index < endOffset);
          const expected =
            offset === -1
              ? null
              : { offset, timestampMs: times[offset], leaderEpoch: offset < 90 ? 1 : 2 };
          expect(await log.findByTimestamp(BigInt(target), endOffset, offload)).toEqual(expected);
        }
      }
    },
  );

  test.each([600, 100_000])("the first of the greatest, segments of %i", async (segmentBytes) => {
    const { log, times } = await filled(segmentBytes);
    for (const endOffset of [3, 9, 33, 90, 177, 180]) {
      const greatest = Math.max(...times.slice(0, endOffset));
      const offset = times.indexOf(greatest);
      const leaderEpoch = offset < 90 ? 1 : 2;
      expect(await log.findMaxTimestamp(endOffset, offload)).toEqual({
        offset,
        timestampMs: greatest,
        leaderEpoch,
      });
    }
  });

  test("an empty log has none, and none is beyond the greatest", async () => {
    const { open } = logWorld();
    const log = await open();
    expect(await log.findMaxTimestamp(10, offload)).toBeNull();
    expect(await log.findByTimestamp(0n, 10, offload)).toBeNull();
    log.append(batchOf(1), CLIENT);
    await settle();
    expect(await log.findByTimestamp(2n ** 63n - 1n, 10, offload)).toBeNull();
  });

  test("a time index that contradicts the batches is made anew", async () => {
    const { log, disk, open, times } = await filled(100_000);
    await log.close();
    const path = `${DIRECTORY}/00000000000000000000.timeindex`;
    const bad = disk.content(path);
    // An entry claims a lesser time than its batch has: a search would begin behind the answer.
    const at = 12 * 20;
    bad.writeBigInt64BE(bad.readBigInt64BE(at - 12) + 1n, at);
    disk.put(path, bad);
    const again = await open({ segmentBytes: 100_000, indexIntervalBytes: 100 }, { isClean: true });
    const target = Number(bad.readBigInt64BE(at)) + 1;
    const found = await again.findByTimestamp(BigInt(target), 180, offload);
    expect(found?.offset).toBe(times.findIndex((time) => time >= target));
  });
});

describe("leader epochs", () => {
  test("follow the batches, and are in the file when the log is flushed", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    for (const leaderEpoch of [3, 3, 5]) log.append(batchOf(2), { leaderEpoch, origin: "client" });
    expect(log.latestLeaderEpoch).toBe(5);
    expect(log.endOffsetForEpoch(3)).toEqual({ leaderEpoch: 3, endOffset: 4 });
    expect(log.endOffsetForEpoch(5)).toEqual({ leaderEpoch: 5, endOffset: 6 });
    expect([log.leaderEpochAt(3), log.leaderEpochAt(4)]).toEqual([3, 5]);
    await log.flush();
    expect(checkpointText(disk.content(`${DIRECTORY}/leader-epoch-checkpoint`))).toBe(
      "0\n2\n3 0\n5 4\n",
    );
  });
});

describe("close", () => {
  test("writes and syncs what was queued, and refuses what comes after", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    for (let i = 0; i < 3; i += 1) log.append(batchOf(1), CLIENT);
    const closing = log.close();
    expect(() => log.append(batchOf(1), CLIENT)).toThrow(
      expect.objectContaining({ errorName: "NOT_LEADER_OR_FOLLOWER" }),
    );
    await closing;
    await log.close();
    expect(log.flushedEndOffset).toBe(3);
    expect(disk.names(DIRECTORY)).toContain("00000000000000000003.snapshot");
    const reading = log.read({ offset: 0, endOffset: 3, maxBytes: 1, minOneBatch: true });
    await expect(reading).rejects.toMatchObject({ errorName: "NOT_LEADER_OR_FOLLOWER" });
  });

  test("lets a read that has begun come to its end", async () => {
    const { open, disk } = logWorld();
    const log = await open();
    log.append(batchOf(1), CLIENT);
    await settle();
    const release = disk.hold("read", ".log");
    const reading = log.read({ offset: 0, endOffset: 1, maxBytes: 1, minOneBatch: true });
    const closing = log.close();
    await settle();
    release();
    await expect(reading).resolves.toMatchObject({ nextOffset: 1 });
    await closing;
  });

  test.each([
    ["the creation of a segment", "open", "/00000000000000000000.log"],
    ["a write", "writev", ".log"],
    ["a sync", "datasync", ".log"],
    ["the epochs' replacement", "rename", "leader-epoch-checkpoint.tmp"],
  ] as const)("and abandon wait for %s that has begun", async (_name, operation, path) => {
    const { open, disk } = logWorld();
    const log = await open({ flushMessages: 1 });
    const release = disk.hold(operation, path);
    log.append(batchOf(1), CLIENT);
    await settle();
    let isAbandoned = false;
    const abandoning = log.abandon().then(() => {
      isAbandoned = true;
    });
    await settle();
    expect(isAbandoned).toBe(false);
    release();
    await abandoning;
    const calls = disk.calls.length;
    await settle();
    expect(disk.calls.length, "nothing reaches the disk after it").toBe(calls);
    expect(log.failure).toBeNull();
    if (operation === "open") expect(disk.count("writev", ".log")).toBe(0);
  });

  test.each([
    ["the epochs", "rename", "leader-epoch-checkpoint.tmp", 1],
    ["a rolled segment's snapshot", "open", ".snapshot", 2],
  ] as const)("and abandon wait for %s where a sync has failed", async (...theCase) => {
    const [, operation, path, batchCount] = theCase;
    const { open, disk } = logWorld();
    const log = await open({ segmentBytes: 120 });
    const release = disk.hold(operation, path);
    disk.fail("datasync", "/00000000000000000000.log", "EIO");
    for (let i = 0; i < batchCount; i += 1) log.append(batchOf(1), CLIENT);
    await settle();
    await expect(log.flush(), "the failure is told at once").rejects.toThrow("EIO");
    let isAbandoned = false;
    const abandoning = log.abandon().then(() => {
      isAbandoned = true;
    });
    await settle();
    expect(isAbandoned).toBe(false);
    release();
    await abandoning;
    const calls = disk.calls.length;
    await settle();
    expect(disk.calls.length).toBe(calls);
  });
});
