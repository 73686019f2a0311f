import type { DiskFile } from "../base/disk.ts";

export const CHUNK_BYTES = 1024 * 1024;
/** Room before a chunk that is read ahead, for the beginning of a batch that the last one cut off. */
const HEAD_BYTES = 256 * 1024;

export interface SourceOptions {
  /** Nothing is read from here on. */
  readonly endPosition: number;
  /** How much is read at a time, unless a batch is larger. */
  readonly chunkBytes: number;
  /** Whether the next chunk is read while this one is worked on: for scans of whole files. */
  readonly readsAhead: boolean;
}

interface Ahead {
  readonly buffer: Buffer;
  readonly position: number;
  readonly reading: Promise<number>;
}

/** A window that goes through a file in large reads, one of them ahead of the reader. */
export class BatchSource {
  /** Valid until the next `moveTo`. */
  bytes: Buffer = Buffer.alloc(0);
  /** Where `bytes` begins in the file. */
  start = 0;
  readonly #file: DiskFile;
  readonly #options: SourceOptions;
  readonly #headBytes: number;
  /** What `bytes` is a part of, and one that is free. */
  #buffer: Buffer = Buffer.alloc(0);
  #spare: Buffer = Buffer.alloc(0);
  #ahead: Ahead | null = null;

  constructor(file: DiskFile, options: SourceOptions) {
    this.#file = file;
    this.#options = options;
    this.#headBytes = options.readsAhead ? HEAD_BYTES : 0;
  }

  /** Has the bytes from `position` on in the window, so many at least; false: the file is shorter. */
  async moveTo(position: number, byteCount: number): Promise<boolean> {
    if (this.#holds(position, byteCount)) return true;
    if (!(await this.#takeAhead(position)) || !this.#holds(position, byteCount)) {
      await this.#read(position, byteCount);
    }
    if (this.#options.readsAhead) this.#readAhead();
    return this.#holds(position, byteCount);
  }

  /** Waits for what was read ahead: the file may be closed then. */
  async close(): Promise<void> {
    await this.#ahead?.reading.catch(() => undefined);
  }

  #holds(position: number, byteCount: number): boolean {
    const endPosition = this.start + this.bytes.length;
    return position >= this.start && position + byteCount <= endPosition;
  }

  async #read(position: number, byteCount: number): Promise<void> {
    const restBytes = this.#options.endPosition - position;
    const wantedBytes = Math.max(byteCount, Math.min(this.#options.chunkBytes, restBytes));
    this.#buffer = withRoom(this.#buffer, this.#headBytes + wantedBytes);
    const target = this.#buffer.subarray(this.#headBytes, this.#headBytes + wantedBytes);
    const readBytes = await this.#file.read(target, position);
    this.bytes = target.subarray(0, readBytes);
    this.start = position;
  }

  /** Makes the chunk that was read ahead the window, if it goes on where this one ends. */
  async #takeAhead(position: number): Promise<boolean> {
    const ahead = this.#ahead;
    if (ahead === null) return false;
    this.#ahead = null;
    const readBytes = await ahead.reading;
    const isNext = ahead.position === this.start + this.bytes.length;
    const restBytes = ahead.position - position;
    const isNear = position >= this.start && restBytes >= 0 && restBytes <= this.#headBytes;
    if (!isNext || !isNear) {
      this.#spare = ahead.buffer;
      return false;
    }
    const from = this.#headBytes - restBytes;
    this.bytes.copy(ahead.buffer, from, position - this.start);
    this.bytes = ahead.buffer.subarray(from, this.#headBytes + readBytes);
    this.start = position;
    this.#spare = this.#buffer;
    this.#buffer = ahead.buffer;
    return true;
  }

  #readAhead(): void {
    if (this.#ahead !== null) return;
    const position = this.start + this.bytes.length;
    const wantedBytes = Math.min(this.#options.chunkBytes, this.#options.endPosition - position);
    if (wantedBytes <= 0) return;
    const buffer = withRoom(this.#spare, this.#headBytes + wantedBytes);
    const target = buffer.subarray(this.#headBytes, this.#headBytes + wantedBytes);
    const reading = this.#file.read(target, position);
    // Awaited when the window gets there; a failure must not count as unhandled until then.
    reading.catch(() => undefined);
    this.#ahead = { buffer, position, reading };
  }
}

function withRoom(buffer: Buffer, byteCount: number): Buffer {
  return buffer.length >= byteCount ? buffer : Buffer.allocUnsafe(byteCount);
}
