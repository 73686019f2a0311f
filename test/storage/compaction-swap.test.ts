import { expect, test } from "vitest";
import { randomBelow, SeededRandom } from "../../src/base/random.ts";
import type { Disk } from "../../src/base/disk.ts";
import { batchLastOffset } from "../../src/protocol/records/batch.ts";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import { InlineOffload } from "../../src/server/offload.ts";
import { ProcessClock } from "../../src/sim/sim-clock.ts";
import { CleanedTransactions } from "../../src/storage/cleaned-transactions.ts";
import { CleaningPace } from "../../src/storage/cleaning-pace.ts";
import { offsetFileName, type SegmentSuffix } from "../../src/storage/file-names.ts";
import { OffsetMap } from "../../src/storage/offset-map.ts";
import { cleanGroup, mapKeys } from "../../src/storage/segment-cleaner.ts";
import { loadIndexes, scanIndexes } from "../../src/storage/segment-indexes.ts";
import { completeSwaps, swapSegments } from "../../src/storage/segment-swap.ts";
import { decodeTxnIndex, encodeTxnIndex } from "../../src/storage/txn-index.ts";
import { DIRECTORY, diskWorld } from "../sim/support/world.ts";
import { split } from "./support/log-world.ts";

const offload = await InlineOffload.open();
const LOG = `${DIRECTORY}/topic-0`;
const INTERVAL_BYTES = 200;
/** Two transactions: the first one's data and marker stay, the second one's are gone already. */
const ABORTED = [
  { producerId: 5, firstOffset: 40, lastOffset: 42, lastStableOffset: 40 },
  { producerId: 6, firstOffset: 12, lastOffset: 43, lastStableOffset: 12 },
];
const BASES = [0, 20, 40];
const NEXT_BASE = 60;

type World = ReturnType<typeof diskWorld>;

/** Three inactive segments and an active one, every key of the first two written again later. */
function sourceSegments(): Map<number, Buffer[]> {
  const segments = new Map<number, Buffer[]>();
  for (const base of [...BASES, NEXT_BASE]) {
    const batches: Buffer[] = [];
    for (let offset = base; offset < base + 20; offset += 2) {
      const record = (at: number) => ({
        key: Buffer.from(`key-${at % 25}`),
        value: Buffer.from(`value-${at}-${"x".repeat(40)}`),
      });
      batches.push(
        buildBatch({
          records: [record(offset), record(offset + 1)],
          timestampMs: 1000 + offset,
          baseOffset: offset,
          ...(offset === 40
            ? { producerId: 5, producerEpoch: 0, baseSequence: 0, isTransactional: true }
            : {}),
        }),
      );
    }
    if (base === 40) batches[1] = abortMarker(42);
    segments.set(base, batches);
  }
  return segments;
}

function abortMarker(baseOffset: number): Buffer {
  const record = { key: Buffer.from([0, 0, 0, 0]), value: Buffer.alloc(6) };
  return buildBatch({
    records: [record],
    timestampMs: 1000,
    baseOffset,
    producerId: 5,
    producerEpoch: 0,
    isControl: true,
    isTransactional: true,
  });
}

async function put(disk: Disk, path: string, content: Buffer): Promise<void> {
  const file = await disk.open(path, { create: true, truncate: true });
  if (content.length > 0) await file.writev([content], 0);
  await file.datasync();
  await file.close();
}

async function get(disk: Disk, base: number, suffix: SegmentSuffix): Promise<Buffer> {
  const file = await disk.open(`${LOG}/${offsetFileName(base, suffix)}`);
  const content = Buffer.alloc(await file.size());
  await file.read(content, 0);
  await file.close();
  return content;
}

async function fill(world: World): Promise<void> {
  const disk = world.disk.process();
  await disk.mkdir(LOG);
  for (const [base, batches] of sourceSegments()) {
    await put(disk, `${LOG}/${offsetFileName(base, ".log")}`, Buffer.concat(batches));
    if (base > 0) await put(disk, `${LOG}/${offsetFileName(base, ".snapshot")}`, Buffer.alloc(4));
    for (const suffix of [".index", ".timeindex"] as const) {
      await put(disk, `${LOG}/${offsetFileName(base, suffix)}`, Buffer.from([base]));
    }
  }
  await put(disk, `${LOG}/${offsetFileName(40, ".txnindex")}`, encodeTxnIndex(ABORTED));
  await disk.syncDir(LOG);
  await disk.syncDir(DIRECTORY);
}

async function compact(disk: Disk, clock: ProcessClock): Promise<readonly string[]> {
  const pace = new CleaningPace(clock, { maxBytesPerSecond: Infinity });
  const dependencies = { disk, clock, offload, pace, checkWanted: () => undefined };
  const segments = BASES.map((baseOffset) => ({ baseOffset, endOffset: baseOffset + 20 }));
  const map = new OffsetMap({ keyCount: 100, maxBytes: 100_000 });
  const transactions = (): CleanedTransactions => {
    const found = new CleanedTransactions();
    found.expect(ABORTED);
    return found;
  };
  const options = { segments, startOffset: 0, map, transactions: transactions() };
  expect(await mapKeys(dependencies, LOG, options)).toBe(NEXT_BASE);
  const rules = {
    nowMs: 5000,
    deleteRetentionMs: 100,
    newestOffset: (key: Buffer) => map.get(key),
    endOffset: NEXT_BASE,
    isNeededByProducer: () => false,
  };
  await cleanGroup(dependencies, LOG, {
    baseOffsets: BASES,
    rules,
    transactions: transactions(),
    indexIntervalBytes: INTERVAL_BYTES,
  });
  return await swapSegments(disk, LOG, BASES);
}

