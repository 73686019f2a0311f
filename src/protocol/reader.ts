import { type Uuid, uuidFromBytes } from "../base/ids.ts";
import { ProtocolError, type ProtocolErrorKind } from "./errors.ts";
import { EMPTY_BYTES } from "./plan.ts";

/** A tagged field that the schema does not know, as it came. */
export interface UnknownTag {
  readonly tag: number;
  readonly bytes: Buffer;
}

/**
 * Key under which a decoded struct keeps the tagged fields that its schema does not know, so that
 * encoding it again loses nothing. Absent when there are none.
 */
export const UNKNOWN_TAGS: unique symbol = Symbol("unknown tagged fields");

/** More unknown tagged fields than this in one struct are skipped, not kept. */
export const MAX_UNKNOWN_TAGS = 64;

/** What one kept unknown tag takes in memory besides its bytes. */
const UNKNOWN_TAG_HEAP_BYTES = 160;

const BASE_BUDGET_BYTES = 1024 * 1024;
const BUDGET_FACTOR = 16;
const MAX_BUDGET_BYTES = 64 * 1024 * 1024;

/**
 * What decoding `wireBytes` bytes may allocate in memory, apart from the bytes themselves, which
 * stay slices. Real messages need about 4 times their wire size; a bomb of empty structs up to 50.
 */
export function decodeBudgetBytes(wireBytes: number): number {
  return Math.min(BASE_BUDGET_BYTES + BUDGET_FACTOR * wireBytes, MAX_BUDGET_BYTES);
}

/**
 * Reads the primitives of the protocol from `buffer`, between `position` and `end`. Every method
 * checks its bounds first; whatever is wrong ends in a ProtocolError that names the subject.
 */
export class Reader {
  readonly buffer: Buffer;
  readonly subject: string;
  /** Next byte to read. Compiled codecs move it themselves after `need`. */
  position: number;
  /** First byte that does not belong to the message, or to the tagged field being read. */
  end: number;
  #budgetBytes: number;

  constructor(buffer: Buffer, subject: string, position = 0) {
    this.buffer = buffer;
    this.subject = subject;
    this.position = position;
    this.end = buffer.length;
    this.#budgetBytes = decodeBudgetBytes(buffer.length - position);
    if (position > buffer.length) this.fail("truncated", "the bytes end before it begins");
  }

  fail(kind: ProtocolErrorKind, text: string): never {
    throw new ProtocolError(kind, `${this.subject}: ${text}, at byte ${this.position}`);
  }

  /** Checks that `bytes` more are there. */
  need(bytes: number): void {
    if (bytes > this.end - this.position) {
      this.fail("truncated", `${bytes} bytes needed, ${this.end - this.position} left`);
    }
  }

  /** Checks that all has been read. */
  finish(): void {
    if (this.position !== this.end) {
      this.fail("malformed", `${this.end - this.position} bytes too many`);
    }
  }

  bool(): boolean {
    const value = this.#byte();
    if (value > 1) this.failBoolean(value);
    return value === 1;
  }

  int8(): number {
    this.need(1);
    return this.buffer.readInt8(this.position++);
  }

