import { copyLiterals, copyMatch, forEachMatch } from "./compression-matches.ts";

/**
 * Snappy in both forms that producers send: xerial's framing (Java, kafkajs, librdkafka) and one raw
 * block (sarama, franz-go). Damage throws plain Errors; `compression.ts` gives them their name.
 */

/** 0x82 "SNAPPY" 0x00. No raw block that begins so makes sense: it would say 10,498 bytes and then fail. */
const XERIAL_MAGIC = Buffer.from("82534e4150505900", "hex");
/** Magic, version and lowest compatible version. */
const XERIAL_HEADER_BYTES = 16;
const XERIAL_BLOCK_BYTES = 32_768;
/** A copy element repeats at most so many bytes. */
const MAX_COPY_BYTES = 64;

/** Inflates to at most `maxBytes`; nothing is allocated for a block that says more. */
export function snappyInflate(input: Buffer, maxBytes: number): Buffer {
  if (!startsWithMagic(input, 0)) return inflateBlock(input, maxBytes);
  const chunks: Buffer[] = [];
  let restBytes = maxBytes;
  let position = 0;
  while (position < input.length) {
    if (startsWithMagic(input, position)) {
      // Concatenated streams repeat the header.
      position += XERIAL_HEADER_BYTES;
      if (position > input.length) throw new Error("the snappy header is cut off");
      continue;
    }
    if (input.length - position < 4) throw new Error("a snappy chunk is cut off");
    const sizeBytes = input.readUInt32BE(position);
    position += 4;
    if (sizeBytes > input.length - position) throw new Error("a snappy chunk is cut off");
    const chunk = inflateBlock(input.subarray(position, position + sizeBytes), restBytes);
    chunks.push(chunk);
    restBytes -= chunk.length;
    position += sizeBytes;
  }
  return Buffer.concat(chunks);
}

/** Packs with xerial's framing, in blocks of 32 KiB as Kafka's Java producer does. */
export function snappyDeflate(input: Buffer): Buffer {
  const header = Buffer.alloc(XERIAL_HEADER_BYTES);
  XERIAL_MAGIC.copy(header);
  header.writeInt32BE(1, 8);
  header.writeInt32BE(1, 12);
  const chunks: Buffer[] = [header];
  for (let start = 0; start < input.length; start += XERIAL_BLOCK_BYTES) {
    const block = deflateBlock(input.subarray(start, start + XERIAL_BLOCK_BYTES));
    const size = Buffer.alloc(4);
    size.writeUInt32BE(block.length);
    chunks.push(size, block);
  }
  return Buffer.concat(chunks);
}

/** One raw block of at most 64 KiB of data. */
export function deflateBlock(input: Buffer): Buffer {
  const output = Buffer.allocUnsafe(32 + input.length + Math.floor(input.length / 6));
  let written = 0;
  let literalsStart = 0;
  for (let rest = input.length; ; rest >>>= 7) {
    output[written++] = rest < 0x80 ? rest : (rest & 0x7f) | 0x80;
    if (rest < 0x80) break;
  }
  const writeLiterals = (end: number): void => {
    const last = end - literalsStart - 1;
    if (last < 0) return;
    if (last < 60) {
      output[written++] = last << 2;
    } else {
      output[written++] = 61 << 2;
      written = output.writeUInt16LE(last, written);
    }
    written += input.copy(output, written, literalsStart, end);
  };
  const range = { start: 0, lastStart: input.length, end: input.length };
  forEachMatch(input, range, (at, distance, length) => {
    writeLiterals(at);
    literalsStart = at + length;
    for (let rest = length; rest > 0; rest -= MAX_COPY_BYTES) {
      output[written++] = ((Math.min(rest, MAX_COPY_BYTES) - 1) << 2) | 2;
      written = output.writeUInt16LE(distance, written);
    }
  });
  writeLiterals(input.length);
  return output.subarray(0, written);
}

function startsWithMagic(input: Buffer, position: number): boolean {
  return (
    input.length - position >= XERIAL_MAGIC.length &&
    input.compare(XERIAL_MAGIC, 0, XERIAL_MAGIC.length, position, position + 8) === 0
  );
}

function inflateBlock(input: Buffer, maxBytes: number): Buffer {
  const { value: outputBytes, next } = readLength(input);
  if (outputBytes > maxBytes) throw new Error("snappy data grows beyond the bound");
  // The longest element makes 64 bytes from 3: what says more is a lie, and costs no allocation.
  if (outputBytes > (input.length - next) * 22) throw new Error("a snappy block says too much");
  const output = Buffer.allocUnsafe(outputBytes);
  let position = next;
  let written = 0;
  while (position < input.length) {
    const tag = input[position++] ?? 0;
    if ((tag & 3) === 0) {
      const literal = readLiteralLength(input, position, tag >> 2);
      position = literal.next;
      if (literal.value > input.length - position || literal.value > outputBytes - written) {
        throw new Error("snappy literals go beyond their block");
      }
      copyLiterals(input, position, output, written, literal.value);
      written += literal.value;
      position += literal.value;
      continue;
    }
    const copy = readCopy(input, position, tag);
    position = copy.next;
    if (copy.distance === 0 || copy.distance > written || copy.length > outputBytes - written) {
      throw new Error("a snappy copy goes beyond the output");
    }
    copyMatch(output, written, copy.distance, copy.length);
    written += copy.length;
  }
  if (written !== outputBytes) throw new Error("a snappy block makes less than it says");
  return output;
}

function readLength(input: Buffer): { value: number; next: number } {
  let value = 0;
  for (let i = 0; i < 5; i += 1) {
    const byte = input[i];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, next: i + 1 };
  }
  throw new Error("the length of a snappy block is damaged");
}

function readLiteralLength(
  input: Buffer,
  position: number,
  code: number,
): { value: number; next: number } {
  if (code < 60) return { value: code + 1, next: position };
  const lengthBytes = code - 59;
  if (input.length - position < lengthBytes) throw new Error("a snappy element is cut off");
  return { value: input.readUIntLE(position, lengthBytes) + 1, next: position + lengthBytes };
}

function readCopy(
  input: Buffer,
  position: number,
  tag: number,
): { length: number; distance: number; next: number } {
  const distanceBytes = (tag & 3) === 3 ? 4 : tag & 3;
  if (input.length - position < distanceBytes) throw new Error("a snappy element is cut off");
  if (distanceBytes === 1) {
    const distance = ((tag >> 5) << 8) | (input[position] ?? 0);
    return { length: ((tag >> 2) & 7) + 4, distance, next: position + 1 };
  }
  const distance = input.readUIntLE(position, distanceBytes);
  return { length: (tag >> 2) + 1, distance, next: position + distanceBytes };
}