/** What lies there after recovery's first step: all as it was, or all as it is to be. */
async function outcome(disk: Disk, clock: ProcessClock): Promise<"old" | "new"> {
  await completeSwaps({ disk, clock }, LOG);
  const names = await disk.list(LOG);
  expect(names.filter((name) => !/\.(log|index|timeindex|txnindex|snapshot)$/.test(name))).toEqual(
    [],
  );
  const source = sourceSegments();
  expect(await get(disk, NEXT_BASE, ".log")).toEqual(Buffer.concat(source.get(NEXT_BASE)!));
  const first = await get(disk, 0, ".log");
  if (first.equals(Buffer.concat(source.get(0)!))) {
    for (const base of BASES) {
      expect(await get(disk, base, ".log")).toEqual(Buffer.concat(source.get(base)!));
      expect(await get(disk, base, ".index")).toEqual(Buffer.from([base]));
      expect(await get(disk, base, ".timeindex")).toEqual(Buffer.from([base]));
    }
    expect(decodeTxnIndex(await get(disk, 40, ".txnindex"))).toEqual(ABORTED);
    return "old";
  }
  expect(names.filter((name) => name.endsWith(".log"))).toEqual([
    offsetFileName(0, ".log"),
    offsetFileName(NEXT_BASE, ".log"),
  ]);
  expect(names.some((name) => /^0*(20|40)\./.test(name))).toBe(false);
  expect(
    split(first)
      .map((batch) => batchLastOffset(batch))
      .at(-1),
  ).toBe(59);
  // Its own indexes, as a scan would make them (S9), and the transactions that still have a marker.
  const file = await disk.open(`${LOG}/${offsetFileName(0, ".log")}`);
  const segment = { baseOffset: 0, intervalBytes: INTERVAL_BYTES };
  const paths = {
    offsets: `${LOG}/${offsetFileName(0, ".index")}`,
    times: `${LOG}/${offsetFileName(0, ".timeindex")}`,
  };
  const found = await loadIndexes({ disk, file, clock }, paths, {
    ...segment,
    logBytes: first.length,
  });
  const { indexes } = await scanIndexes(
    { file, clock },
    { ...segment, endPosition: first.length, checksCrc: true },
  );
  indexes.noteEnd();
  expect(found?.offsets.entryCount).toBe(indexes.offsets.entryCount);
  expect(found?.times.last()).toEqual(indexes.times.last());
  await file.close();
  expect(decodeTxnIndex(await get(disk, 0, ".txnindex"))).toEqual([ABORTED[0]]);
  return "new";
}

/** How many events it takes to write the cleaned segment and to put it in place. */
async function countEvents(): Promise<number> {
  const world = diskWorld(1);
  await world.run(fill(world));
  const state = { isOver: false, count: 0 };
  const compacted = compact(world.disk.process(), new ProcessClock(world.clock)).finally(() => {
    state.isOver = true;
  });
  for (; !state.isOver; state.count += 1) await world.steps(1);
  await compacted;
  return state.count;
}

test("a swap runs to its end, and leaves only files that wait for their removal", async () => {
  const world = diskWorld(1);
  await world.run(fill(world));
  const clock = new ProcessClock(world.clock);
  const disk = world.disk.process();
  const deleted = await world.run(compact(disk, clock));
  const names = (await world.run(disk.list(LOG))).map((name) => `${LOG}/${name}`);
  expect(deleted.length).toBe(7);
  expect(names.filter((name) => !/\.(log|index|timeindex|txnindex|snapshot)$/.test(name))).toEqual(
    [...deleted].sort(),
  );
  expect(await world.run(outcome(disk, clock))).toBe("new");
});

test("a crash at any moment leaves the old segments or the new one (S6, S15)", async () => {
  const seen = { old: 0, new: 0 };
  const eventCount = await countEvents();
  for (let seed = 1; seed <= 100; seed += 1) {
    const world = diskWorld(seed);
    await world.run(fill(world));
    const random = new SeededRandom(seed).fork("kills");
    const first = new ProcessClock(world.clock);
    let disk = world.disk.process();
    const kill = (clock: ProcessClock): void => {
      clock.kill();
      disk.kill();
      if (randomBelow(random, 4) > 0) world.disk.cutPower();
      disk = world.disk.process();
    };
    compact(disk, first).catch(() => undefined);
    // The swap comes last: most crashes go there.
    await world.steps(eventCount - randomBelow(random, 60));
    kill(first);
    // Recovery is cut off as well, up to three times.
    for (let count = randomBelow(random, 4); count > 0; count -= 1) {
      const clock = new ProcessClock(world.clock);
      completeSwaps({ disk, clock }, LOG).catch(() => undefined);
      await world.steps(randomBelow(random, 25));
      kill(clock);
    }
    const last = new ProcessClock(world.clock);
    seen[await world.run(outcome(disk, last))] += 1;
    // And stays so (S6).
    await world.run(outcome(disk, last));
  }
  expect(seen.old).toBeGreaterThan(12);
  expect(seen.new).toBeGreaterThan(12);
});
