import { KafkaError } from "../errors.ts";
import { batchBaseTimestamp, batchRecordCount } from "./batch.ts";
import { RecordCursor } from "./varint.ts";

/** What a topic asks of each record. */
export interface RecordRules {
  /** Compacted topics take no record without a key. */
  readonly needsKey: boolean;
  /** Where timestamps may lie; null: the broker's own time replaces them. */
  readonly timestamps: TimestampWindow | null;
}

export interface TimestampWindow {
  readonly nowMs: number;
  /** Infinity: any. */
  readonly beforeMaxMs: number;
  readonly afterMaxMs: number;
}

/** One record that may not be, by its place in the batch. */
export interface RecordError {
  readonly batchIndex: number;
  readonly message: string;
}

/** The batch was refused because of some of its records; Produce names them (KIP-467). */
export class RecordsRefusedError extends KafkaError {
  readonly recordErrors: readonly RecordError[];

  constructor(name: "INVALID_RECORD" | "INVALID_TIMESTAMP", recordErrors: readonly RecordError[]) {
    const [first] = recordErrors;
    super(name, `records of the batch are refused; record ${first?.batchIndex}: ${first?.message}`);
    this.recordErrors = recordErrors;
  }
}

/** A record that carries no time: no window is asked of it. */
export const NO_TIMESTAMP = -1;
/**
 * So many records of a refused batch are named. The answer to a batch of empty records would be twelve
 * times its size otherwise.
 */
const MAX_RECORD_ERRORS = 100;

/**
 * Reads every record of a client's batch, given its inflated body, as Kafka's LogValidator does: each must
 * be whole, hold what its fields say and nothing else, take the offset after the one before, and obey the
 * rules. The one per-record work of the data path (docs/decisions/0005), hence no object for a record.
 * Returns the greatest timestamp (-1: none). Throws RecordsRefusedError for records against the rules,
 * KafkaError INVALID_RECORD where the body is not as many records as the header says.
 */
export function validateRecords(batch: Buffer, body: Buffer, rules: RecordRules): number {
  const baseTimestamp = batchBaseTimestamp(batch);
  const recordCount = batchRecordCount(batch);
  const refused = new RefusedRecords();
  const cursor = new SwiftCursor(body);
  let maxTimestamp = NO_TIMESTAMP;
  for (let index = 0; index < recordCount; index += 1) {
    const sizeBytes = cursor.varint();
    const end = cursor.at + sizeBytes;
    if (sizeBytes < 0 || end > body.length) damaged(index, "goes beyond its batch");
    // Attributes of a record: none are defined.
    cursor.at += 1;
    const timestamp = baseTimestamp + cursor.varlong();
    const offsetDelta = cursor.varint();
    if (offsetDelta !== index) damaged(index, `has the offset delta ${offsetDelta}`);
    const keyBytes = cursor.skipNullable();
    cursor.skipNullable();
    const headerCount = cursor.varint();
    if (headerCount !== 0) skipHeaders(cursor, headerCount, end);
    // Lengths only lead on, so that whatever a lie about one has skipped is found here.
    if (cursor.at !== end) damaged(index, "is not as long as what it holds");
    refused.check(index, keyBytes >= 0, timestamp, rules);
    if (timestamp > maxTimestamp) maxTimestamp = timestamp;
  }
  if (cursor.at !== body.length) refuse("bytes follow the last record of the batch");
  refused.throwIfAny();
  return maxTimestamp;
}

/** Whether a record of that time may be. */
export function isWithin(timestamp: number, window: TimestampWindow): boolean {
  if (timestamp === NO_TIMESTAMP) return true;
  const ageMs = window.nowMs - timestamp;
  return ageMs <= window.beforeMaxMs && -ageMs <= window.afterMaxMs;
}

/** For people: why `isWithin` says no. */
export function outsideOf(timestamp: number, window: TimestampWindow): string {
  const from = window.nowMs - window.beforeMaxMs;
  const to = window.nowMs + window.afterMaxMs;
  return `timestamp ${timestamp} is out of range, it must lie within [${from}, ${to}]`;
}

/** Those against the rules, if any. */
class RefusedRecords {
  #errors: RecordError[] | null = null;
  #hasTimestamp = false;

  check(index: number, hasKey: boolean, timestamp: number, rules: RecordRules): void {
    const { needsKey, timestamps } = rules;
    if (needsKey && !hasKey) {
      this.#add(index, "a compacted topic takes no record without a key");
    } else if (timestamps !== null && !isWithin(timestamp, timestamps)) {
      this.#hasTimestamp = true;
      this.#add(index, outsideOf(timestamp, timestamps));
    }
  }

  throwIfAny(): void {
    if (this.#errors === null) return;
    const name = this.#hasTimestamp ? "INVALID_TIMESTAMP" : "INVALID_RECORD";
    throw new RecordsRefusedError(name, this.#errors);
  }

  #add(batchIndex: number, message: string): void {
    this.#errors ??= [];
    if (this.#errors.length < MAX_RECORD_ERRORS) this.#errors.push({ batchIndex, message });
  }
}

/**
 * A RecordCursor for bytes that are right, as nearly all are: a varint of one byte is read in place, and
 * nothing is checked that the end of the record shows. Behind the last byte the other cursor finds out.
 */
class SwiftCursor {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  varint(): number {
    const raw = this.#bytes[this.at] ?? 0xff;
    if (raw >= 0x80) return this.#twoBytes() ?? this.#read("varint");
    this.at += 1;
    return (raw >>> 1) ^ -(raw & 1);
  }

  varlong(): number {
    const raw = this.#bytes[this.at] ?? 0xff;
    if (raw >= 0x80) return this.#twoBytes() ?? this.#read("varlong");
    this.at += 1;
    return (raw >>> 1) ^ -(raw & 1);
  }

  /** Skips a length, -1 for null, and so many bytes. Returns the length. */
  skipNullable(): number {
    const sizeBytes = this.varint();
    if (sizeBytes < -1) refuse("a length in a record is negative");
    if (sizeBytes > 0) this.at += sizeBytes;
    return sizeBytes;
  }

  #twoBytes(): number | null {
    const second = this.#bytes[this.at + 1] ?? 0xff;
    if (second >= 0x80) return null;
    const raw = ((this.#bytes[this.at] ?? 0) & 0x7f) | (second << 7);
    this.at += 2;
    return (raw >>> 1) ^ -(raw & 1);
  }

  #read(type: "varint" | "varlong"): number {
    const cursor = new RecordCursor(this.#bytes, this.at);
    try {
      const value = cursor[type]();
      this.at = cursor.position;
      return value;
    } catch (error) {
      throw new KafkaError("INVALID_RECORD", "a record of the batch is cut off", { cause: error });
    }
  }
}

function skipHeaders(cursor: SwiftCursor, count: number, end: number): void {
  // A header takes two bytes at least.
  if (count < 0 || count > (end - cursor.at) / 2)
    refuse("the header count of a record is impossible");
  for (let i = 0; i < count; i += 1) {
    if (cursor.skipNullable() < 0) refuse("a header of a record has no key");
    cursor.skipNullable();
  }
}

function damaged(index: number, what: string): never {
  refuse(`record ${index} of the batch ${what}`);
}

function refuse(message: string): never {
  throw new KafkaError("INVALID_RECORD", message);
}
