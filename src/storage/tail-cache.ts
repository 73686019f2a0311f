import { assert } from "../base/assert.ts";
import { BufferPool } from "../base/buffer-pool.ts";
import { batchBaseOffset } from "../protocol/records/batch.ts";
import type { LogReadResult } from "./log-config.ts";
import type { SegmentReadOptions } from "./segment-reader.ts";

/** The unit that partitions take and give up; a larger batch gets one of its own size. */
export const SLAB_BYTES = 1024 * 1024;

/** Memory of reads that waits for the next ones. */
const MAX_FREE_READ_BYTES = 16 * 1024 * 1024;

/** Partitions that are asked to give up a slab before a batch is left out of the cache. */
const MAX_ASKED = 8;

/** A piece of one log: whole batches, one behind the other, without a gap. */
interface Slab {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  /** Of each batch in it, ascending: the offset after it, and the position after it. */
  readonly endOffsets: number[];
  readonly endPositions: number[];
  /** Answers that are on their way to a socket: until they are, the bytes must not change. */
  readerCount: number;
  /** No tail's any more. */
  isGivenUp: boolean;
  /** Whether the memory may be used again once nobody reads it. */
  isReusable: boolean;
}

/**
 * Memory of the node for the newest batches of its logs, so that consumers and followers at the end of
 * a log are served without a read. Batches are copied into slabs (a slice would pin the request that
 * it came from), and are both written to the file and sent to readers from there. The tail that was
 * least recently used gives up its oldest slab first.
 */
export class TailCache {
  /** For what is not in the cache and is read from files. */
  readonly readPool = new BufferPool({ maxFreeBytes: MAX_FREE_READ_BYTES });
  readonly #capacityBytes: number;
  /** Slabs of the tails, and free ones. What was given up while it was read is the reader's charge. */
  #heldBytes = 0;
  readonly #free: Buffer[] = [];
  /** Those with slabs, in order of use, the least recent first. */
  readonly #tails = new Set<LogTail>();

  /** 0: nothing is cached. */
  constructor(options: { readonly capacityBytes: number }) {
    this.#capacityBytes = options.capacityBytes;
  }

  /** Never above the capacity. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The tail of a log; `writtenEndOffset` says below which offset no write reads its slabs any more. */
  open(writtenEndOffset: () => number): LogTail {
    return new LogTail(this, writtenEndOffset);
  }

  /** Only tails call it, as they do the others. */
  touch(tail: LogTail): void {
    this.#tails.delete(tail);
    this.#tails.add(tail);
  }

  forget(tail: LogTail): void {
    this.#tails.delete(tail);
  }