  int16(): number {
    return this.buffer.readInt16BE(this.#take(2));
  }

  uint16(): number {
    return this.buffer.readUInt16BE(this.#take(2));
  }

  int32(): number {
    return this.buffer.readInt32BE(this.#take(4));
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.#take(4));
  }

  /** An int64 that must be a safe integer. */
  int64(): number {
    const position = this.#take(8);
    const high = this.buffer.readInt32BE(position);
    const value = high * 2 ** 32 + this.buffer.readUInt32BE(position + 4);
    if (!Number.isSafeInteger(value)) this.failUnsafe();
    return value;
  }

  exactInt64(): bigint {
    return this.buffer.readBigInt64BE(this.#take(8));
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.#take(8));
  }

  uuid(): Uuid {
    const start = this.#take(16);
    return uuidFromBytes(this.buffer.subarray(start, start + 16));
  }

  /** An unsigned varint of at most 32 bits. */
  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    const last = this.#byte();
    if (last > 0x0f) this.fail("malformed", "a varint of more than 32 bits");
    return (value | (last << 28)) >>> 0;
  }

  /** A zigzag varint of at most 32 bits. */
  varint(): number {
    const value = this.uvarint();
    return (value >>> 1) ^ -(value & 1);
  }

  /** A zigzag varint of at most 64 bits. */
  varlong(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 63n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return (value >> 1n) ^ -(value & 1n);
    }
    const last = this.#byte();
    if (last > 1) this.fail("malformed", "a varint of more than 64 bits");
    value |= BigInt(last) << 63n;
    return (value >> 1n) ^ -(value & 1n);
  }

  string(): string {
    return this.#text(this.int16()) ?? this.failNull();
  }

  nullableString(): string | null {
    return this.#text(this.int16());
  }

  compactString(): string {
    return this.#text(this.uvarint() - 1) ?? this.failNull();
  }

  compactNullableString(): string | null {
    return this.#text(this.uvarint() - 1);
  }

  /** A slice of the buffer, never a copy. */
  bytes(): Buffer {
    return this.#slice(this.int32()) ?? this.failNull();
  }

  nullableBytes(): Buffer | null {
    return this.#slice(this.int32());
  }

  compactBytes(): Buffer {
    return this.#slice(this.uvarint() - 1) ?? this.failNull();
  }

  compactNullableBytes(): Buffer | null {
    return this.#slice(this.uvarint() - 1);
  }

  /**
   * An array's length; -1 for null. Refused when the rest could not hold that many elements, or
   * when they would not fit the budget, before anything is allocated.
   */
  arrayLength(elementWireBytes: number, elementHeapBytes: number): number {
    return this.#checkedLength(this.int32(), elementWireBytes, elementHeapBytes);
  }

  compactArrayLength(elementWireBytes: number, elementHeapBytes: number): number {
    return this.#checkedLength(this.uvarint() - 1, elementWireBytes, elementHeapBytes);
  }

  /** The byte before a nullable struct: whether it is there. */
  structPresence(): boolean {
    const marker = this.int8();
    if (marker !== 1 && marker !== -1) this.fail("malformed", `${marker} before a struct`);
    return marker === 1;
  }

  /** The same within a tagged field. */
  taggedStructPresence(): boolean {
    const marker = this.uvarint();
    if (marker !== 1 && marker !== 0) this.fail("malformed", `${marker} before a struct`);
    return marker === 1;
  }

  /** How many tagged fields follow. Each takes two bytes or more. */
  tagCount(): number {
    const count = this.uvarint();
    if (count * 2 > this.end - this.position) {
      this.fail("truncated", `${count} tagged fields do not fit in the rest`);
    }
    return count;
  }

  /** Reads a tagged field's size and narrows `end` to it. Returns the end to restore. */
  enterTag(): number {
    const size = this.uvarint();
    this.need(size);
    const outerEnd = this.end;
    this.end = this.position + size;
    return outerEnd;
  }

  /** Checks that the tagged field was read to its end. */
  leaveTag(outerEnd: number): void {
    this.finish();
    this.end = outerEnd;
  }

  /** Takes the tagged field that was entered; adds it to those kept, unless there are too many. */
  keepUnknownTag(kept: UnknownTag[] | undefined, tag: number): UnknownTag[] | undefined {
    const start = this.position;
    this.position = this.end;
    if (kept !== undefined && kept.length >= MAX_UNKNOWN_TAGS) return kept;
    this.#charge(UNKNOWN_TAG_HEAP_BYTES);
    const entry = { tag, bytes: this.buffer.subarray(start, this.end) };
    if (kept === undefined) return [entry];
    kept.push(entry);
    return kept;
  }

  failNull(): never {
    return this.fail("malformed", "null where the version has none");
  }

  failBoolean(value: number): never {
    return this.fail("malformed", `${value} is no boolean`);
  }

  failUnsafe(): never {
    return this.fail("unsafe-int64", "an int64 beyond ±(2^53 - 1)");
  }

  #take(bytes: number): number {
    this.need(bytes);
    const start = this.position;
    this.position = start + bytes;
    return start;
  }

  #byte(): number {
    this.need(1);
    return this.buffer.readUInt8(this.position++);
  }

  #text(length: number): string | null {
    if (length <= 0) return length === 0 ? "" : this.#null(length);
    const start = this.#take(length);
    return this.buffer.toString("utf8", start, start + length);
  }

  #slice(length: number): Buffer | null {
    if (length <= 0) return length === 0 ? EMPTY_BYTES : this.#null(length);
    const start = this.#take(length);
    return this.buffer.subarray(start, start + length);
  }

  #checkedLength(count: number, elementWireBytes: number, elementHeapBytes: number): number {
    if (count <= 0) {
      if (count < 0) this.#null(count);
      return count;
    }
    if (count * elementWireBytes > this.end - this.position) {
      this.fail("truncated", `${count} elements do not fit in the rest`);
    }
    this.#charge(count * elementHeapBytes);
    return count;
  }

  #charge(bytes: number): void {
    this.#budgetBytes -= bytes;
    if (this.#budgetBytes < 0) this.fail("too-large", "it would take too much memory");
  }

  #null(length: number): null {
    if (length !== -1) this.fail("malformed", `${length} is no length`);
    return null;
  }
}
