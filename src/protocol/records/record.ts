import type { CompressionType, Offload } from "../../base/offload.ts";
import { KafkaError } from "../errors.ts";
import {
  BATCH_OVERHEAD,
  batchBaseOffset,
  batchBaseTimestamp,
  batchCompression,
  batchLastOffsetDelta,
  batchMaxTimestamp,
  batchRecordCount,
  batchSizeBytes,
  batchTimestampType,
} from "./batch.ts";
import { RecordCursor } from "./varint.ts";

export interface RecordHeader {
  readonly key: string;
  readonly value: Buffer | null;
}

/** A record as it lies in a batch. Key, value and header values are slices of the batch. */
export interface Record {
  readonly offsetDelta: number;
  readonly timestampDelta: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
}

/** A record with its place in the log. Who keeps one copies key and value: they pin the whole batch. */
export interface LogRecord {
  readonly offset: number;
  /** The batch's time where the topic has LogAppendTime. -1: none. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
}

const NO_HEADERS: readonly RecordHeader[] = [];

/**
 * The records of an uncompressed (or inflated) body, one at a time; any bytes will do. Stops after
 * `count`, and throws KafkaError CORRUPT_MESSAGE at the first one that is damaged, or when bytes are
 * left over. Stricter than Kafka's Java reader in three things that no producer writes: lengths below
 * -1, offset deltas that do not rise, and bytes after a count of 0.
 */
export function* iterateRecords(recordsBytes: Buffer, count: number): Generator<Record> {
  if (count < 0) throw corrupt(`the record count is ${count}`);
  const cursor = new RecordCursor(recordsBytes);
  let lastOffsetDelta = -1;
  for (let i = 0; i < count; i += 1) {
    const record = readRecord(cursor, recordsBytes.length);
    if (record.offsetDelta <= lastOffsetDelta) throw corrupt("the offsets of records do not rise");
    lastOffsetDelta = record.offsetDelta;
    yield record;
  }
  if (cursor.position !== recordsBytes.length) throw corrupt("bytes follow the last record");
}

/** The same for the whole batch at `position`, given its inflated body, with offsets and timestamps. */
export function* iterateBatchRecords(
  bytes: Buffer,
  position: number,
  recordsBytes: Buffer,
): Generator<LogRecord> {
  const baseOffset = batchBaseOffset(bytes, position);
  const baseTimestamp = batchBaseTimestamp(bytes, position);
  const lastOffsetDelta = batchLastOffsetDelta(bytes, position);
  const isLogAppendTime = batchTimestampType(bytes, position) === "LogAppendTime";
  const maxTimestamp = batchMaxTimestamp(bytes, position);
  for (const record of iterateRecords(recordsBytes, batchRecordCount(bytes, position))) {
    if (record.offsetDelta > lastOffsetDelta) throw corrupt("a record lies beyond its batch");
    yield {
      offset: baseOffset + record.offsetDelta,
      timestamp: isLogAppendTime ? maxTimestamp : baseTimestamp + record.timestampDelta,
      key: record.key,
      value: record.value,
      headers: record.headers,
    };
  }
}

/** The body of the whole batch at `position`, uncompressed: sliced, or inflated to at most `maxBytes`. */
export async function inflateBatch(
  bytes: Buffer,
  position: number,
  offload: Offload,
  maxBytes: number,
): Promise<Buffer> {
  const { type, body } = batchBody(bytes, position);
  return type === "none" ? body : await offload.inflate(type, body, maxBytes);
}

/**
 * All records of the whole batch at `position`, control records included, inflating to at most
 * `maxBytes`. Throws KafkaError CORRUPT_MESSAGE for any damage; the checksum is not looked at.
 */
export async function readBatchRecords(
  bytes: Buffer,
  position: number,
  offload: Offload,
  maxBytes: number,
): Promise<LogRecord[]> {
  const recordsBytes = await inflateBatch(bytes, position, offload, maxBytes);
  return [...iterateBatchRecords(bytes, position, recordsBytes)];
}

/** Codec and bytes of the records, as they lie. Throws KafkaError CORRUPT_MESSAGE unless all are there. */
export function batchBody(
  bytes: Buffer,
  position: number,
): { readonly type: CompressionType; readonly body: Buffer } {
  if (bytes.length - position < BATCH_OVERHEAD) throw corrupt("the batch is cut off");
  const sizeBytes = batchSizeBytes(bytes, position);
  if (sizeBytes < BATCH_OVERHEAD || sizeBytes > bytes.length - position) {
    throw corrupt("the batch is cut off");
  }
  return {
    type: batchCompression(bytes, position),
    body: bytes.subarray(position + BATCH_OVERHEAD, position + sizeBytes),
  };
}

function readRecord(cursor: RecordCursor, bodyEnd: number): Record {
  try {
    const sizeBytes = cursor.varint();
    if (sizeBytes < 0 || sizeBytes > cursor.remaining) {
      throw new Error("a record goes beyond its batch");
    }
    cursor.end = cursor.position + sizeBytes;
    cursor.uint8(); // Attributes of a record: none are defined.
    const record = {
      timestampDelta: cursor.varlong(),
      offsetDelta: cursor.varint(),
      key: readNullable(cursor),
      value: readNullable(cursor),
      headers: readHeaders(cursor),
    };
    if (cursor.remaining !== 0) throw new Error("a record is longer than what it holds");
    cursor.end = bodyEnd;
    return record;
  } catch (error) {
    throw corrupt(error instanceof Error ? error.message : String(error), error);
  }
}

function readNullable(cursor: RecordCursor): Buffer | null {
  const length = cursor.varint();
  if (length < -1) throw new Error("a length is negative");
  return length === -1 ? null : cursor.slice(length);
}

function readHeaders(cursor: RecordCursor): readonly RecordHeader[] {
  const count = cursor.varint();
  // A header takes two bytes at least.
  if (count < 0 || count > cursor.remaining / 2) throw new Error("a header count is impossible");
  if (count === 0) return NO_HEADERS;
  const headers: RecordHeader[] = [];
  for (let i = 0; i < count; i += 1) {
    const key = readNullable(cursor);
    if (key === null) throw new Error("a header has no key");
    headers.push({ key: key.toString("utf8"), value: readNullable(cursor) });
  }
  return headers;
}

function corrupt(message: string, cause?: unknown): KafkaError {
  return new KafkaError("CORRUPT_MESSAGE", message, { cause });
}
