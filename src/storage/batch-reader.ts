import type { BufferPool } from "../base/buffer-pool.ts";
import type { DiskFile } from "../base/disk.ts";
import {
  BATCH_OVERHEAD,
  batchBaseOffset,
  batchLastOffset,
  batchLastOffsetDelta,
  batchLeaderEpoch,
  batchMagic,
  batchNextOffset,
  batchSizeBytes,
  isBatchCrcValid,
  MAGIC_V2,
} from "../protocol/records/batch.ts";
import type { LogReadResult } from "./log-config.ts";

const NO_BYTES = Buffer.alloc(0);

/** A part of a segment's file without known damage: whole batches and nothing else, if all is well. */
export interface BatchRange {
  readonly position: number;
  readonly endPosition: number;
  /** No batch in it begins below `offset`, none reaches `endOffset`. */
  readonly offset: number;
  readonly endOffset: number;
  /** Of the batch that begins at the offset; -1: not known. */
  readonly leaderEpochAt: (offset: number) => number;
}

/** What lies at the position cannot be the batch that belongs there. */
export class MisplacedError extends Error {
  override readonly name = "MisplacedError";
  readonly position: number;

  constructor(position: number, reason: string) {
    super(`${reason} (position ${position})`);
    this.position = position;
  }
}

/**
 * Goes from header to header through a range of a file that is read in large pieces, and gives out
 * only batches that have passed every check (R10, S1, S2): the checksum, and for the two fields that it
 * does not cover, the base offset against the batches on both sides, the leader epoch against the
 * log's. So a batch needs the header of its successor: one more is read than is asked for.
 */
export class BatchReader {
  readonly #file: DiskFile;
  readonly #pool: BufferPool;
  readonly #range: BatchRange;
  /** From the pool. */
  #memory: Buffer | null = null;
  #bytes: Buffer = NO_BYTES;
  /** Where `#bytes` begins in the file, and where in it the current batch begins. */
  #start: number;
  #at = 0;
  /** No batch from here on begins below it; the next one begins there, unless compaction left a gap. */
  #minOffset: number;
  /** Whether the current batch's offsets are known from elsewhere. */
  #isExpected = false;

  constructor(file: DiskFile, pool: BufferPool, range: BatchRange) {
    this.#file = file;
    this.#pool = pool;
    this.#range = range;
    this.#start = range.position;
    this.#minOffset = range.offset;
  }

  /** Of the current batch. */
  get position(): number {
    return this.#start + this.#at;
  }

  get hasBatch(): boolean {
    return this.position < this.#range.endPosition;
  }

