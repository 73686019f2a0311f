import type { CompressionType } from "../../base/offload.ts";
import { crc32c } from "../../base/crc32c.ts";
import { KafkaError } from "../errors.ts";

/**
 * Reads the header of a v2 record batch (KIP-98) where it lies, without building an object: all that
 * the data path needs. Unless said otherwise, a function may be called only where `BATCH_OVERHEAD`
 * bytes follow `position`; `completeBatchesBytes` and `validateClientBatch` establish that.
 *
 * int64 fields come back as numbers; beyond ±(2^53 - 1) they are clamped to it.
 */

/** Bytes of a batch before its records. */
export const BATCH_OVERHEAD = 61;
/** Bytes before and including the length field: what is needed to know the size of a batch. */
export const LOG_OVERHEAD = 12;
/** The only format that is kept; 0 and 1 are refused, as in Kafka 4. */
export const MAGIC_V2 = 2;

const LENGTH_OFFSET = 8;
const LEADER_EPOCH_OFFSET = 12;
const MAGIC_OFFSET = 16;
const CRC_OFFSET = 17;
const ATTRIBUTES_OFFSET = 21;
const LAST_OFFSET_DELTA_OFFSET = 23;
const BASE_TIMESTAMP_OFFSET = 27;
const MAX_TIMESTAMP_OFFSET = 35;
const PRODUCER_ID_OFFSET = 43;
const PRODUCER_EPOCH_OFFSET = 51;
const BASE_SEQUENCE_OFFSET = 53;
const RECORD_COUNT_OFFSET = 57;

export const COMPRESSION_MASK = 0x07;
const LOG_APPEND_TIME_FLAG = 0x08;
const TRANSACTIONAL_FLAG = 0x10;
const CONTROL_FLAG = 0x20;
export const DELETE_HORIZON_FLAG = 0x40;

const INT32_MAX = 0x7fffffff;
/** Length, attributes, two deltas, two lengths and the header count: a byte each at least. */
const MIN_RECORD_BYTES = 7;

/** By Kafka's number for each. */
export const COMPRESSION_TYPES: readonly CompressionType[] = [
  "none",
  "gzip",
  "snappy",
  "lz4",
  "zstd",
];

export type TimestampType = "CreateTime" | "LogAppendTime";

export function batchBaseOffset(bytes: Buffer, position = 0): number {
  return int64(bytes, position);
}

/** Size of the whole batch, from its first 12 bytes; less than `BATCH_OVERHEAD` means damage. */
export function batchSizeBytes(bytes: Buffer, position = 0): number {
  return LOG_OVERHEAD + bytes.readInt32BE(position + LENGTH_OFFSET);
}

export function batchLeaderEpoch(bytes: Buffer, position = 0): number {
  return bytes.readInt32BE(position + LEADER_EPOCH_OFFSET);
}

export function batchMagic(bytes: Buffer, position = 0): number {
  return bytes.readInt8(position + MAGIC_OFFSET);
}

export function batchCrc(bytes: Buffer, position = 0): number {
  return bytes.readUInt32BE(position + CRC_OFFSET);
}

export function batchAttributes(bytes: Buffer, position = 0): number {
  return bytes.readInt16BE(position + ATTRIBUTES_OFFSET);
}

export function batchLastOffsetDelta(bytes: Buffer, position = 0): number {
  return bytes.readInt32BE(position + LAST_OFFSET_DELTA_OFFSET);
}

export function batchLastOffset(bytes: Buffer, position = 0): number {
  return batchBaseOffset(bytes, position) + batchLastOffsetDelta(bytes, position);
}

/** The offset after the batch. */
export function batchNextOffset(bytes: Buffer, position = 0): number {
  return batchLastOffset(bytes, position) + 1;
}

/** With a delete horizon (KIP-534) this field holds that instead; see `batchDeleteHorizonMs`. */
export function batchBaseTimestamp(bytes: Buffer, position = 0): number {
  return int64(bytes, position + BASE_TIMESTAMP_OFFSET);
}

export function batchMaxTimestamp(bytes: Buffer, position = 0): number {
  return int64(bytes, position + MAX_TIMESTAMP_OFFSET);
}

/** When compaction may drop the batch's tombstones (KIP-534), or null when no horizon is set. */
export function batchDeleteHorizonMs(bytes: Buffer, position = 0): number | null {
  const hasHorizon = (batchAttributes(bytes, position) & DELETE_HORIZON_FLAG) !== 0;
  return hasHorizon ? batchBaseTimestamp(bytes, position) : null;
}

/** -1: no producer id. */
export function batchProducerId(bytes: Buffer, position = 0): number {
  return int64(bytes, position + PRODUCER_ID_OFFSET);
}

export function batchProducerEpoch(bytes: Buffer, position = 0): number {
  return bytes.readInt16BE(position + PRODUCER_EPOCH_OFFSET);
}

/** -1: no sequence. */
export function batchBaseSequence(bytes: Buffer, position = 0): number {
  return bytes.readInt32BE(position + BASE_SEQUENCE_OFFSET);
}

