import type { Offload } from "../base/offload.ts";
import {
  batchAttributes,
  batchBaseOffset,
  batchBaseSequence,
  batchBaseTimestamp,
  batchCompression,
  batchDeleteHorizonMs,
  batchLastOffsetDelta,
  batchLeaderEpoch,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  batchRecordCount,
  batchSizeBytes,
  batchTimestampType,
  COMPRESSION_MASK,
  DELETE_HORIZON_FLAG,
  isControl,
} from "../protocol/records/batch.ts";
import { KafkaError } from "../protocol/errors.ts";
import { type BatchHeader, encodeBatch } from "../protocol/records/batch-builder.ts";
import { inflateBatch } from "../protocol/records/record.ts";
import {
  RecordCursor,
  varintBytes,
  varlongBytes,
  writeVarint,
  writeVarlong,
} from "../protocol/records/varint.ts";
import type { CleanedTransactions } from "./cleaned-transactions.ts";

/** More than this no batch may grow to when it is inflated; a log with a larger one is uncleanable. */
const MAX_INFLATED_BYTES = 64 * 1024 * 1024;
const ABORT = 0;
const COMMIT = 1;

/** What one round of cleaning knows, for all its batches. */
export interface CompactionRules {
  /** By the wall clock, as delete horizons are. */
  readonly nowMs: number;
  /** delete.retention.ms: how long a tombstone stays once it is the last of its key. */
  readonly deleteRetentionMs: number;
  /** The newest offset of the key among those that the round looked at, or null. */
  readonly newestOffset: (key: Buffer) => number | null;
  /** All from here on is kept as it is: the round did not look at it. */
  readonly endOffset: number;
  /** Whether the batch carries a sequence or an epoch that its producer may still be asked for. */
  readonly isNeededByProducer: (bytes: Buffer, at: number) => boolean;
}

export interface CompactionContext {
  readonly rules: CompactionRules;
  readonly transactions: CleanedTransactions;
  readonly offload: Offload;
  /** The batch stays, be it without records: its offsets must still be known. */
  readonly keepsPlace: boolean;
}

/** A record in an inflated body. `start` and `end` are where its length begins and where it ends. */
interface RecordSpan {
  readonly start: number;
  /** Of what follows the timestamp delta. */
  readonly restStart: number;
  readonly end: number;
  readonly timestampDelta: number;
  readonly offsetDelta: number;
  readonly key: Buffer | null;
  readonly isTombstone: boolean;
}

/**
 * What compaction leaves of the whole, valid batch at `at`: null, the same bytes (sliced), or a batch
 * with fewer records and the same offsets, sequences and epochs, so that every record stays where it
 * was (S14). Kafka's rules (Cleaner, MemoryRecords.filterTo; KIP-534):
 * - aborted data and keys that came again are dropped, records without a key too;
 * - a tombstone, and a marker whose transaction has no data left, first get a horizon, which takes the
 *   place of the base timestamp, and go once the horizon has passed;
 * - with `keepsPlace`, or when its producer needs it, a batch stays without its records.
 * Batches are to be given in order, from the log's start: `transactions` follows them.
 * Throws KafkaError CORRUPT_MESSAGE.
 */
export async function compactBatch(
  bytes: Buffer,
  at: number,
  context: CompactionContext,
): Promise<Buffer | null> {
  const keepsPlace = context.keepsPlace || context.rules.isNeededByProducer(bytes, at);
  const left = isControl(bytes, at)
    ? await compactMarker(bytes, at, context)
    : await compactData(bytes, at, context);
  return left === null && keepsPlace ? emptyBatch(bytes, at) : left;
}

async function compactMarker(
  bytes: Buffer,
  at: number,
  { rules, transactions, offload }: CompactionContext,
): Promise<Buffer | null> {
  const body = await inflateBatch(bytes, at, offload, MAX_INFLATED_BYTES);
  const records = readSpans(body, batchRecordCount(bytes, at));
  if (!isOver(bytes, at, records, transactions)) return whole(bytes, at);
  const horizonMs = batchDeleteHorizonMs(bytes, at);
  if (records.length === 0 || (horizonMs !== null && horizonMs <= rules.nowMs)) return null;
  if (horizonMs !== null) return whole(bytes, at);
  const newHorizonMs = rules.nowMs + rules.deleteRetentionMs;
  return await rebuild(bytes, at, { offload, body, records, horizonMs: newHorizonMs });
}

