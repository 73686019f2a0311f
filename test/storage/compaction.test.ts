import { describe, expect, test } from "vitest";
import type { CompressionType } from "../../src/base/offload.ts";
import {
  batchBaseOffset,
  batchBaseSequence,
  batchCompression,
  batchDeleteHorizonMs,
  batchLastOffset,
  batchLastSequence,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  batchRecordCount,
  isBatchCrcValid,
  isControl,
  stampBatch,
  stampLogAppendTime,
} from "../../src/protocol/records/batch.ts";
import { buildBatch, type NewBatch } from "../../src/protocol/records/batch-builder.ts";
import { loadCodec } from "../../src/protocol/records/compression.ts";
import { readBatchRecords } from "../../src/protocol/records/record.ts";
import { InlineOffload } from "../../src/server/offload.ts";
import { CleanedTransactions } from "../../src/storage/cleaned-transactions.ts";
import { compactBatch, type CompactionRules } from "../../src/storage/compaction.ts";

const offload = await InlineOffload.open();
const NOW_MS = 1_000_000;
const RETENTION_MS = 500;

/** "k=v", "k" for a tombstone, "=v" for a record without a key. */
function records(...texts: string[]): NewBatch["records"] {
  return texts.map((text, index) => {
    const [key = "", value] = text.split("=");
    return {
      key: key === "" ? null : Buffer.from(key),
      value: value === undefined ? null : Buffer.from(value),
      headers: [{ key: "h", value: Buffer.from([index]) }],
      timestamp: 1000 + 10 * index,
    };
  });
}

function batchOf(texts: string[], options: Partial<NewBatch> = {}): Buffer {
  return buildBatch({
    records: records(...texts),
    timestampMs: 1000,
    baseOffset: 100,
    leaderEpoch: 7,
    ...options,
  });
}

function marker(type: "ABORT" | "COMMIT", baseOffset: number, producerId = 5): Buffer {
  const key = Buffer.from([0, 0, 0, type === "ABORT" ? 0 : 1]);
  return buildBatch({
    records: [{ key, value: Buffer.alloc(6) }],
    timestampMs: 2000,
    baseOffset,
    producerId,
    producerEpoch: 3,
    isControl: true,
    isTransactional: true,
  });
}

interface Options {
  readonly newest?: Record<string, number>;
  readonly nowMs?: number;
  readonly endOffset?: number;
  readonly keepsPlace?: boolean;
  readonly isNeeded?: boolean;
  readonly transactions?: CleanedTransactions;
}

function compact(batch: Buffer, options: Options = {}): Promise<Buffer | null> {
  const rules: CompactionRules = {
    nowMs: options.nowMs ?? NOW_MS,
    deleteRetentionMs: RETENTION_MS,
    newestOffset: (key) => options.newest?.[key.toString()] ?? null,
    endOffset: options.endOffset ?? 1000,
    isNeededByProducer: () => options.isNeeded ?? false,
  };
  return compactBatch(batch, 0, {
    rules,
    offload,
    transactions: options.transactions ?? new CleanedTransactions(),
    keepsPlace: options.keepsPlace ?? false,
  });
}

async function read(batch: Buffer | null): Promise<string[]> {
  expect(batch).not.toBeNull();
  if (batch === null) return [];
  expect(isBatchCrcValid(batch)).toBe(true);
  const found = await readBatchRecords(batch, 0, offload, 1_000_000);
  return found.map(
    ({ offset, key, value, timestamp }) =>
      `${offset} ${key?.toString() ?? ""}${value === null ? "" : `=${value.toString()}`} @${timestamp}`,
  );
}

