import { type Uuid } from "../base/ids.ts";
import { ProtocolError } from "./errors.ts";

/** Byte fields of this size or more go out by reference. Below, copying is cheaper than a chunk. */
export const REFERENCE_BYTES = 4096;

/** Size of the buffer that writers lend from each other. */
const SCRATCH_BYTES = 64 * 1024;

/** A result above this keeps the writer's buffer instead of a copy cut to size. */
const MAX_COPIED_BYTES = 32 * 1024;

const UUID_BYTES = 16;
const UUID_TEXT_LENGTH = 22;

const MAX_INT16 = 0x7fff;
const MAX_INT32 = 0x7fffffff;

/** At most one buffer waits for the next writer; a second writer at the same time makes its own. */
let idleScratch: Buffer | null = null;

interface Reference {
  /** Where in the writer's own bytes it stands. */
  readonly position: number;
  readonly bytes: Buffer;
}

/**
 * Collects one message, or a frame. Small values are written into a buffer that is lent from the
 * last writer; large byte fields are kept by reference. Use it once, synchronously, then `finish`.
 */
export class Writer {
  /** Compiled codecs write here themselves, after `need`. */
  buffer: Buffer;
  position = 0;
  #references: Reference[] | null = null;
  #referencedBytes = 0;
  #tagDepth = 0;

  constructor() {
    this.buffer = idleScratch ?? Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    idleScratch = null;
  }

  /** Bytes written so far, referenced ones included. */
  get length(): number {
    return this.position + this.#referencedBytes;
  }