async function compactData(
  bytes: Buffer,
  at: number,
  { rules, transactions, offload }: CompactionContext,
): Promise<Buffer | null> {
  const recordCount = batchRecordCount(bytes, at);
  if (transactions.sawData(bytes, at) || recordCount === 0) return null;
  const body = await inflateBatch(bytes, at, offload, MAX_INFLATED_BYTES);
  const all = readSpans(body, recordCount);
  const baseOffset = batchBaseOffset(bytes, at);
  const horizonMs = batchDeleteHorizonMs(bytes, at);
  const dropsTombstones = horizonMs !== null && horizonMs <= rules.nowMs;
  const records = all.filter((record) => isKept(record, baseOffset, dropsTombstones, rules));
  if (records.length === 0) return null;
  const needsHorizon = horizonMs === null && records.some((record) => record.isTombstone);
  if (records.length === all.length && !needsHorizon) return whole(bytes, at);
  const newHorizonMs = needsHorizon ? rules.nowMs + rules.deleteRetentionMs : null;
  return await rebuild(bytes, at, { offload, body, records, horizonMs: newHorizonMs });
}

/**
 * Calls `visit` with every record of the data batch that has a key, in order, until it says "stop";
 * returns whether it did. Throws KafkaError CORRUPT_MESSAGE.
 */
export async function visitKeys(
  bytes: Buffer,
  at: number,
  offload: Offload,
  visit: (key: Buffer, offset: number) => "go on" | "stop",
): Promise<"visited" | "stopped"> {
  const body = await inflateBatch(bytes, at, offload, MAX_INFLATED_BYTES);
  const baseOffset = batchBaseOffset(bytes, at);
  for (const { key, offsetDelta } of readSpans(body, batchRecordCount(bytes, at))) {
    if (key !== null && visit(key, baseOffset + offsetDelta) === "stop") return "stopped";
  }
  return "visited";
}

/** Tells `transactions` of the batch as `compactBatch` does; true: its data are aborted. */
export async function followTransactions(
  bytes: Buffer,
  at: number,
  transactions: CleanedTransactions,
  offload: Offload,
): Promise<boolean> {
  if (!isControl(bytes, at)) return transactions.sawData(bytes, at);
  const body = await inflateBatch(bytes, at, offload, MAX_INFLATED_BYTES);
  isOver(bytes, at, readSpans(body, batchRecordCount(bytes, at)), transactions);
  return false;
}

/** Whether nothing is left of what the control batch speaks of. */
function isOver(
  bytes: Buffer,
  at: number,
  records: readonly RecordSpan[],
  transactions: CleanedTransactions,
): boolean {
  const key = records[0]?.key;
  if (key === undefined) return true;
  if (key === null || key.length < 4) throw corrupt("a control record has no type");
  const type = key.readInt16BE(2);
  if (type !== ABORT && type !== COMMIT) return false;
  return transactions.sawMarker(bytes, at, type === ABORT ? "ABORT" : "COMMIT");
}

function isKept(
  record: RecordSpan,
  baseOffset: number,
  dropsTombstones: boolean,
  rules: CompactionRules,
): boolean {
  const offset = baseOffset + record.offsetDelta;
  if (offset >= rules.endOffset) return true;
  if (record.key === null) return false;
  const newestOffset = rules.newestOffset(record.key);
  if (newestOffset !== null && offset < newestOffset) return false;
  return !(record.isTombstone && dropsTombstones);
}

function whole(bytes: Buffer, at: number): Buffer {
  return bytes.subarray(at, at + batchSizeBytes(bytes, at));
}

/** The batch without its records: it holds its offsets and its producer's last sequence. */
function emptyBatch(bytes: Buffer, at: number): Buffer {
  const attributes = batchAttributes(bytes, at) & ~(COMPRESSION_MASK | DELETE_HORIZON_FLAG);
  return encodeBatch(
    { ...headerOf(bytes, at), attributes, baseTimestamp: -1, recordCount: 0 },
    Buffer.alloc(0),
  );
}

