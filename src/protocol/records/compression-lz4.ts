import { copyLiterals, copyMatch, forEachMatch } from "./compression-matches.ts";

/**
 * The LZ4 frame format, as Kafka uses it since message format 1. Written here because the packages
 * inflate without a bound. Damage throws plain Errors; `compression.ts` gives them their name.
 */

const MAGIC = 0x184d2204;
const VERSION_MASK = 0xc0;
const VERSION = 0x40;
const BLOCK_INDEPENDENCE_FLAG = 0x20;
const BLOCK_CHECKSUM_FLAG = 0x10;
const CONTENT_SIZE_FLAG = 0x08;
const CONTENT_CHECKSUM_FLAG = 0x04;
const DICTIONARY_FLAG = 0x01;
/** Of a block's size: the block is stored as it is. */
const STORED_FLAG = 0x80000000;
/** Block size code 4, the one that Kafka's producers write. */
const BLOCK_DESCRIPTOR = 0x40;
const BLOCK_BYTES = 65_536;
const MIN_MATCH_BYTES = 4;
/** The format ends every block in five literals, and starts no match in its last twelve bytes. */
const LAST_LITERALS_BYTES = 5;
const MATCH_FREE_TAIL_BYTES = 12;
const FRAME_HEADER_MIN_BYTES = 7;

interface Block {
  readonly start: number;
  readonly end: number;
  readonly isStored: boolean;
  readonly outputBytes: number;
}

/**
 * Inflates all frames of `input` to at most `maxBytes`. Walks the tokens before it allocates, so that
 * a bomb costs reading its own bytes and no memory.
 */
export function lz4Inflate(input: Buffer, maxBytes: number): Buffer {
  const blocks: Block[] = [];
  let position = 0;
  let outputBytes = 0;
  while (position < input.length) {
    const frame = readFrameHeader(input, position);
    const frameStart = outputBytes;
    position = frame.end;
    for (;;) {
      const block = readBlock(input, position, frame, outputBytes - frameStart);
      if (block === null) break;
      outputBytes += block.outputBytes;
      if (outputBytes > maxBytes) throw new Error("lz4 data grows beyond the bound");
      if (block.outputBytes > 0) blocks.push(block);
      position = block.end + (frame.hasBlockChecksum ? 4 : 0);
    }
    position += 4 + (frame.hasContentChecksum ? 4 : 0);
    if (position > input.length) throw new Error("the lz4 frame is cut off");
  }
  return copyBlocks(input, blocks, outputBytes);
}

/** One frame of independent 64 KiB blocks, without checksums: what Kafka's Java producer writes. */
export function lz4Deflate(input: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_MIN_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header[4] = VERSION | BLOCK_INDEPENDENCE_FLAG;
  header[5] = BLOCK_DESCRIPTOR;
  header[6] = (xxHash32(header, 4, 6) >>> 8) & 0xff;
  const chunks: Buffer[] = [header];
  for (let start = 0; start < input.length; start += BLOCK_BYTES) {
    const end = Math.min(start + BLOCK_BYTES, input.length);
    const size = Buffer.alloc(4);
    const packed = deflateBlock(input, start, end);
    const isStored = packed.length >= end - start;
    size.writeUInt32LE(isStored ? (STORED_FLAG | (end - start)) >>> 0 : packed.length);
    chunks.push(size, isStored ? input.subarray(start, end) : packed);
  }
  chunks.push(Buffer.alloc(4));
  return Buffer.concat(chunks);
}

interface FrameHeader {
  readonly end: number;
  readonly isIndependent: boolean;
  readonly hasBlockChecksum: boolean;
  readonly hasContentChecksum: boolean;
  readonly blockMaxBytes: number;
}