/** Sequences go on at 0 after 2^31 - 1. -1: no sequence. */
export function batchLastSequence(bytes: Buffer, position = 0): number {
  const baseSequence = batchBaseSequence(bytes, position);
  if (baseSequence < 0) return baseSequence;
  return incrementSequence(baseSequence, batchLastOffsetDelta(bytes, position));
}

/** The sequence `increment` after `sequence`, as Kafka wraps it: 0 follows 2^31 - 1. */
export function incrementSequence(sequence: number, increment: number): number {
  return (sequence + increment) % (INT32_MAX + 1);
}

export function batchRecordCount(bytes: Buffer, position = 0): number {
  return bytes.readInt32BE(position + RECORD_COUNT_OFFSET);
}

export function isTransactional(bytes: Buffer, position = 0): boolean {
  return (batchAttributes(bytes, position) & TRANSACTIONAL_FLAG) !== 0;
}

export function isControl(bytes: Buffer, position = 0): boolean {
  return (batchAttributes(bytes, position) & CONTROL_FLAG) !== 0;
}

export function batchTimestampType(bytes: Buffer, position = 0): TimestampType {
  const isLogAppendTime = (batchAttributes(bytes, position) & LOG_APPEND_TIME_FLAG) !== 0;
  return isLogAppendTime ? "LogAppendTime" : "CreateTime";
}

/** Throws KafkaError CORRUPT_MESSAGE for a codec that does not exist. */
export function batchCompression(bytes: Buffer, position = 0): CompressionType {
  const type = COMPRESSION_TYPES[batchAttributes(bytes, position) & COMPRESSION_MASK];
  if (type === undefined) {
    throw new KafkaError("CORRUPT_MESSAGE", "the batch names an unknown compression type");
  }
  return type;
}

/** The attribute bits of a codec. */
export function compressionBits(type: CompressionType): number {
  return COMPRESSION_TYPES.indexOf(type);
}

/** Writes what the leader decides; both fields lie before the range of the CRC, which stays right. */
export function stampBatch(
  bytes: Buffer,
  position: number,
  baseOffset: number,
  leaderEpoch: number,
): void {
  writeInt64(bytes, position, baseOffset);
  bytes.writeInt32BE(leaderEpoch, position + LEADER_EPOCH_OFFSET);
}

/** Makes the batch one of LogAppendTime with that time, and its CRC right again. */
export function stampLogAppendTime(bytes: Buffer, position: number, timestampMs: number): void {
  bytes.writeInt16BE(
    batchAttributes(bytes, position) | LOG_APPEND_TIME_FLAG,
    position + ATTRIBUTES_OFFSET,
  );
  writeInt64(bytes, position + MAX_TIMESTAMP_OFFSET, timestampMs);
  bytes.writeUInt32BE(computeCrc(bytes, position), position + CRC_OFFSET);
}

/** Corrects the greatest timestamp, and the CRC with it; nothing is done when it is right. */
export function stampMaxTimestamp(bytes: Buffer, position: number, timestampMs: number): void {
  if (batchMaxTimestamp(bytes, position) === timestampMs) return;
  writeInt64(bytes, position + MAX_TIMESTAMP_OFFSET, timestampMs);
  bytes.writeUInt32BE(computeCrc(bytes, position), position + CRC_OFFSET);
}

/** The same batch in new bytes, with its records packed otherwise; `body` is packed as `type` says. */
export function withBody(batch: Buffer, type: CompressionType, body: Buffer): Buffer {
  const header = Buffer.from(batch.subarray(0, BATCH_OVERHEAD));
  const attributes = (batchAttributes(batch) & ~COMPRESSION_MASK) | compressionBits(type);
  header.writeInt16BE(attributes, ATTRIBUTES_OFFSET);
  header.writeInt32BE(BATCH_OVERHEAD - LOG_OVERHEAD + body.length, LENGTH_OFFSET);
  const bytes = Buffer.concat([header, body]);
  bytes.writeUInt32BE(computeCrc(bytes, 0), CRC_OFFSET);
  return bytes;
}

/** Whether a whole v2 batch lies at `position` and its checksum is right (S2). Any bytes will do. */
export function isBatchCrcValid(bytes: Buffer, position = 0): boolean {
  if (bytes.length - position < BATCH_OVERHEAD) return false;
  const sizeBytes = batchSizeBytes(bytes, position);
  if (sizeBytes < BATCH_OVERHEAD || sizeBytes > bytes.length - position) return false;
  return (
    batchMagic(bytes, position) === MAGIC_V2 &&
    computeCrc(bytes, position) === batchCrc(bytes, position)
  );
}

/** How many leading bytes are whole batches, by their lengths alone. Any bytes will do. */
export function completeBatchesBytes(bytes: Buffer): number {
  let position = 0;
  while (bytes.length - position >= BATCH_OVERHEAD) {
    const sizeBytes = batchSizeBytes(bytes, position);
    if (sizeBytes < BATCH_OVERHEAD || sizeBytes > bytes.length - position) break;
    position += sizeBytes;
  }
  return position;
}

