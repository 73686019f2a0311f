import { assert } from "../../base/assert.ts";

// The wire form of Protocol Buffers, as far as messages between nodes need it: whole numbers from 0 to 2^53,
// booleans, texts, bytes, messages. The .proto files beside the codecs say what is where; tests read each
// message with a package that knows them. Values that are the default are left out, as in proto3.

/** Bytes that are no such message. */
export class ProtobufError extends Error {
  override readonly name = "ProtobufError";
}

/** A message has no more fields than this, so that small ones cannot fill the memory. */
const MAX_FIELDS = 65_536;
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Writes one message, field by field. */
export class ProtobufWriter {
  readonly #chunks: Buffer[] = [];
  #lengthBytes = 0;

  uint(field: number, value: number): void {
    if (value !== 0) this.#number(field, value);
  }

  /** null: left out, which is not the same as 0. */
  optionalUint(field: number, value: number | null): void {
    if (value !== null) this.#number(field, value);
  }

  bool(field: number, value: boolean): void {
    if (value) this.#number(field, 1);
  }

  /** Each as a field of its own, also when it is empty. */
  repeatedUint(field: number, values: readonly number[]): void {
    for (const value of values) this.#number(field, value);
  }

  string(field: number, text: string): void {
    this.bytes(field, Buffer.from(text, "utf8"));
  }

  bytes(field: number, bytes: Buffer): void {
    if (bytes.length > 0) this.#delimited(field, bytes);
  }

  /** Written also when there is nothing in it. */
  message(field: number, write: (writer: ProtobufWriter) => void): void {
    const inner = new ProtobufWriter();
    write(inner);
    this.#push(varint(field * 8 + BYTES));
    this.#push(varint(inner.#lengthBytes));
    for (const chunk of inner.#chunks) this.#push(chunk);
  }

  /** The one place where bytes are copied. */
  finish(): Buffer {
    return Buffer.concat(this.#chunks, this.#lengthBytes);
  }

  #number(field: number, value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, "a field's number is whole and not below 0");
    this.#push(varint(field * 8 + VARINT));
    this.#push(varint(value));
  }

  #delimited(field: number, bytes: Buffer): void {
    this.#push(varint(field * 8 + BYTES));
    this.#push(varint(bytes.length));
    this.#push(bytes);
  }

  #push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#lengthBytes += chunk.length;
  }
}

/** One message, read; its bytes are slices of what was given. A field that is not there has its default. */
export class ProtobufReader {
  readonly #fields = new Map<number, (number | Buffer)[]>();

  /** Throws ProtobufError. */
  constructor(bytes: Buffer) {
    const cursor = new Cursor(bytes);
    for (let count = 0; !cursor.isAtEnd; count += 1) {
      if (count === MAX_FIELDS) throw new ProtobufError(`more than ${MAX_FIELDS} fields`);
      const { field, value } = cursor.field();
      const values = this.#fields.get(field);
      if (values === undefined) this.#fields.set(field, [value]);
      else values.push(value);
    }
  }

  /** Whose field numbers are there. */
  get fields(): Iterable<number> {
    return this.#fields.keys();
  }

  uint(field: number): number {
    return this.optionalUint(field) ?? 0;
  }

  optionalUint(field: number): number | null {
    const value = this.#fields.get(field)?.at(-1);
    return value === undefined ? null : asNumber(field, value);
  }

  bool(field: number): boolean {
    return this.uint(field) !== 0;
  }

  repeatedUint(field: number): readonly number[] {
    return (this.#fields.get(field) ?? []).flatMap((value) =>
      // A writer may also pack them all into one.
      typeof value === "number" ? value : new Cursor(value).packed(),
    );
  }

  string(field: number): string {
    return this.bytes(field).toString("utf8");
  }

  bytes(field: number): Buffer {
    const value = this.#fields.get(field)?.at(-1);
    return value === undefined ? Buffer.alloc(0) : asBytes(field, value);
  }

  /** null: it is not there. */
  message(field: number): ProtobufReader | null {
    const value = this.#fields.get(field)?.at(-1);
    return value === undefined ? null : new ProtobufReader(asBytes(field, value));
  }

  messages(field: number): readonly ProtobufReader[] {
    return (this.#fields.get(field) ?? []).map(
      (value) => new ProtobufReader(asBytes(field, value)),
    );
  }
}

class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  field(): { readonly field: number; readonly value: number | Buffer } {
    const tag = this.varint();
    const field = Math.floor(tag / 8);
    if (field === 0) throw new ProtobufError("a field has the number 0");
    switch (tag % 8) {
      case VARINT:
        return { field, value: this.varint() };
      case BYTES:
        return { field, value: this.#take(this.varint()) };
      case FIXED64:
        return { field, value: this.#take(8) };
      case FIXED32:
        return { field, value: this.#take(4) };
      default:
        throw new ProtobufError(`wire type ${tag % 8} is not known`);
    }
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw new ProtobufError("it ends within a number");
      this.#at += 1;
      value += (byte & 0x7f) * factor;
      if (value > Number.MAX_SAFE_INTEGER) throw new ProtobufError("a number is beyond 2^53");
      if (byte < 0x80) return value;
      if (factor > Number.MAX_SAFE_INTEGER) throw new ProtobufError("a number is too long");
    }
  }

  packed(): number[] {
    const values: number[] = [];
    while (!this.isAtEnd) {
      if (values.length === MAX_FIELDS) throw new ProtobufError(`more than ${MAX_FIELDS} numbers`);
      values.push(this.varint());
    }
    return values;
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new ProtobufError("it ends within a field");
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

function asNumber(field: number, value: number | Buffer): number {
  if (typeof value === "number") return value;
  throw new ProtobufError(`field ${field} should be a number`);
}

function asBytes(field: number, value: number | Buffer): Buffer {
  if (typeof value !== "number") return value;
  throw new ProtobufError(`field ${field} should be bytes`);
}
