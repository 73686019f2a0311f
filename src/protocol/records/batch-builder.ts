import type { CompressionType } from "../../base/offload.ts";
import { assert } from "../../base/assert.ts";
import { crc32c } from "../../base/crc32c.ts";
import { BATCH_OVERHEAD, compressionBits, LOG_OVERHEAD, MAGIC_V2 } from "./batch.ts";
import { deflateSync } from "./compression.ts";
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from "./varint.ts";

export interface NewRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: readonly { readonly key: string; readonly value: Buffer | null }[];
  /** Default: the batch's `timestampMs`. */
  readonly timestamp?: number;
}

export interface NewBatch {
  /** One at least: the log knows no batch without records, compaction aside. */
  readonly records: readonly NewRecord[];
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  readonly timestampMs: number;
  /** An idempotent producer gives all three. */
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  /** zstd only after `loadCodec("zstd")`. */
  readonly compression?: CompressionType;
}

/** Every field of a batch that the bytes of its records do not decide. */
export interface BatchHeader {
  readonly baseOffset: number | bigint;
  readonly leaderEpoch: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  readonly producerId: number | bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
}

/** What `encodeRecords` writes of one record. */
export interface EncodableRecord {
  readonly offsetDelta: number;
  readonly timestampDelta: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[];
}

const TRANSACTIONAL_FLAG = 0x10;
const CONTROL_FLAG = 0x20;

/**
 * A whole v2 batch of CreateTime, checksum included, byte for byte as Kafka's Java producer makes it
 * (compressed bodies aside). For coordinators, the metadata log and tests; the data path builds none.
 */
export function buildBatch(batch: NewBatch): Buffer {
  assert(batch.records.length > 0, "a batch has records");
  const timestamps = batch.records.map((record) => record.timestamp ?? batch.timestampMs);
  const baseTimestamp = timestamps[0] ?? batch.timestampMs;
  const records = batch.records.map((record, index) => ({
    offsetDelta: index,
    timestampDelta: (timestamps[index] ?? baseTimestamp) - baseTimestamp,
    key: record.key,
    value: record.value,
    headers: record.headers ?? [],
  }));
  const compression = batch.compression ?? "none";
  const header: BatchHeader = {
    baseOffset: batch.baseOffset ?? 0,
    leaderEpoch: batch.leaderEpoch ?? -1,
    attributes:
      compressionBits(compression) |
      (batch.isTransactional === true ? TRANSACTIONAL_FLAG : 0) |
      (batch.isControl === true ? CONTROL_FLAG : 0),
    lastOffsetDelta: records.length - 1,
    baseTimestamp,
    maxTimestamp: timestamps.reduce((a, b) => Math.max(a, b), baseTimestamp),
    producerId: batch.producerId ?? -1,
    producerEpoch: batch.producerEpoch ?? -1,
    baseSequence: batch.baseSequence ?? -1,
    recordCount: records.length,
  };
  return encodeBatch(header, deflateSync(compression, encodeRecords(records)));
}

/** Header and body put together; `body` is already packed as `attributes` say. */
export function encodeBatch(header: BatchHeader, body: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(BATCH_OVERHEAD + body.length);
  bytes.writeBigInt64BE(BigInt(header.baseOffset), 0);
  bytes.writeInt32BE(bytes.length - LOG_OVERHEAD, 8);
  bytes.writeInt32BE(header.leaderEpoch, 12);
  bytes.writeInt8(MAGIC_V2, 16);
  bytes.writeInt16BE(header.attributes, 21);
  bytes.writeInt32BE(header.lastOffsetDelta, 23);
  bytes.writeBigInt64BE(BigInt(header.baseTimestamp), 27);
  bytes.writeBigInt64BE(BigInt(header.maxTimestamp), 35);
  bytes.writeBigInt64BE(BigInt(header.producerId), 43);
  bytes.writeInt16BE(header.producerEpoch, 51);
  bytes.writeInt32BE(header.baseSequence, 53);
  bytes.writeInt32BE(header.recordCount, 57);
  body.copy(bytes, BATCH_OVERHEAD);
  bytes.writeUInt32BE(crc32c(bytes, 21), 17);
  return bytes;
}

/** The body of an uncompressed batch. */
export function encodeRecords(records: readonly EncodableRecord[]): Buffer {
  const sizes = records.map(recordBodyBytes);
  const totalBytes = sizes.reduce((total, size) => total + varintBytes(size) + size, 0);
  const target = Buffer.allocUnsafe(totalBytes);
  let position = 0;
  for (const [index, record] of records.entries()) {
    position = writeVarint(target, position, sizes[index] ?? 0);
    position = writeRecordBody(target, position, record);
  }
  assert(position === totalBytes, "records are as long as computed");
  return target;
}

function recordBodyBytes(record: EncodableRecord): number {
  let sizeBytes =
    1 +
    varlongBytes(record.timestampDelta) +
    varintBytes(record.offsetDelta) +
    nullableBytes(record.key) +
    nullableBytes(record.value) +
    varintBytes(record.headers.length);
  for (const header of record.headers) {
    const keyBytes = Buffer.byteLength(header.key);
    sizeBytes += varintBytes(keyBytes) + keyBytes + nullableBytes(header.value);
  }
  return sizeBytes;
}

function writeRecordBody(target: Buffer, start: number, record: EncodableRecord): number {
  target[start] = 0;
  let position = writeVarlong(target, start + 1, record.timestampDelta);
  position = writeVarint(target, position, record.offsetDelta);
  position = writeNullable(target, position, record.key);
  position = writeNullable(target, position, record.value);
  position = writeVarint(target, position, record.headers.length);
  for (const header of record.headers) {
    position = writeVarint(target, position, Buffer.byteLength(header.key));
    position += target.write(header.key, position);
    position = writeNullable(target, position, header.value);
  }
  return position;
}

function nullableBytes(bytes: Buffer | null): number {
  return bytes === null ? 1 : varintBytes(bytes.length) + bytes.length;
}

function writeNullable(target: Buffer, position: number, bytes: Buffer | null): number {
  if (bytes === null) return writeVarint(target, position, -1);
  const start = writeVarint(target, position, bytes.length);
  return start + bytes.copy(target, start);
}