/**
 * Checks what a client sent for one partition, in Kafka's order (ProduceRequest.validateRecords,
 * UnifiedLog.analyzeAndValidateRecords, LogValidator.validateBatch); only the header is read, no record.
 * Throws KafkaError INVALID_RECORD, CORRUPT_MESSAGE, MESSAGE_TOO_LARGE or INVALID_TIMESTAMP.
 * Stricter than Kafka: bytes after the batch are refused (Kafka drops an incomplete second batch), so
 * that what was sent is exactly what is stored.
 */
export function validateClientBatch(
  records: Buffer | null,
  limits: { readonly maxMessageBytes: number },
): asserts records is Buffer {
  if (records === null || records.length < LOG_OVERHEAD) refuse("there is no record batch");
  checkFraming(records);
  const sizeBytes = batchSizeBytes(records);
  if (sizeBytes > limits.maxMessageBytes) {
    throw new KafkaError(
      "MESSAGE_TOO_LARGE",
      `the batch has ${sizeBytes} bytes, more than the maximum of ${limits.maxMessageBytes}`,
    );
  }
  if (computeCrc(records, 0) !== batchCrc(records)) {
    throw new KafkaError("CORRUPT_MESSAGE", "the checksum of the record batch is wrong");
  }
  checkOffsets(records);
  checkProducer(records);
  if ((batchAttributes(records) & COMPRESSION_MASK) >= COMPRESSION_TYPES.length) {
    refuse("the batch names an unknown compression type");
  }
  if (batchTimestampType(records) !== "CreateTime") {
    throw new KafkaError("INVALID_TIMESTAMP", "a client must not set the type LogAppendTime");
  }
}

/** Afterwards `records` is one whole batch of magic 2. */
function checkFraming(records: Buffer): void {
  const sizeBytes = batchSizeBytes(records);
  if (sizeBytes < MAGIC_OFFSET + 1 || sizeBytes > INT32_MAX) {
    throw new KafkaError("CORRUPT_MESSAGE", "the length of the record batch is impossible");
  }
  if (sizeBytes > records.length) refuse("the record batch is incomplete");
  const magic = batchMagic(records);
  if (magic === 0 || magic === 1) refuse(`message format ${magic} is not supported, send 2`);
  if (magic !== MAGIC_V2) {
    throw new KafkaError("CORRUPT_MESSAGE", `there is no message format ${magic}`);
  }
  if (sizeBytes < BATCH_OVERHEAD) {
    throw new KafkaError("CORRUPT_MESSAGE", "the record batch is shorter than its header");
  }
  if (sizeBytes < records.length) refuse("there is more than one record batch");
}

function checkOffsets(records: Buffer): void {
  const baseOffset = batchBaseOffset(records);
  const recordCount = batchRecordCount(records);
  const lastOffsetDelta = batchLastOffsetDelta(records);
  if (baseOffset !== 0) refuse(`the base offset must be 0, not ${baseOffset}`);
  if (recordCount <= 0) refuse(`the record count is ${recordCount}`);
  if (lastOffsetDelta !== recordCount - 1) {
    refuse(`the batch says ${recordCount} records, but its last offset is ${lastOffsetDelta}`);
  }
  // Kafka learns this by reading the records; here it keeps a lie from using up the offsets.
  const isCompressed = (batchAttributes(records) & COMPRESSION_MASK) !== 0;
  if (!isCompressed && recordCount > (records.length - BATCH_OVERHEAD) / MIN_RECORD_BYTES) {
    refuse(`the batch says ${recordCount} records, more than it has room for`);
  }
}

function checkProducer(records: Buffer): void {
  if (isControl(records)) refuse("clients must not write control records");
  const producerId = batchProducerId(records);
  if (producerId >= 0) {
    if (batchBaseSequence(records) < 0) refuse("a batch with a producer id needs a sequence");
    if (batchProducerEpoch(records) < 0) refuse("a batch with a producer id needs an epoch");
    if (producerId >= Number.MAX_SAFE_INTEGER) refuse("no such producer id was ever given out");
  } else if (isTransactional(records)) {
    refuse("a transactional batch needs a producer id");
  }
}

function refuse(message: string): never {
  throw new KafkaError("INVALID_RECORD", message);
}

function computeCrc(bytes: Buffer, position: number): number {
  return crc32c(bytes, position + ATTRIBUTES_OFFSET, position + batchSizeBytes(bytes, position));
}

function int64(bytes: Buffer, position: number): number {
  const value = bytes.readInt32BE(position) * 2 ** 32 + bytes.readUInt32BE(position + 4);
  if (value > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER;
  return value < Number.MIN_SAFE_INTEGER ? Number.MIN_SAFE_INTEGER : value;
}

function writeInt64(bytes: Buffer, position: number, value: number): void {
  bytes.writeInt32BE(Math.floor(value / 2 ** 32), position);
  bytes.writeUInt32BE(value >>> 0, position + 4);
}
