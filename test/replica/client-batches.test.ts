import { beforeAll, describe, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import type { CompressionType, Offload } from "../../src/base/offload.ts";
import {
  batchCompression,
  batchMaxTimestamp,
  isBatchCrcValid,
  stampMaxTimestamp,
  validateClientBatch,
  withBody,
} from "../../src/protocol/records/batch.ts";
import { buildBatch, type NewBatch } from "../../src/protocol/records/batch-builder.ts";
import { loadCodec } from "../../src/protocol/records/compression.ts";
import { readBatchRecords } from "../../src/protocol/records/record.ts";
import { ClientBatches } from "../../src/replica/client-batches.ts";
import { InlineOffload } from "../../src/server/offload.ts";
import type { LogConfig } from "../../src/storage/log-config.ts";
import { LOG_CONFIG, ManualClock } from "./support.ts";

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
const PACKED = CODECS.slice(1);
const clock = new ManualClock();
const NOW_MS = clock.wallMs();
let inline: InlineOffload | null = null;

beforeAll(async () => {
  await loadCodec("zstd");
  inline = await InlineOffload.open();
});

function offload(): Offload {
  return must(inline, "opened before");
}

function prepare(batch: Buffer, config: Partial<LogConfig>): Buffer | Promise<Buffer> {
  validateClientBatch(batch, { maxMessageBytes: 1_000_000 });
  const batches = new ClientBatches({ clock, offload: offload() });
  return batches.prepare(batch, { ...LOG_CONFIG, ...config });
}

/** Three records of which the second is the newest. */
function sent(compression: CompressionType, options: Partial<NewBatch> = {}): Buffer {
  const times = [NOW_MS - 5, NOW_MS + 7, NOW_MS - 1];
  return buildBatch({
    records: times.map((timestamp, index) => ({
      key: Buffer.from(`k${index}`),
      value: Buffer.alloc(100, index),
      headers: [{ key: "h", value: null }],
      timestamp,
    })),
    timestampMs: NOW_MS,
    compression,
    producerId: 9,
    producerEpoch: 1,
    baseSequence: 4,
    ...options,
  });
}

/** The batch with a greatest timestamp that its producer made up. */
function lying(batch: Buffer, maxTimestampMs: number): Buffer {
  stampMaxTimestamp(batch, 0, maxTimestampMs);
  return batch;
}

async function refusal(batch: Buffer, config: Partial<LogConfig>): Promise<unknown> {
  try {
    await prepare(batch, config);
  } catch (error) {
    return error;
  }
  throw new Error("nothing was refused");
}

describe("a batch that stays as it was sent", () => {
  test.each(CODECS)("is the same bytes, at once: %s", (compression) => {
    const batch = sent(compression);
    const before = Buffer.from(batch);
    expect(prepare(batch, {})).toBe(batch);
    expect(batch.equals(before)).toBe(true);
  });

  test.each(PACKED)("is not opened for LogAppendTime: %s", (compression) => {
    const batch = sent(compression);
    expect(prepare(batch, { timestampType: "LogAppendTime", timestampBeforeMaxMs: 1 })).toBe(batch);
  });

  test.each(PACKED)("may not lie too far ahead, which its header says: %s", async (compression) => {
    const error = await refusal(sent(compression), { timestampAfterMaxMs: 6 });
    expect(error).toMatchObject({ errorName: "INVALID_TIMESTAMP" });
  });
});

describe.each(CODECS)("records that came as %s", (from) => {
  test.each(CODECS)("are the same records as %s", async (to) => {
    const batch = sent(from);
    const before = await readBatchRecords(batch, 0, offload(), 10_000);
    const prepared = await prepare(batch, { compressionType: to === "none" ? "uncompressed" : to });
    expect(batchCompression(prepared)).toBe(to);
    expect(isBatchCrcValid(prepared)).toBe(true);
    expect(batchMaxTimestamp(prepared)).toBe(NOW_MS + 7);
    expect(await readBatchRecords(prepared, 0, offload(), 10_000)).toEqual(before);
    // What the header says beside the codec stays: producer, sequence, counts, times.
    expect(prepared.subarray(23, 61).equals(batch.subarray(23, 61))).toBe(true);
  });

  test("are opened where a setting asks for what only they can tell", async () => {
    const old = { timestampBeforeMaxMs: 4 };
    expect(await refusal(sent(from), old)).toMatchObject({
      errorName: "INVALID_TIMESTAMP",
      recordErrors: [{ batchIndex: 0 }],
    });
    const compacted = { cleanupPolicy: { compacts: true, deletes: false } };
    expect(await prepare(sent(from), compacted)).toEqual(sent(from));
    const records = [{ key: null, value: null }];
    expect(await refusal(sent(from, { records }), compacted)).toMatchObject({
      errorName: "INVALID_RECORD",
      recordErrors: [{ batchIndex: 0 }],
    });
  });

  test("keep their greatest timestamp true, whatever the header said", async () => {
    const batch = lying(sent(from), NOW_MS + 1_000);
    const compacted = { cleanupPolicy: { compacts: true, deletes: true } };
    const prepared = await prepare(batch, compacted);
    expect(batchMaxTimestamp(prepared)).toBe(NOW_MS + 7);
    expect(isBatchCrcValid(prepared)).toBe(true);
  });
});

describe("a batch that is to be packed otherwise", () => {
  test("is refused when it is too large then (checked again, as Kafka does)", async () => {
    const batch = sent("gzip");
    const config = { compressionType: "uncompressed", maxMessageBytes: batch.length } as const;
    expect(await refusal(batch, config)).toMatchObject({ errorName: "MESSAGE_TOO_LARGE" });
  });

  test.each(PACKED)(
    "is refused for ever when it cannot be opened: %s (C22)",
    async (compression) => {
      const good = sent(compression);
      const bad = buildBatch({ records: [{ key: null, value: Buffer.alloc(50) }], timestampMs: 1 });
      const damaged = withBody(bad, compression, Buffer.alloc(good.length, 0xee));
      const error = await refusal(damaged, { compressionType: "uncompressed" });
      expect(error).toMatchObject({ errorName: "INVALID_RECORD", retriable: false });
    },
  );

  test("is packed as hard as the topic says", async () => {
    const text = Array.from(
      { length: 2_000 },
      (_, index) => `record ${(index % 37) * (index % 101)}`,
    ).join(",");
    const records = [{ key: null, value: Buffer.from(text) }];
    for (const compressionType of ["gzip", "zstd"] as const) {
      const sizes = await Promise.all(
        [1, 9].map(async (compressionLevel) => {
          const batch = sent("none", { records });
          return (await prepare(batch, { compressionType, compressionLevel })).length;
        }),
      );
      expect(sizes[1]).toBeLessThan(must(sizes[0], "there are two"));
    }
  });

  test("leaves the event loop before it is opened", async () => {
    const order: string[] = [];
    setImmediate(() => order.push("the loop has turned"));
    await prepare(sent("gzip"), { compressionType: "lz4" });
    order.push("opened");
    expect(order).toEqual(["the loop has turned", "opened"]);
  });
});