/** The batch with some of its records, as they were; a new horizon takes the base timestamp's place. */
async function rebuild(
  bytes: Buffer,
  at: number,
  kept: {
    readonly offload: Offload;
    readonly body: Buffer;
    readonly records: readonly RecordSpan[];
    /** null: the base timestamp stays, be it one or an older horizon. */
    readonly horizonMs: number | null;
  },
): Promise<Buffer> {
  const header = headerOf(bytes, at);
  const isCreateTime = batchTimestampType(bytes, at) === "CreateTime";
  const maxTimestamp = isCreateTime
    ? kept.records.reduce(
        (max, { timestampDelta }) => Math.max(max, header.baseTimestamp + timestampDelta),
        -1,
      )
    : header.maxTimestamp;
  const baseTimestamp = kept.horizonMs ?? header.baseTimestamp;
  const shiftMs = header.baseTimestamp - baseTimestamp;
  const body = Buffer.concat(
    kept.records.map((record) =>
      shiftMs === 0
        ? kept.body.subarray(record.start, record.end)
        : shifted(kept.body, record, shiftMs),
    ),
  );
  return encodeBatch(
    {
      ...header,
      attributes: header.attributes | (kept.horizonMs !== null ? DELETE_HORIZON_FLAG : 0),
      baseTimestamp,
      maxTimestamp,
      recordCount: kept.records.length,
    },
    await kept.offload.deflate(batchCompression(bytes, at), body, null),
  );
}

/** The record with another timestamp delta; the rest byte for byte. */
function shifted(body: Buffer, record: RecordSpan, shiftMs: number): Buffer {
  const timestampDelta = record.timestampDelta + shiftMs;
  const rest = body.subarray(record.restStart, record.end);
  const sizeBytes = 1 + varlongBytes(timestampDelta) + rest.length;
  const target = Buffer.allocUnsafe(varintBytes(sizeBytes) + sizeBytes);
  let position = writeVarint(target, 0, sizeBytes);
  target[position++] = 0;
  position = writeVarlong(target, position, timestampDelta);
  rest.copy(target, position);
  return target;
}

function headerOf(bytes: Buffer, at: number): BatchHeader {
  return {
    baseOffset: batchBaseOffset(bytes, at),
    leaderEpoch: batchLeaderEpoch(bytes, at),
    attributes: batchAttributes(bytes, at),
    lastOffsetDelta: batchLastOffsetDelta(bytes, at),
    baseTimestamp: batchBaseTimestamp(bytes, at),
    maxTimestamp: batchMaxTimestamp(bytes, at),
    producerId: batchProducerId(bytes, at),
    producerEpoch: batchProducerEpoch(bytes, at),
    baseSequence: batchBaseSequence(bytes, at),
    recordCount: batchRecordCount(bytes, at),
  };
}

/** The records of a body, headers left alone. Throws KafkaError CORRUPT_MESSAGE. */
function readSpans(body: Buffer, count: number): RecordSpan[] {
  const spans: RecordSpan[] = [];
  const cursor = new RecordCursor(body);
  try {
    for (let i = 0; i < count; i += 1) spans.push(readSpan(cursor));
  } catch (error) {
    throw corrupt(error instanceof Error ? error.message : String(error), error);
  }
  if (cursor.position !== body.length) throw corrupt("bytes follow the last record");
  return spans;
}

function readSpan(cursor: RecordCursor): RecordSpan {
  const start = cursor.position;
  const sizeBytes = cursor.varint();
  if (sizeBytes < 0 || sizeBytes > cursor.remaining)
    throw new Error("a record goes beyond its batch");
  const end = cursor.position + sizeBytes;
  cursor.uint8();
  const timestampDelta = cursor.varlong();
  const restStart = cursor.position;
  const offsetDelta = cursor.varint();
  const keyBytes = cursor.varint();
  const key = keyBytes < 0 ? null : cursor.slice(keyBytes);
  const isTombstone = cursor.varint() < 0;
  if (cursor.position > end) throw new Error("a record is longer than it says");
  cursor.position = end;
  return { start, restStart, end, timestampDelta, offsetDelta, key, isTombstone };
}

function corrupt(message: string, cause?: unknown): KafkaError {
  return new KafkaError("CORRUPT_MESSAGE", message, { cause });
}