  get sizeBytes(): number {
    return batchSizeBytes(this.#bytes, this.#at);
  }

  get lastOffset(): number {
    return batchLastOffset(this.#bytes, this.#at);
  }

  /**
   * Makes sure that so many bytes from the current batch on, and a header behind them, are in memory, if
   * the range has them.
   */
  async fill(byteCount: number): Promise<void> {
    const restBytes = this.#range.endPosition - this.position;
    const wantedBytes = Math.min(byteCount + BATCH_OVERHEAD, restBytes);
    if (this.#bytes.length - this.#at < wantedBytes) {
      const memory = this.#pool.take(wantedBytes);
      this.release();
      this.#memory = memory;
      const readBytes = await this.#file.read(memory, this.position);
      this.#start = this.position;
      this.#at = 0;
      this.#bytes = memory.subarray(0, readBytes);
    }
    if (this.hasBatch) this.#check();
  }

  /** The current batch is the one that an index entry speaks of. */
  expect(lastOffset: number): void {
    this.#isExpected = this.hasBatch && this.lastOffset === lastOffset;
    if (this.#isExpected) return;
    throw new MisplacedError(this.position, "an index entry does not lead to its batch");
  }

  /** Goes to the batch that holds the offset, or the first one after it; false: there is none. */
  async findOffset(offset: number, byteCount: number): Promise<boolean> {
    while (this.hasBatch && this.lastOffset < offset) {
      this.#passBatch();
      await this.#reach(byteCount);
    }
    return this.hasBatch;
  }

  /**
   * The good batches in memory from the current one on, the first in any case; stands after them then.
   * What is wrong behind them is the next read's matter. Throws MisplacedError when the first is not
   * good.
   */
  take(limitOffset: number, maxBytes: number): LogReadResult {
    const from = this.#at;
    this.checkWhole();
    for (;;) {
      this.#passBatch();
      if (!this.hasBatch || this.#headerDamage() !== null) break;
      const endBytes = this.#at + this.sizeBytes;
      if (endBytes > this.#bytes.length || endBytes - from > maxBytes) break;
      if (this.lastOffset >= limitOffset || this.#damage() !== null) break;
    }
    const memory = this.#memory;
    this.#memory = null;
    return {
      records: this.#bytes.subarray(from, this.#at),
      nextOffset: this.#minOffset,
      release: () => {
        if (memory !== null) this.#pool.release(memory);
      },
    };
  }

  /** Throws MisplacedError when the current batch, which is in memory, is not good. */
  checkWhole(): void {
    const damage = this.#damage();
    if (damage !== null) throw new MisplacedError(this.position, damage);
  }

  /** Gives the memory back, unless it was taken. */
  release(): void {
    if (this.#memory !== null) this.#pool.release(this.#memory);
    this.#memory = null;
  }

  /** The current batch's header is in memory, and could be one. */
  async #reach(byteCount: number): Promise<void> {
    if (this.#bytes.length - this.#at < BATCH_OVERHEAD) await this.fill(byteCount);
    else if (this.hasBatch) this.#check();
  }

  #passBatch(): void {
    this.#minOffset = batchNextOffset(this.#bytes, this.#at);
    this.#at += this.sizeBytes;
    this.#isExpected = false;
  }

  #check(): void {
    const damage = this.#headerDamage();
    if (damage !== null) throw new MisplacedError(this.position, damage);
  }

  /** By the current batch's header alone. */
  #headerDamage(): string | null {
    const bytes = this.#bytes;
    const at = this.#at;
    const sizeBytes = bytes.length - at >= BATCH_OVERHEAD ? batchSizeBytes(bytes, at) : 0;
    if (sizeBytes < BATCH_OVERHEAD || this.position + sizeBytes > this.#range.endPosition) {
      return "the length of a batch is impossible";
    }
    if (batchMagic(bytes, at) !== MAGIC_V2) return "the format of a batch is not 2";
    if (batchBaseOffset(bytes, at) < this.#minOffset || batchLastOffsetDelta(bytes, at) < 0) {
      return "the offsets of batches do not rise";
    }
    return null;
  }

  /** The same for all of it, which is in memory. */
  #damage(): string | null {
    const bytes = this.#bytes;
    const at = this.#at;
    if (!isBatchCrcValid(bytes, at)) return "the checksum of a batch is wrong";
    const leaderEpoch = this.#range.leaderEpochAt(batchBaseOffset(bytes, at));
    if (leaderEpoch >= 0 && batchLeaderEpoch(bytes, at) !== leaderEpoch) {
      return "the leader epoch of a batch is not the log's";
    }
    // It begins where it must; if it does not fit its successor, that one is wrong.
    if (this.#isExpected || batchBaseOffset(bytes, at) === this.#minOffset) return null;
    const end = at + batchSizeBytes(bytes, at);
    const isLast = this.#start + end === this.#range.endPosition;
    const hasNext = bytes.length - end >= BATCH_OVERHEAD;
    const endOffset = isLast || !hasNext ? this.#range.endOffset : batchBaseOffset(bytes, end);
    return batchLastOffset(bytes, at) < endOffset ? null : "a batch reaches beyond the next one";
  }
}
