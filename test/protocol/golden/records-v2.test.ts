import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { CompressionType } from "../../../src/base/offload.ts";
import * as batch from "../../../src/protocol/records/batch.ts";
import { encodeBatch, encodeRecords } from "../../../src/protocol/records/batch-builder.ts";
import { deflateSync, inflateSync, loadCodec } from "../../../src/protocol/records/compression.ts";
import {
  batchBody,
  iterateBatchRecords,
  iterateRecords,
  type LogRecord,
} from "../../../src/protocol/records/record.ts";
import { type GoldenBatch, readVectors, type RecordsVector } from "./records-vectors.ts";

const MAX_BYTES = 64 * 1024 * 1024;
const vectors = readVectors("records-v2") as RecordsVector[];

interface Placed {
  readonly name: string;
  readonly bytes: Buffer;
  readonly position: number;
  readonly golden: GoldenBatch;
}

const batches = vectors.flatMap((vector): Placed[] => {
  const bytes = Buffer.from(vector.hex, "hex");
  let position = 0;
  return vector.batches.map((golden, index) => {
    const placed = { name: `${vector.case} #${index}`, bytes, position, golden };
    position += golden.sizeInBytes;
    return placed;
  });
});

beforeAll(() => loadCodec("zstd"));

/** How int64 fields come back: as numbers, clamped beyond ±(2^53 - 1). */
function asNumber(int64: string): number {
  const value = Number(int64);
  if (Number.isSafeInteger(value)) return value;
  return value > 0 ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER;
}

function inflatedBody({ bytes, position }: Placed): Buffer {
  const { type, body } = batchBody(bytes, position);
  // No batch, whatever its compaction left of it, packs nothing.
  return inflateSync(type, body, MAX_BYTES);
}

