import { DiskError, type DiskFile, isOutOfSpace } from "../base/disk.ts";

/** So much is zeroed ahead at least, and at most: no more than the segment holds already. */
const MIN_CHUNK_BYTES = 64 * 1024;
const MAX_CHUNK_BYTES = 1024 * 1024;
/** Written over and over: small enough for the processor's cache. */
const ZEROS = Buffer.alloc(64 * 1024);

/**
 * The zeros behind the batches of a segment that takes more of them (log.preallocate; decisions/0011).
 * A sync of what is written over zeros that are durable changes nothing but bytes: neither the file's
 * length nor its blocks. Nothing relies on them.
 */
export class Preallocation {
  /** The file reaches no further than here, or than its batches. */
  #endPosition = 0;
  /** There was no room for zeros, so batches may need what is left of it. */
  #isRefused = false;
  #extending: Promise<void> | null = null;

  /**
   * Writes zeros behind the batches where few are left, but none beyond the limit. Nothing is written to
   * the file meanwhile. Throws DiskError, but not for want of room: then there are none.
   */
  async extend(file: DiskFile, writtenBytes: number, limitBytes: number): Promise<void> {
    if (this.#isRefused || writtenBytes < this.#endPosition) return;
    const chunkBytes = Math.min(Math.max(writtenBytes, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES);
    const endPosition = Math.min(writtenBytes + chunkBytes, limitBytes);
    if (endPosition <= writtenBytes) return;
    // Of a write that fails a part may be there.
    this.#endPosition = endPosition;
    this.#extending = this.#write(file, writtenBytes, endPosition);
    await this.#extending;
  }

  async #write(file: DiskFile, position: number, endPosition: number): Promise<void> {
    try {
      await file.writev(zeros(endPosition - position), position);
    } catch (error) {
      if (!(error instanceof DiskError) || !isOutOfSpace(error)) throw error;
      this.#isRefused = true;
      await this.#cut(file, position);
    }
  }

  /** Cuts the zeros off; returns whether there were any. Nothing is written any more. Throws DiskError. */
  async trim(file: DiskFile, writtenBytes: number): Promise<boolean> {
    // What comes after must find the file as it was left, not as a write under way leaves it.
    await this.#extending;
    if (this.#endPosition <= writtenBytes) return false;
    await this.#cut(file, writtenBytes);
    return true;
  }

  async #cut(file: DiskFile, writtenBytes: number): Promise<void> {
    await file.truncate(writtenBytes);
    this.#endPosition = 0;
  }
}

function zeros(byteCount: number): readonly Buffer[] {
  const whole = Array.from({ length: Math.floor(byteCount / ZEROS.length) }, () => ZEROS);
  return [...whole, ZEROS.subarray(0, byteCount % ZEROS.length)];
}
