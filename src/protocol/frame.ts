import { ProtocolError } from "./errors.ts";

/** Bytes of the int32 that stands before every frame. */
export const FRAME_SIZE_BYTES = 4;

/** Small chunks are joined up to this size: a frame that drips in byte by byte must not cost objects. */
const COALESCED_BYTES = 1024;

/**
 * Cuts a byte stream into frames. A frame within one chunk is a slice of it; one that spans chunks
 * is copied together once, when it is complete. What is held of a frame is what has come of it.
 */
export class FrameDecoder {
  readonly #maxFrameBytes: number;
  /** Chunks of the frame that is not complete yet, its size prefix included. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** Size of that frame with its prefix; null while the prefix is not complete. */
  #wantedBytes: number | null = null;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes held of a frame that is not complete yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Pieces that those are held in. */
  get pendingChunks(): number {
    return this.#pending.length;
  }

  /**
   * Takes the next bytes and returns the frames that they complete, without their size prefix.
   * Throws ProtocolError when a size is negative or above the limit, before anything of the frame is
   * kept; the stream is lost then.
   */
  push(chunk: Buffer): Buffer[] {
    const frames: Buffer[] = [];
    let rest = chunk;
    if (this.#pendingBytes > 0) rest = this.#complete(rest, frames);
    let position = 0;
    while (rest.length - position >= FRAME_SIZE_BYTES) {
      const end = position + FRAME_SIZE_BYTES + this.#checkedSize(rest.readInt32BE(position));
      if (end > rest.length) {
        this.#wantedBytes = end - position;
        break;
      }
      frames.push(rest.subarray(position + FRAME_SIZE_BYTES, end));
      position = end;
    }
    if (position < rest.length) this.#keep(rest.subarray(position));
    return frames;
  }

  /** Adds to the pending frame and returns what lies behind it. */
  #complete(chunk: Buffer, frames: Buffer[]): Buffer {
    let rest = chunk;
    if (this.#wantedBytes === null) {
      const missing = FRAME_SIZE_BYTES - this.#pendingBytes;
      this.#keep(rest.subarray(0, missing));
      rest = rest.subarray(missing);
      if (this.#pendingBytes < FRAME_SIZE_BYTES) return rest;
      const prefix = Buffer.concat(this.#pending);
      this.#wantedBytes = FRAME_SIZE_BYTES + this.#checkedSize(prefix.readInt32BE(0));
    }
    const missing = this.#wantedBytes - this.#pendingBytes;
    this.#keep(rest.subarray(0, missing));
    if (this.#pendingBytes < this.#wantedBytes) return rest.subarray(rest.length);
    frames.push(Buffer.concat(this.#pending, this.#pendingBytes).subarray(FRAME_SIZE_BYTES));
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#wantedBytes = null;
    return rest.subarray(missing);
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pendingBytes += bytes.length;
    const lastIndex = this.#pending.length - 1;
    const last = this.#pending[lastIndex];
    if (last !== undefined && last.length + bytes.length <= COALESCED_BYTES) {
      this.#pending[lastIndex] = Buffer.concat([last, bytes]);
    } else {
      this.#pending.push(bytes);
    }
  }

  #checkedSize(size: number): number {
    if (size < 0) throw new ProtocolError("malformed", `a frame of ${size} bytes`);
    if (size > this.#maxFrameBytes) {
      throw new ProtocolError(
        "too-large",
        `a frame of ${size} bytes; at most ${this.#maxFrameBytes} are taken`,
      );
    }
    return size;
  }
}
