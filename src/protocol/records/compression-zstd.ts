import { must } from "../../base/assert.ts";

/**
 * Zstandard through the reference decoder, compiled to WebAssembly (the plain JavaScript decoders
 * loop for seconds on a block of ten hostile bytes). It writes into a buffer of a size given before, so
 * the frames are walked first: what they can make is known without inflating them.
 * Damage throws plain Errors; `compression.ts` gives them their name.
 */

type Zstd = typeof import("@bokuweb/zstd-wasm");

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const BLOCK_MAX_BYTES = 131_072;
/** The module's memory grows and never shrinks: this is the most that one frame may ask of it. */
const FRAME_MAX_BYTES = 256 * 1024 * 1024;
const DEFAULT_LEVEL = 3;

interface Frame {
  readonly start: number;
  readonly end: number;
  /** Announced by the frame, or null. */
  readonly contentBytes: number | null;
  /** The most that its blocks can make. */
  readonly boundBytes: number;
}

let loaded: Zstd | null = null;

/** Must have resolved before the other functions are called. Costs about 10 ms, once. */
export async function loadZstd(): Promise<void> {
  if (loaded !== null) return;
  const zstd = await import("@bokuweb/zstd-wasm");
  await zstd.init();
  loaded = zstd;
}

/** Inflates all frames to at most `maxBytes`. */
export function zstdInflate(input: Buffer, maxBytes: number): Buffer {
  const zstd = must(loaded, "loadZstd has resolved");
  const chunks: Uint8Array[] = [];
  let restBytes = maxBytes;
  for (const frame of readFrames(input)) {
    const capacity = frame.contentBytes ?? Math.min(frame.boundBytes, restBytes, FRAME_MAX_BYTES);
    if (capacity > restBytes || capacity > FRAME_MAX_BYTES) {
      throw new Error("zstd data grows beyond the bound");
    }
    if (capacity > frame.boundBytes) throw new Error("a zstd frame says more than it holds");
    const bytes = input.subarray(frame.start, frame.end);
    const chunk = zstd.decompress(bytes, { defaultHeapSize: capacity });
    chunks.push(chunk);
    restBytes -= chunk.length;
  }
  const first = chunks[0];
  if (chunks.length === 1 && first !== undefined) {
    return Buffer.from(first.buffer, first.byteOffset, first.length);
  }
  return Buffer.concat(chunks);
}

/** One frame; `level` null: the reference library's default. */
export function zstdDeflate(input: Buffer, level: number | null): Buffer {
  const packed = must(loaded, "loadZstd has resolved").compress(input, level ?? DEFAULT_LEVEL);
  return Buffer.from(packed.buffer, packed.byteOffset, packed.length);
}

function* readFrames(input: Buffer): Generator<Frame> {
  let position = 0;
  while (position < input.length) {
    const magic = readUInt(input, position, 4);
    if ((magic & ~0x0f) >>> 0 === SKIPPABLE_MAGIC) {
      position += 8 + readUInt(input, position + 4, 4);
      if (position > input.length) throw new Error("a skippable zstd frame is cut off");
      continue;
    }
    if (magic !== MAGIC) throw new Error("not a zstd frame");
    const frame = readFrame(input, position);
    yield frame;
    position = frame.end;
  }
}

function readFrame(input: Buffer, start: number): Frame {
  const descriptor = readUInt(input, start + 4, 1);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if ((descriptor & 0x08) !== 0) throw new Error("a reserved bit of the zstd frame is set");
  if ((descriptor & 0x03) !== 0) throw new Error("a zstd dictionary is not supported");
  const sizeAt = start + 5 + (isSingleSegment ? 0 : 1);
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const contentBytes = sizeBytes === 0 ? null : readContentSize(input, sizeAt, sizeBytes);
  const blocks = measureBlocks(input, sizeAt + sizeBytes);
  const end = blocks.end + ((descriptor & 0x04) === 0 ? 0 : 4);
  if (end > input.length) throw new Error("the zstd frame is cut off");
  return { start, end, contentBytes, boundBytes: blocks.boundBytes };
}

function measureBlocks(input: Buffer, start: number): { end: number; boundBytes: number } {
  let position = start;
  let boundBytes = 0;
  for (;;) {
    const header = readUInt(input, position, 3);
    const blockBytes = header >> 3;
    const type = (header >> 1) & 3;
    if (type === 3 || blockBytes > BLOCK_MAX_BYTES) throw new Error("a zstd block is damaged");
    boundBytes += type === 2 ? BLOCK_MAX_BYTES : blockBytes;
    position += 3 + (type === 1 ? 1 : blockBytes);
    if ((header & 1) !== 0) return { end: position, boundBytes };
  }
}

function readContentSize(input: Buffer, position: number, sizeBytes: number): number {
  if (sizeBytes === 2) return 256 + readUInt(input, position, 2);
  if (sizeBytes < 8) return readUInt(input, position, sizeBytes);
  return readUInt(input, position, 4) + readUInt(input, position + 4, 4) * 2 ** 32;
}

function readUInt(input: Buffer, position: number, sizeBytes: number): number {
  if (input.length - position < sizeBytes) throw new Error("the zstd frame is cut off");
  return input.readUIntLE(position, sizeBytes);
}