function readFrameHeader(input: Buffer, start: number): FrameHeader {
  if (input.length - start < FRAME_HEADER_MIN_BYTES || readUInt32(input, start) !== MAGIC) {
    throw new Error("not an lz4 frame");
  }
  const flags = byteAt(input, start + 4);
  const blockCode = (byteAt(input, start + 5) >> 4) & 0x07;
  if ((flags & VERSION_MASK) !== VERSION) throw new Error("unknown version of the lz4 frame");
  if ((flags & DICTIONARY_FLAG) !== 0) throw new Error("an lz4 dictionary is not supported");
  if (blockCode < 4) throw new Error("unknown block size of the lz4 frame");
  const checksumAt = start + 6 + ((flags & CONTENT_SIZE_FLAG) === 0 ? 0 : 8);
  if (byteAt(input, checksumAt) !== ((xxHash32(input, start + 4, checksumAt) >>> 8) & 0xff)) {
    throw new Error("the checksum of the lz4 frame header is wrong");
  }
  return {
    end: checksumAt + 1,
    isIndependent: (flags & BLOCK_INDEPENDENCE_FLAG) !== 0,
    hasBlockChecksum: (flags & BLOCK_CHECKSUM_FLAG) !== 0,
    hasContentChecksum: (flags & CONTENT_CHECKSUM_FLAG) !== 0,
    blockMaxBytes: 2 ** (8 + 2 * blockCode),
  };
}

/** The block at `position`, or null for the end mark. */
function readBlock(
  input: Buffer,
  position: number,
  frame: FrameHeader,
  windowBytes: number,
): Block | null {
  const word = readUInt32(input, position);
  if (word === 0) return null;
  const start = position + 4;
  const end = start + (word & ~STORED_FLAG);
  const isStored = (word & STORED_FLAG) !== 0;
  if (end > input.length) throw new Error("an lz4 block goes beyond the end");
  const outputBytes = isStored
    ? end - start
    : measureBlock(input, start, end, frame.isIndependent ? 0 : windowBytes);
  if (outputBytes > frame.blockMaxBytes) throw new Error("an lz4 block is larger than announced");
  if (frame.hasBlockChecksum && readUInt32(input, end) !== xxHash32(input, start, end)) {
    throw new Error("the checksum of an lz4 block is wrong");
  }
  return { start, end, isStored, outputBytes };
}

/** How many bytes a packed block makes; afterwards every length and distance in it is known to be right. */
function measureBlock(input: Buffer, start: number, end: number, windowBytes: number): number {
  let position = start;
  let length = 0;
  for (;;) {
    if (position >= end) throw new Error("an lz4 block ends within a sequence");
    const token = byteAt(input, position++);
    let count = token >> 4;
    if (count === 15) {
      const more = readMoreLength(input, position, end);
      count += more;
      position += Math.floor(more / 255) + 1;
    }
    position += count;
    length += count;
    if (position > end) throw new Error("lz4 literals go beyond their block");
    if (position === end) return length;
    if (end - position < 2) throw new Error("an lz4 distance goes beyond its block");
    const distance = input.readUInt16LE(position);
    position += 2;
    if (distance === 0 || distance > windowBytes + length) {
      throw new Error("an lz4 distance goes beyond the output");
    }
    count = (token & 0x0f) + MIN_MATCH_BYTES;
    if ((token & 0x0f) === 15) {
      const more = readMoreLength(input, position, end);
      count += more;
      position += Math.floor(more / 255) + 1;
    }
    length += count;
  }
}

/** The bytes that go on a length of 15: their sum. They are that divided by 255, and one. */
function readMoreLength(input: Buffer, start: number, end: number): number {
  let position = start;
  while (position < end && input[position] === 255) position += 1;
  if (position >= end) throw new Error("an lz4 length goes beyond its block");
  return (position - start) * 255 + byteAt(input, position);
}

function copyBlocks(input: Buffer, blocks: readonly Block[], outputBytes: number): Buffer {
  const output = Buffer.allocUnsafe(outputBytes);
  let written = 0;
  for (const block of blocks) {
    if (block.isStored) input.copy(output, written, block.start, block.end);
    else copyBlock(input, block.start, block.end, output, written);
    written += block.outputBytes;
  }
  return output;
}