describe("keys", () => {
  test("a batch of which nothing goes stays byte for byte", async () => {
    const batch = batchOf(["a=1", "b=2"]);
    expect(await compact(batch, { newest: { a: 100, b: 101 } })).toEqual(batch);
  });

  test("a key that came again is dropped, the others keep offset, time and headers", async () => {
    const left = await compact(batchOf(["a=1", "b=2", "c=3"]), { newest: { a: 100, b: 150 } });
    expect(await read(left)).toEqual(["100 a=1 @1000", "102 c=3 @1020"]);
    const [, last] = await readBatchRecords(left ?? Buffer.alloc(0), 0, offload, 1_000_000);
    expect(last?.headers).toEqual([{ key: "h", value: Buffer.from([2]) }]);
  });

  test("offsets, epochs and sequences of a batch stay, its greatest time is that of what is left", async () => {
    const batch = batchOf(["a=1", "b=2", "c=3"], {
      producerId: 9,
      producerEpoch: 2,
      baseSequence: 40,
    });
    const left = (await compact(batch, { newest: { a: 200, c: 200 } })) ?? Buffer.alloc(0);
    expect([batchBaseOffset(left), batchLastOffset(left)]).toEqual([100, 102]);
    expect([batchProducerId(left), batchProducerEpoch(left)]).toEqual([9, 2]);
    expect([batchBaseSequence(left), batchLastSequence(left)]).toEqual([40, 42]);
    expect(batchMaxTimestamp(left)).toBe(1010);
    expect(batchRecordCount(left)).toBe(1);
  });

  test("a record without a key is dropped", async () => {
    expect(await read(await compact(batchOf(["=1", "b=2"])))).toEqual(["101 b=2 @1010"]);
  });

  test("a batch of which nothing is left goes, unless its place or its producer needs it", async () => {
    const batch = batchOf(["a=1"], { producerId: 9, producerEpoch: 2, baseSequence: 40 });
    const newest = { a: 200 };
    expect(await compact(batch, { newest })).toBeNull();
    for (const reason of [{ keepsPlace: true }, { isNeeded: true }]) {
      const left = await compact(batch, { newest, ...reason });
      expect(await read(left)).toEqual([]);
      const bytes = left ?? Buffer.alloc(0);
      expect([batchBaseOffset(bytes), batchLastOffset(bytes), bytes.length]).toEqual([
        100, 100, 61,
      ]);
      expect(batchLastSequence(bytes)).toBe(40);
      // And it may go when nobody needs it any more.
      expect(await compact(bytes)).toBeNull();
      expect(await compact(bytes, reason)).toEqual(bytes);
    }
  });

  test("what the round did not look at stays, whatever its keys", async () => {
    const batch = batchOf(["a=1", "=2", "c"]);
    const left = await compact(batch, { newest: { a: 90 }, endOffset: 100 });
    expect(await read(left)).toEqual(["100 a=1 @1000", "101 =2 @1010", "102 c @1020"]);
  });

  test.each<CompressionType>(["none", "gzip", "snappy", "lz4", "zstd"])(
    "a batch of %s stays one",
    async (compression) => {
      await loadCodec(compression);
      const value = "x".repeat(1000);
      const batch = batchOf([`a=${value}`, "b=2"], { compression });
      const left = await compact(batch, { newest: { b: 300 } });
      expect(await read(left)).toEqual([`100 a=${value} @1000`]);
      expect(batchCompression(left ?? Buffer.alloc(0))).toBe(compression);
    },
  );

  test("a batch whose time the broker has set keeps it", async () => {
    const batch = batchOf(["a=1", "b=2"]);
    stampLogAppendTime(batch, 0, 5000);
    expect(await read(await compact(batch, { newest: { a: 300 } }))).toEqual(["101 b=2 @5000"]);
    const tombstone = batchOf(["a=1", "b"]);
    stampLogAppendTime(tombstone, 0, 5000);
    expect(await read(await compact(tombstone))).toEqual(["100 a=1 @5000", "101 b @5000"]);
  });
});