describe("golden record batches", () => {
  test("there are vectors, with every codec among them", () => {
    expect(new Set(batches.map(({ golden }) => golden.compression))).toEqual(
      new Set(["none", "gzip", "snappy", "lz4", "zstd"]),
    );
  });

  test.each(vectors)("$case: whole batches are told from a cut tail", (vector) => {
    const bytes = Buffer.from(vector.hex, "hex");
    expect(batch.completeBatchesBytes(bytes)).toBe(bytes.length - (vector.truncatedTailBytes ?? 0));
    expect(vector.batches.reduce((sum, { sizeInBytes }) => sum + sizeInBytes, 0)).toBe(
      batch.completeBatchesBytes(bytes),
    );
  });

  test.each(batches)("$name: every header field is read", ({ bytes, position: p, golden }) => {
    expect({
      magic: batch.batchMagic(bytes, p),
      baseOffset: batch.batchBaseOffset(bytes, p),
      sizeInBytes: batch.batchSizeBytes(bytes, p),
      crc: batch.batchCrc(bytes, p),
      isValid: batch.isBatchCrcValid(bytes, p),
      compression: batch.batchCompression(bytes, p),
      timestampType: batch.batchTimestampType(bytes, p),
      maxTimestamp: batch.batchMaxTimestamp(bytes, p),
      attributes: batch.batchAttributes(bytes, p),
      lastOffsetDelta: batch.batchLastOffsetDelta(bytes, p),
      baseTimestamp: batch.batchBaseTimestamp(bytes, p),
      partitionLeaderEpoch: batch.batchLeaderEpoch(bytes, p),
      producerId: batch.batchProducerId(bytes, p),
      producerEpoch: batch.batchProducerEpoch(bytes, p),
      baseSequence: batch.batchBaseSequence(bytes, p),
      lastSequence: batch.batchLastSequence(bytes, p),
      isTransactional: batch.isTransactional(bytes, p),
      isControl: batch.isControl(bytes, p),
      recordCount: batch.batchRecordCount(bytes, p),
      deleteHorizonMs: batch.batchDeleteHorizonMs(bytes, p),
    }).toEqual({
      magic: golden.magic,
      baseOffset: asNumber(golden.baseOffset),
      sizeInBytes: golden.sizeInBytes,
      crc: golden.crc,
      isValid: true,
      compression: golden.compression,
      timestampType: golden.timestampType,
      maxTimestamp: asNumber(golden.maxTimestamp),
      attributes: golden.attributes,
      lastOffsetDelta: golden.lastOffsetDelta,
      baseTimestamp: asNumber(golden.baseTimestamp),
      partitionLeaderEpoch: golden.partitionLeaderEpoch,
      producerId: asNumber(golden.producerId),
      producerEpoch: golden.producerEpoch,
      baseSequence: golden.baseSequence,
      lastSequence: golden.lastSequence,
      isTransactional: golden.isTransactional,
      isControl: golden.isControl,
      recordCount: golden.recordCount,
      deleteHorizonMs:
        golden.deleteHorizonMs === undefined ? null : asNumber(golden.deleteHorizonMs),
    });
    if (Number.isSafeInteger(Number(golden.lastOffset))) {
      expect(batch.batchLastOffset(bytes, p)).toBe(Number(golden.lastOffset));
    }
  });

  test.each(batches)("$name: every record is read", (placed) => {
    const { bytes, position, golden } = placed;
    const body = inflatedBody(placed);
    const records = [...iterateBatchRecords(bytes, position, body)];
    // Where the base offset is beyond 2^53, the deltas are all that a number can say.
    const deltas = [...iterateRecords(body, golden.recordCount)].map((r) => r.offsetDelta);
    expect(deltas).toEqual(
      golden.records.map((r) => Number(BigInt(r.offset) - BigInt(golden.baseOffset))),
    );
    const isExact = Number.isSafeInteger(Number(golden.lastOffset));
    expect(records.map((record, i) => describeLike(golden.records[i]!, record))).toEqual(
      golden.records.map((record, i) => ({
        offset: isExact ? Number(record.offset) : records[i]!.offset,
        timestamp: asNumber(record.timestamp),
        key: record.keySha256 ?? record.key,
        keyLength: record.keyLength,
        value: record.valueSha256 ?? record.value,
        valueLength: record.valueLength,
        headers: record.headers,
      })),
    );
  });

  test.each(batches.filter(({ golden }) => golden.compression === "none"))(
    "$name: encodes to the same bytes",
    ({ bytes, position, golden }) => {
      const original = bytes.subarray(position, position + golden.sizeInBytes);
      const records = [...iterateRecords(batchBody(bytes, position).body, golden.recordCount)];
      const encoded = encodeBatch(
        {
          baseOffset: BigInt(golden.baseOffset),
          leaderEpoch: golden.partitionLeaderEpoch,
          attributes: golden.attributes,
          lastOffsetDelta: golden.lastOffsetDelta,
          baseTimestamp: Number(golden.baseTimestamp),
          maxTimestamp: Number(golden.maxTimestamp),
          producerId: BigInt(golden.producerId),
          producerEpoch: golden.producerEpoch,
          baseSequence: golden.baseSequence,
          recordCount: golden.recordCount,
        },
        encodeRecords(records),
      );
      expect(encoded.toString("hex")).toBe(original.toString("hex"));
    },
  );

  test.each(batches.filter(({ golden }) => golden.compression !== "none"))(
    "$name: the bound is kept to the byte, and what we pack comes back",
    (placed) => {
      const type = placed.golden.compression as CompressionType;
      const body = inflatedBody(placed);
      const packed = batchBody(placed.bytes, placed.position).body;
      expect(inflateSync(type, packed, body.length).equals(body)).toBe(true);
      if (body.length > 1) {
        expect(() => inflateSync(type, packed, body.length - 1)).toThrow(
          expect.objectContaining({ errorName: "CORRUPT_MESSAGE" }) as Error,
        );
      }
      expect(inflateSync(type, deflateSync(type, body), body.length).equals(body)).toBe(true);
    },
  );
});

/** Our record in the form of the vector: long keys and values as length and hash. */
function describeLike(
  golden: { readonly keyLength?: number; readonly valueLength?: number },
  record: LogRecord,
): object {
  return {
    offset: record.offset,
    timestamp: record.timestamp,
    key: golden.keyLength === undefined ? base64(record.key) : sha256(record.key),
    keyLength: golden.keyLength === undefined ? undefined : record.key?.length,
    value: golden.valueLength === undefined ? base64(record.value) : sha256(record.value),
    valueLength: golden.valueLength === undefined ? undefined : record.value?.length,
    headers: record.headers.map((header) => ({ key: header.key, value: base64(header.value) })),
  };
}

function base64(bytes: Buffer | null): string | null {
  return bytes === null ? null : bytes.toString("base64");
}

function sha256(bytes: Buffer | null): string | null {
  return bytes === null ? null : createHash("sha256").update(bytes).digest("hex");
}