/** Only for a block that `measureBlock` has passed: nothing is checked again. */
function copyBlock(input: Buffer, start: number, end: number, output: Buffer, at: number): void {
  let position = start;
  let written = at;
  for (;;) {
    const token = byteAt(input, position++);
    let count = token >> 4;
    if (count === 15) {
      const more = readMoreLength(input, position, end);
      count += more;
      position += Math.floor(more / 255) + 1;
    }
    copyLiterals(input, position, output, written, count);
    written += count;
    position += count;
    if (position >= end) return;
    const distance = input.readUInt16LE(position);
    position += 2;
    count = (token & 0x0f) + MIN_MATCH_BYTES;
    if ((token & 0x0f) === 15) {
      const more = readMoreLength(input, position, end);
      count += more;
      position += Math.floor(more / 255) + 1;
    }
    copyMatch(output, written, distance, count);
    written += count;
  }
}

function deflateBlock(input: Buffer, start: number, end: number): Buffer {
  const output = Buffer.allocUnsafe(end - start + Math.ceil((end - start) / 255) + 16);
  let written = 0;
  let literalsStart = start;
  const writeLength = (length: number): void => {
    let rest = length - 15;
    for (; rest >= 255; rest -= 255) output[written++] = 255;
    output[written++] = rest;
  };
  const writeLiterals = (literalsEnd: number, matchCode: number): void => {
    const count = literalsEnd - literalsStart;
    output[written++] = (Math.min(count, 15) << 4) | matchCode;
    if (count >= 15) writeLength(count);
    written += input.copy(output, written, literalsStart, literalsEnd);
  };
  const range = {
    start,
    lastStart: end - MATCH_FREE_TAIL_BYTES,
    end: end - LAST_LITERALS_BYTES,
  };
  forEachMatch(input, range, (at, distance, length) => {
    const matchLength = length - MIN_MATCH_BYTES;
    writeLiterals(at, Math.min(matchLength, 15));
    output.writeUInt16LE(distance, written);
    written += 2;
    if (matchLength >= 15) writeLength(matchLength);
    literalsStart = at + length;
  });
  writeLiterals(end, 0);
  return output.subarray(0, written);
}

const PRIME_1 = 0x9e3779b1;
const PRIME_2 = 0x85ebca77;
const PRIME_3 = 0xc2b2ae3d;
const PRIME_4 = 0x27d4eb2f;
const PRIME_5 = 0x165667b1;

/** XXH32 with seed 0 over `[start, end)`. */
export function xxHash32(bytes: Buffer, start: number, end: number): number {
  let position = start;
  let hash = PRIME_5;
  if (end - start >= 16) {
    const lanes = [(PRIME_1 + PRIME_2) | 0, PRIME_2, 0, -PRIME_1 | 0];
    for (; end - position >= 16; position += 16) {
      for (let lane = 0; lane < 4; lane += 1) {
        const word = bytes.readUInt32LE(position + 4 * lane);
        const mixed = ((lanes[lane] ?? 0) + Math.imul(word, PRIME_2)) | 0;
        lanes[lane] = Math.imul(rotate(mixed, 13), PRIME_1);
      }
    }
    hash = 0;
    [1, 7, 12, 18].forEach((bits, lane) => (hash = (hash + rotate(lanes[lane] ?? 0, bits)) | 0));
  }
  hash = (hash + (end - start)) | 0;
  for (; end - position >= 4; position += 4) {
    hash = (hash + Math.imul(bytes.readUInt32LE(position), PRIME_3)) | 0;
    hash = Math.imul(rotate(hash, 17), PRIME_4);
  }
  for (; position < end; position += 1) {
    hash = (hash + Math.imul(byteAt(bytes, position), PRIME_5)) | 0;
    hash = Math.imul(rotate(hash, 11), PRIME_1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2);
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function readUInt32(bytes: Buffer, position: number): number {
  if (bytes.length - position < 4) throw new Error("the lz4 frame is cut off");
  return bytes.readUInt32LE(position);
}

/** 0 beyond the end; used where the range was checked. */
function byteAt(bytes: Buffer, position: number): number {
  return bytes[position] ?? 0;
}