describe("tombstones (KIP-534)", () => {
  test("the first round sets a horizon and keeps the times", async () => {
    const left = await compact(batchOf(["a=1", "b"]));
    expect(batchDeleteHorizonMs(left ?? Buffer.alloc(0))).toBe(NOW_MS + RETENTION_MS);
    expect(await read(left)).toEqual(["100 a=1 @1000", "101 b @1010"]);
  });

  test("a horizon stays as it was set, and the tombstone goes when it has passed", async () => {
    const first = (await compact(batchOf(["a=1", "b", "c=3"]))) ?? Buffer.alloc(0);
    const horizonMs = NOW_MS + RETENTION_MS;
    expect(await compact(first, { nowMs: horizonMs - 1 })).toEqual(first);
    const dropped = await compact(first, { nowMs: horizonMs - 1, newest: { a: 300 } });
    expect(await read(dropped)).toEqual(["101 b @1010", "102 c=3 @1020"]);
    const left = await compact(first, { nowMs: horizonMs });
    expect(await read(left)).toEqual(["100 a=1 @1000", "102 c=3 @1020"]);
    expect(batchDeleteHorizonMs(left ?? Buffer.alloc(0))).toBe(horizonMs);
  });

  test("a tombstone whose key came again goes at once", async () => {
    expect(await read(await compact(batchOf(["a=1", "b"]), { newest: { b: 300 } }))).toEqual([
      "100 a=1 @1000",
    ]);
  });
});

describe("transactions", () => {
  const transactional = { producerId: 5, producerEpoch: 3, isTransactional: true, baseSequence: 0 };
  const aborted = { producerId: 5, firstOffset: 100, lastOffset: 102, lastStableOffset: 100 };

  test("aborted data go; their marker only after them, a horizon later", async () => {
    const data = batchOf(["a=1", "b=2"], transactional);
    const first = new CleanedTransactions();
    first.expect([aborted]);
    expect(await compact(data, { transactions: first })).toBeNull();
    const abort = marker("ABORT", 102);
    // Its data were seen in this round: it stays as it is, and so does the index entry.
    expect(await compact(abort, { transactions: first })).toEqual(abort);
    expect(first.takeKept()).toEqual([aborted]);

    const second = new CleanedTransactions();
    second.expect([aborted]);
    const dated = (await compact(abort, { transactions: second })) ?? Buffer.alloc(0);
    expect(second.takeKept()).toEqual([]);
    expect(batchDeleteHorizonMs(dated)).toBe(NOW_MS + RETENTION_MS);
    expect([batchRecordCount(dated), isControl(dated)]).toEqual([1, true]);
    expect(await compact(dated, { nowMs: NOW_MS + 1 })).toEqual(dated);
    expect(await compact(dated, { nowMs: NOW_MS + RETENTION_MS })).toBeNull();
  });

  test("a commit marker stays while a batch of its transaction does", async () => {
    const data = batchOf(["a=1"], transactional);
    const commit = marker("COMMIT", 101);
    const transactions = new CleanedTransactions();
    expect(await compact(data, { transactions })).toEqual(data);
    expect(await compact(commit, { transactions })).toEqual(commit);
    const alone = await compact(commit);
    expect(batchDeleteHorizonMs(alone ?? Buffer.alloc(0))).not.toBeNull();
  });

  test("an aborted transaction says nothing of other producers, nor of the next one", async () => {
    const transactions = new CleanedTransactions();
    transactions.expect([aborted]);
    const other = batchOf(["a=1"], { ...transactional, producerId: 6 });
    expect(await compact(other, { transactions })).toEqual(other);
    await compact(marker("ABORT", 102), { transactions });
    const next = batchOf(["a=2"], { ...transactional, baseOffset: 103 });
    expect(await compact(next, { transactions })).toEqual(next);
    const plain = batchOf(["a=3"], { producerId: 5, producerEpoch: 3, baseSequence: 0 });
    stampBatch(plain, 0, 104, 7);
    expect(await compact(plain, { transactions })).toEqual(plain);
  });

  test("a marker that its producer needs stays without its record", async () => {
    const commit = (await compact(marker("COMMIT", 101))) ?? Buffer.alloc(0);
    const nowMs = NOW_MS + RETENTION_MS;
    const left = (await compact(commit, { nowMs, isNeeded: true })) ?? Buffer.alloc(0);
    expect([batchRecordCount(left), isControl(left), batchProducerEpoch(left)]).toEqual([
      0,
      true,
      3,
    ]);
    expect(await compact(left, { nowMs, isNeeded: true })).toEqual(left);
    expect(await compact(left, { nowMs })).toBeNull();
  });
});

test("a batch whose records cannot be read is refused, not rewritten", async () => {
  const batch = batchOf(["a=1"]);
  batch.writeInt32BE(2, 57);
  await expect(compact(batch)).rejects.toMatchObject({ code: 2 });
});
