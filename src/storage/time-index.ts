import { assert } from "../base/assert.ts";
import { DamagedFileError } from "./checkpoint.ts";
import { IndexBytes } from "./index-bytes.ts";

const ENTRY_BYTES = 12;

export interface TimestampOffset {
  readonly timestampMs: number;
  readonly offset: number;
}

/**
 * `.timeindex`: the greatest timestamp up to an offset, sparse. An entry holds a timestamp and the
 * last offset of the batch that brought it: int64 timestamp, int32 offset - base.
 */
export class TimeIndex {
  readonly baseOffset: number;
  readonly #bytes: IndexBytes;

  private constructor(baseOffset: number, bytes: IndexBytes) {
    this.baseOffset = baseOffset;
    this.#bytes = bytes;
  }

  static empty(baseOffset: number): TimeIndex {
    return new TimeIndex(baseOffset, IndexBytes.empty(ENTRY_BYTES));
  }

  /**
   * From a file's content. Throws DamagedFileError unless timestamps and offsets rise; so zeros, which
   * a power cut or Kafka's preallocation may leave, are refused.
   */
  static decode(baseOffset: number, content: Buffer): TimeIndex {
    const bytes = IndexBytes.decode(ENTRY_BYTES, content);
    const index = new TimeIndex(baseOffset, bytes);
    let last: TimestampOffset = { timestampMs: -1, offset: baseOffset - 1 };
    for (let i = 0; i < bytes.entryCount; i += 1) {
      const entry = index.entry(i);
      const isZero = entry.timestampMs === 0 && entry.offset === baseOffset;
      if (isZero || entry.timestampMs <= last.timestampMs || entry.offset <= last.offset) {
        throw new DamagedFileError("the entries of the time index do not rise");
      }
      last = entry;
    }
    return index;
  }

  get entryCount(): number {
    return this.#bytes.entryCount;
  }

  get bytes(): IndexBytes {
    return this.#bytes;
  }

  entry(index: number): TimestampOffset {
    const { content } = this.#bytes;
    const at = index * ENTRY_BYTES;
    return {
      timestampMs: Number(content.readBigInt64BE(at)),
      offset: this.baseOffset + content.readInt32BE(at + 8),
    };
  }

  last(): TimestampOffset | null {
    return this.entryCount === 0 ? null : this.entry(this.entryCount - 1);
  }

  /** Adds the entry unless its timestamp is no greater than the last one's; returns whether it did. */
  maybeAppend({ timestampMs, offset }: TimestampOffset): boolean {
    const last = this.last();
    if (timestampMs <= (last?.timestampMs ?? -1)) return false;
    assert(last === null || offset > last.offset, "offsets of a time index rise");
    const at = this.#bytes.grow();
    this.#bytes.content.writeBigInt64BE(BigInt(timestampMs), at);
    this.#bytes.content.writeInt32BE(offset - this.baseOffset, at + 8);
    return true;
  }

  /** One place is kept for the entry that is written when the segment ends. */
  isFull(maxBytes: number): boolean {
    return this.entryCount >= Math.max(1, Math.floor(maxBytes / ENTRY_BYTES) - 1);
  }

  /** The last entry with a timestamp below the given one; null: the search begins at the start. */
  lastBefore(timestampMs: number): TimestampOffset | null {
    return this.#lastWhere((entry) => entry.timestampMs < timestampMs);
  }

  /** The last entry whose offset lies below the given one. */
  lastBelowOffset(endOffset: number): TimestampOffset | null {
    return this.#lastWhere((entry) => entry.offset < endOffset);
  }

  #lastWhere(isLow: (entry: TimestampOffset) => boolean): TimestampOffset | null {
    let low = 0;
    let high = this.entryCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isLow(this.entry(middle))) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? null : this.entry(low - 1);
  }
}