  /** Memory for a slab, or null when all is in use. */
  take(byteCount: number): Buffer | null {
    const slabBytes = Math.max(SLAB_BYTES, byteCount);
    if (slabBytes > this.#capacityBytes) return null;
    if (slabBytes === SLAB_BYTES) {
      const free = this.#free.pop();
      if (free !== undefined) return free;
    }
    for (let asked = 0; this.#heldBytes + slabBytes > this.#capacityBytes; asked += 1) {
      if (asked === MAX_ASKED || !this.#makeRoom()) return null;
      const free = slabBytes === SLAB_BYTES ? this.#free.pop() : undefined;
      if (free !== undefined) return free;
    }
    this.#heldBytes += slabBytes;
    return Buffer.allocUnsafeSlow(slabBytes);
  }

  /** The slab is no tail's any more. */
  giveUp(slab: Slab, isReusable: boolean): void {
    slab.isGivenUp = true;
    slab.isReusable = isReusable && slab.bytes.length === SLAB_BYTES;
    this.#heldBytes -= slab.bytes.length;
    this.maybeReuse(slab);
  }

  /** Nobody may be reading it. */
  maybeReuse(slab: Slab): void {
    if (!slab.isGivenUp || !slab.isReusable || slab.readerCount > 0) return;
    if (this.#heldBytes + SLAB_BYTES > this.#capacityBytes) return;
    this.#heldBytes += SLAB_BYTES;
    this.#free.push(slab.bytes);
  }

  #makeRoom(): boolean {
    if (this.#free.pop() !== undefined) {
      this.#heldBytes -= SLAB_BYTES;
      return true;
    }
    let asked = 0;
    for (const tail of this.#tails) {
      if (asked === MAX_ASKED) return false;
      if (tail.maybeGiveUpOldest()) return true;
      asked += 1;
    }
    return false;
  }
}

/** The newest batches of one log, as far as they are cached: some of them, not always the last. */
export class LogTail {
  readonly #cache: TailCache;
  readonly #writtenEndOffset: () => number;
  /** Ascending offsets; gaps between slabs were not cached. The last one is filled. */
  #slabs: Slab[] = [];
  /** What is cached below it is not what lies in the log. */
  #validFrom = 0;

  constructor(cache: TailCache, writtenEndOffset: () => number) {
    this.#cache = cache;
    this.#writtenEndOffset = writtenEndOffset;
  }

  /**
   * Copies the stamped batch, which ends before `endOffset`; returns the copy, which stays as it is
   * until `writtenEndOffset` has passed it. The caller's bytes are free.
   */
  add(batch: Buffer, endOffset: number): Buffer {
    const slab = this.#slabFor(batch);
    if (slab === null) return Buffer.from(batch);
    const position = slab.endPositions.at(-1) ?? 0;
    const end = position + batch.length;
    batch.copy(slab.bytes, position);
    slab.endOffsets.push(endOffset);
    slab.endPositions.push(end);
    this.#cache.touch(this);
    return slab.bytes.subarray(position, end);
  }

  /**
   * Batches from the one that holds the offset on, all below the limit, out of one slab; null: it is not
   * cached. They stay as they are until `release` is called.
   */
  read(options: SegmentReadOptions): LogReadResult | null {
    const { offset, limitOffset, maxBytes, minOneBatch } = options;
    if (offset < this.#validFrom) return null;
    const slab = this.#slabs.findLast(({ baseOffset }) => baseOffset <= offset);
    if (slab === undefined || endOffsetOf(slab) <= offset) return null;
    const first = countUpTo(slab.endOffsets, offset);
    const start = slab.endPositions[first - 1] ?? 0;
    let count = Math.min(
      countUpTo(slab.endOffsets, limitOffset),
      countUpTo(slab.endPositions, start + maxBytes),
    );
    const isFirstBelowLimit = (slab.endOffsets[first] ?? Infinity) <= limitOffset;
    if (count <= first && minOneBatch && isFirstBelowLimit) count = first + 1;
    if (count <= first) return { records: slab.bytes.subarray(0, 0), nextOffset: offset };
    this.#cache.touch(this);
    return {
      records: slab.bytes.subarray(start, slab.endPositions[count - 1]),
      nextOffset: slab.endOffsets[count - 1] ?? offset,
      release: this.#lend(slab),
    };
  }

  get readPool(): BufferPool {
    return this.#cache.readPool;
  }

  /** Forgets all: what is cached may not be the log's any more, or the log is closed. */
  clear(): void {
    this.#validFrom = 0;
    while (this.#slabs.length > 0) this.#giveUpOldest();
  }

  /** Serves nothing below the offset any more: it was compacted. */
  forgetBelow(offset: number): void {
    this.#validFrom = Math.max(this.#validFrom, offset);
    while ((this.#slabs[0]?.endOffsets.at(-1) ?? Infinity) <= offset) {
      if (!this.maybeGiveUpOldest()) return;
    }
  }

  /** Whether a slab was given up; one that is being written cannot be. */
  maybeGiveUpOldest(): boolean {
    const [oldest] = this.#slabs;
    if (oldest === undefined || endOffsetOf(oldest) > this.#writtenEndOffset()) return false;
    this.#giveUpOldest();
    return true;
  }

  #giveUpOldest(): void {
    const slab = this.#slabs.shift();
    if (slab === undefined) return;
    this.#cache.giveUp(slab, endOffsetOf(slab) <= this.#writtenEndOffset());
    if (this.#slabs.length === 0) this.#cache.forget(this);
  }

  #lend(slab: Slab): () => void {
    slab.readerCount += 1;
    let isLent = true;
    return () => {
      assert(isLent, "what was read is given back once");
      isLent = false;
      slab.readerCount -= 1;
      this.#cache.maybeReuse(slab);
    };
  }

  /** The slab that takes the batch, null: there is no room for it. */
  #slabFor(batch: Buffer): Slab | null {
    const baseOffset = batchBaseOffset(batch);
    const last = this.#slabs.at(-1);
    if (last !== undefined && endOffsetOf(last) === baseOffset) {
      const position = last.endPositions.at(-1) ?? 0;
      if (last.bytes.length - position >= batch.length) return last;
    }
    const bytes = this.#cache.take(batch.length);
    if (bytes === null) return null;
    const slab = {
      bytes,
      baseOffset,
      endOffsets: [],
      endPositions: [],
      readerCount: 0,
      isGivenUp: false,
      isReusable: false,
    };
    this.#slabs.push(slab);
    return slab;
  }
}

function endOffsetOf(slab: Slab): number {
  return slab.endOffsets.at(-1) ?? slab.baseOffset;
}

/** How many of the ascending values are not above the limit. */
function countUpTo(ascending: readonly number[], limit: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] ?? Infinity) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
