/**
 * Zigzag varints and varlongs of records. The reader is a cursor over bytes that anybody may have
 * sent: it throws a plain Error where they end too early; `record.ts` gives that its name.
 */
export class RecordCursor {
  readonly bytes: Buffer;
  position: number;
  /** Reads stop here. */
  end: number;

  constructor(bytes: Buffer, position = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  uint8(): number {
    if (this.position >= this.end) throw new Error("a record is cut off");
    return this.bytes[this.position++] ?? 0;
  }

  /** int32, at most five bytes; bits above 32 in the fifth are dropped, as Kafka's Java reader does. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.uint8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    throw new Error("a varint has more than five bytes");
  }

  /** int64, at most ten bytes; beyond ±(2^53 - 1) it is clamped to that. */
  varlong(): number {
    const start = this.position;
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 7; i += 1) {
      const byte = this.uint8();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      factor *= 128;
    }
    this.position = start;
    return this.#longVarlong();
  }

  /** `length` bytes, sliced. */
  slice(length: number): Buffer {
    if (length > this.remaining) throw new Error("a length goes beyond its record");
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }

  #longVarlong(): number {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.uint8();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        const raw = BigInt.asUintN(64, value);
        return clampToSafe(BigInt.asIntN(64, (raw >> 1n) ^ -(raw & 1n)));
      }
    }
    throw new Error("a varlong has more than ten bytes");
  }
}

/** Bytes of the zigzag varint of an int32. */
export function varintBytes(value: number): number {
  const raw = ((value << 1) ^ (value >> 31)) >>> 0;
  return raw < 0x80 ? 1 : Math.ceil((32 - Math.clz32(raw)) / 7);
}

/** Writes an int32; returns the position after it. */
export function writeVarint(target: Buffer, position: number, value: number): number {
  let at = position;
  let raw = ((value << 1) ^ (value >> 31)) >>> 0;
  for (; raw >= 0x80; raw >>>= 7) target[at++] = (raw & 0x7f) | 0x80;
  target[at++] = raw;
  return at;
}

/** Bytes of the zigzag varlong of a safe integer. */
export function varlongBytes(value: number): number {
  let raw = zigzag(value);
  let sizeBytes = 1;
  for (; raw >= 0x80; raw = Math.floor(raw / 0x80)) sizeBytes += 1;
  return sizeBytes;
}

/** Writes a safe integer; returns the position after it. */
export function writeVarlong(target: Buffer, position: number, value: number): number {
  if (value > 0x3fffffff_ffff || value < -0x3fffffff_ffff) return writeBig(target, position, value);
  let at = position;
  let raw = zigzag(value);
  for (; raw >= 0x80; raw = Math.floor(raw / 0x80)) target[at++] = (raw % 0x80) | 0x80;
  target[at++] = raw;
  return at;
}

/** Exact up to 2^52; above it is off by one at most, which does not change how many bytes it takes. */
function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function writeBig(target: Buffer, position: number, value: number): number {
  let at = position;
  const wide = BigInt(value);
  let raw = BigInt.asUintN(64, (wide << 1n) ^ (wide >> 63n));
  for (; raw >= 0x80n; raw >>= 7n) target[at++] = Number(raw & 0x7fn) | 0x80;
  target[at++] = Number(raw);
  return at;
}

function clampToSafe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) return Number.MAX_SAFE_INTEGER;
  if (value < BigInt(Number.MIN_SAFE_INTEGER)) return Number.MIN_SAFE_INTEGER;
  return Number(value);
}
