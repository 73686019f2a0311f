import { BufferPool } from "../base/buffer-pool.ts";
import { ProtocolError } from "./errors.ts";

/** Bytes of the int32 that stands before every frame. */
export const FRAME_SIZE_BYTES = 4;

/** Where bytes go whose frame is not known yet. */
const SCRATCH_BYTES = 64 * 1024;
/** One for all streams: what is read into it is taken out before anybody reads again. */
const sharedScratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
const noPool = new BufferPool({ maxFreeBytes: 0 });

/** A frame above this must be admitted: before that nobody can make us hold more. */
export const SMALL_FRAME_BYTES = 32 * 1024;
/** The API key and its version, which every request begins with. */
const HEAD_BYTES = 4;

/** A frame gets its place at once if it is not larger than so many times what has come of it. */
const MAX_AHEAD_FACTOR = 16;
const MIN_PLACE_BYTES = 1024;

/**
 * Cuts a byte stream into frames. The stream's owner reads into `target` and says with `received` how
 * much came: small frames are copied out of memory that all streams share, a large one is read into
 * its own place. A place grows with what has come of its frame: a size alone costs nothing.
 */
export class FrameDecoder {
  readonly #maxFrameBytes: number;
  readonly #pool: BufferPool;
  readonly #admitsLarge: (head: Buffer) => boolean;
  /** Bytes of a size prefix that is not complete yet. */
  readonly #prefix = Buffer.alloc(FRAME_SIZE_BYTES);
  #prefixBytes = 0;
  /** Size of the frame that is not complete yet, its prefix left out; null: there is none. */
  #frameBytes: number | null = null;
  /** Where that frame comes together; may be shorter than it is. */
  #place: Buffer | null = null;
  #placedBytes = 0;

  /**
   * Frames are from the pool: whoever is done with one may release it. `admitsLarge` is asked by its
   * first bytes whether a frame may have more than SMALL_FRAME_BYTES; default: any may.
   */
  constructor(
    maxFrameBytes: number,
    pool: BufferPool = noPool,
    admitsLarge: (head: Buffer) => boolean = () => true,
  ) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#pool = pool;
    this.#admitsLarge = admitsLarge;
  }

  /** Bytes held of a frame that is not complete yet. */
  get pendingBytes(): number {
    return this.#frameBytes === null ? this.#prefixBytes : FRAME_SIZE_BYTES + this.#placedBytes;
  }

  /** Memory that those are held in. */
  get placeBytes(): number {
    return this.#place?.length ?? 0;
  }

  /** Where the next bytes of the stream belong; not empty. It may change with every `received`. */
  get target(): Buffer {
    return this.#place === null ? sharedScratch : this.#place.subarray(this.#placedBytes);
  }

  /**
   * So many bytes were read into `target`. Returns the frames that they complete, without their size
   * prefix. Throws ProtocolError when a size is negative or above the limit, before anything of the
   * frame is kept, and when a large frame is not admitted; the stream is lost then.
   */
  received(byteCount: number): Buffer[] {
    const frames: Buffer[] = [];
    if (this.#place === null) {
      this.#cut(sharedScratch.subarray(0, byteCount), frames);
      return frames;
    }
    this.#placedBytes += byteCount;
    this.#completeOrGrow(frames);
    return frames;
  }

  /** The same for bytes that were read elsewhere; they are copied. */
  push(chunk: Buffer): Buffer[] {
    const frames: Buffer[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#place === null) {
        this.#cut(rest, frames);
        break;
      }
      const copied = rest.copy(this.target);
      this.#placedBytes += copied;
      this.#completeOrGrow(frames);
      rest = rest.subarray(copied);
    }
    return frames;
  }

  /** The frame that is not complete never will be. */
  close(): void {
    if (this.#place !== null) this.#pool.release(this.#place);
    this.#place = null;
    this.#frameBytes = null;
    this.#prefixBytes = 0;
  }

  /** Takes frames, and the beginning of one, out of bytes that are another's; none is pending. */
  #cut(bytes: Buffer, frames: Buffer[]): void {
    let position = this.#completePrefix(bytes);
    while (this.#frameBytes !== null) {
      const frameBytes = this.#frameBytes;
      const end = position + frameBytes;
      this.#admit(bytes.subarray(position, end), frameBytes);
      if (end > bytes.length) {
        this.#keep(bytes.subarray(position), frameBytes);
        return;
      }
      const frame = this.#pool.take(frameBytes);
      bytes.copy(frame, 0, position, end);
      frames.push(frame);
      this.#frameBytes = null;
      position = end + this.#completePrefix(bytes.subarray(end));
    }
  }

  /** Takes what the size prefix lacks; returns how many bytes that were. */
  #completePrefix(bytes: Buffer): number {
    const copied = bytes.copy(this.#prefix, this.#prefixBytes);
    this.#prefixBytes += copied;
    if (this.#prefixBytes === FRAME_SIZE_BYTES) {
      this.#frameBytes = this.#checkedSize(this.#prefix.readInt32BE(0));
      this.#prefixBytes = 0;
    }
    return copied;
  }

  #keep(bytes: Buffer, frameBytes: number): void {
    const place = this.#pool.take(placeBytesFor(bytes.length, frameBytes));
    bytes.copy(place);
    this.#place = place;
    this.#placedBytes = bytes.length;
  }

  #completeOrGrow(frames: Buffer[]): void {
    const place = this.#place;
    if (place === null || this.#frameBytes === null || this.#placedBytes < place.length) return;
    this.#admit(place, this.#frameBytes);
    this.#place = null;
    if (place.length === this.#frameBytes) {
      this.#frameBytes = null;
      frames.push(place);
      return;
    }
    this.#keep(place, this.#frameBytes);
    this.#pool.release(place);
  }

  #admit(head: Buffer, frameBytes: number): void {
    if (frameBytes <= SMALL_FRAME_BYTES || head.length < HEAD_BYTES) return;
    if (this.#admitsLarge(head)) return;
    throw new ProtocolError(
      "too-large",
      `a frame of ${frameBytes} bytes that is no request; at most ${SMALL_FRAME_BYTES} are taken then`,
    );
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

function placeBytesFor(receivedBytes: number, frameBytes: number): number {
  return Math.min(frameBytes, Math.max(MIN_PLACE_BYTES, MAX_AHEAD_FACTOR * receivedBytes));
}