  /** Everything written, in order, large byte fields by reference. The writer is used up. */
  finish(): Buffer[] {
    const own = this.#takeOwn();
    if (this.#references === null) return [own];
    const chunks: Buffer[] = [];
    let start = 0;
    for (const { position, bytes } of this.#references) {
      if (position > start) chunks.push(own.subarray(start, position));
      chunks.push(bytes);
      start = position;
    }
    if (start < own.length) chunks.push(own.subarray(start));
    return chunks;
  }

  /** Makes room for `bytes` more at `position`. */
  need(bytes: number): void {
    if (bytes > this.buffer.length - this.position) this.#grow(bytes);
  }

  int8(value: number): void {
    this.need(1);
    this.buffer[this.position++] = value;
  }

  bool(value: boolean): void {
    this.int8(value ? 1 : 0);
  }

  int16(value: number): void {
    this.need(2);
    this.buffer[this.position++] = value >>> 8;
    this.buffer[this.position++] = value;
  }

  int32(value: number): void {
    this.need(4);
    this.int32At(this.position, value);
    this.position += 4;
  }

  /** Overwrites four bytes that were written before any reference. */
  int32At(position: number, value: number): void {
    this.buffer[position] = value >>> 24;
    this.buffer[position + 1] = value >>> 16;
    this.buffer[position + 2] = value >>> 8;
    this.buffer[position + 3] = value;
  }

  int64(value: number): void {
    const low = value >>> 0;
    this.int32((value - low) / 2 ** 32);
    this.int32(low);
  }

  exactInt64(value: bigint): void {
    this.need(8);
    this.position = this.buffer.writeBigInt64BE(value, this.position);
  }

  float64(value: number): void {
    this.need(8);
    this.position = this.buffer.writeDoubleBE(value, this.position);
  }

  uuid(value: Uuid): void {
    this.need(UUID_BYTES);
    this.uuidAt(this.position, value);
    this.position += UUID_BYTES;
  }

  /** Writes the sixteen bytes at a position where there is room. */
  uuidAt(position: number, value: Uuid): void {
    const isUuid =
      value.length === UUID_TEXT_LENGTH &&
      this.buffer.write(value, position, UUID_BYTES, "base64url") === UUID_BYTES;
    if (!isUuid) throw new ProtocolError("not-encodable", `"${value}" is no uuid`);
  }

  /** An unsigned varint of at most 32 bits. */
  uvarint(value: number): void {
    this.need(5);
    let rest = value;
    while (rest > 0x7f) {
      this.buffer[this.position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.buffer[this.position++] = rest;
  }

  /** A zigzag varint of at most 32 bits. */
  varint(value: number): void {
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  /** A zigzag varint of at most 64 bits. */
  varlong(value: bigint): void {
    this.need(10);
    let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
    while (rest > 0x7fn) {
      this.buffer[this.position++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.buffer[this.position++] = Number(rest);
  }

  string(value: string): void {
    const { length } = value;
    // Most strings are short ASCII; for them a loop is cheaper than two calls into the runtime.
    this.need(2 + length);
    if (length > SHORT_STRING_LENGTH || !this.#ascii(value, this.position + 2)) {
      this.#longString(value);
      return;
    }
    this.int16(length);
    this.position += length;
  }

  compactString(value: string): void {
    const { length } = value;
    this.need(1 + length);
    if (length > SHORT_STRING_LENGTH || !this.#ascii(value, this.position + 1)) {
      const bytes = Buffer.byteLength(value);
      this.uvarint(bytes + 1);
      this.#utf8(value, bytes);
      return;
    }
    this.buffer[this.position] = length + 1;
    this.position += 1 + length;
  }

  nullableString(value: string | null): void {
    if (value === null) this.int16(-1);
    else this.string(value);
  }

  compactNullableString(value: string | null): void {
    if (value === null) this.int8(0);
    else this.compactString(value);
  }

  bytes(value: Buffer): void {
    this.int32(value.length);
    this.raw(value);
  }

  compactBytes(value: Buffer): void {
    this.uvarint(value.length + 1);
    this.raw(value);
  }

  nullableBytes(value: Buffer | null): void {
    if (value === null) this.int32(-1);
    else this.bytes(value);
  }

  compactNullableBytes(value: Buffer | null): void {
    if (value === null) this.int8(0);
    else this.compactBytes(value);
  }

  /** The bytes without a length; by reference when they are many. They must not change any more. */
  raw(value: Buffer): void {
    if (value.length >= REFERENCE_BYTES && this.#tagDepth === 0) {
      (this.#references ??= []).push({ position: this.position, bytes: value });
      this.#referencedBytes += value.length;
      return;
    }
    this.need(value.length);
    this.buffer.set(value, this.position);
    this.position += value.length;
  }

  arrayLength(count: number): void {
    if (count > MAX_INT32) throw new ProtocolError("not-encodable", `${count} elements`);
    this.int32(count);
  }

  compactArrayLength(count: number): void {
    if (count >= MAX_INT32) throw new ProtocolError("not-encodable", `${count} elements`);
    this.uvarint(count + 1);
  }

  /** Begins a tagged field: its number, and room for a size of one byte. Returns where that is. */
  beginTag(tag: number): number {
    this.uvarint(tag);
    this.need(1);
    this.#tagDepth += 1;
    return this.position++;
  }

  /** Ends it: writes the size, moving the content when the size takes more than one byte. */
  endTag(sizePosition: number): void {
    this.#tagDepth -= 1;
    const start = sizePosition + 1;
    const size = this.position - start;
    if (size < 0x80) {
      this.buffer[sizePosition] = size;
      return;
    }
    const contentEnd = this.position;
    const shift = uvarintBytes(size) - 1;
    this.need(shift);
    this.buffer.copyWithin(start + shift, start, contentEnd);
    this.position = sizePosition;
    this.uvarint(size);
    this.position = contentEnd + shift;
  }

  #takeOwn(): Buffer {
    const { buffer, position } = this;
    this.buffer = USED_UP;
    this.position = 0;
    if (position > MAX_COPIED_BYTES) return buffer.subarray(0, position);
    const own = Buffer.allocUnsafe(position);
    own.set(buffer.subarray(0, position));
    if (buffer.length === SCRATCH_BYTES) idleScratch = buffer;
    return own;
  }

  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.position + bytes));
    larger.set(this.buffer.subarray(0, this.position));
    this.buffer = larger;
  }

  /** Writes the string at `position` unless it holds something else than ASCII. */
  #ascii(value: string, position: number): boolean {
    const { buffer } = this;
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index);
      if (code > 0x7f) return false;
      buffer[position + index] = code;
    }
    return true;
  }

  #longString(value: string): void {
    const bytes = Buffer.byteLength(value);
    if (bytes > MAX_INT16) {
      throw new ProtocolError("not-encodable", `a string of ${bytes} bytes`);
    }
    this.int16(bytes);
    this.#utf8(value, bytes);
  }

  #utf8(value: string, bytes: number): void {
    this.need(bytes);
    this.position += this.buffer.write(value, this.position, bytes, "utf8");
  }
}

/** Up to this many characters the compact length is one byte, too. */
const SHORT_STRING_LENGTH = 64;

const USED_UP: Buffer = Buffer.alloc(0);

/** How many bytes the unsigned varint takes. */
export function uvarintBytes(value: number): number {
  let count = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) count += 1;
  return count;
}
