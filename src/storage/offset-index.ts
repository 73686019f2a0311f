import { assert } from "../base/assert.ts";
import { DamagedFileError } from "./checkpoint.ts";
import { IndexBytes } from "./index-bytes.ts";

const ENTRY_BYTES = 8;

export interface OffsetPosition {
  readonly offset: number;
  readonly position: number;
}

/**
 * `.index`: where to look for an offset, sparse. An entry holds the *last* offset of a batch and the
 * position at which that batch begins, as Kafka writes it: int32 offset - base, int32 position.
 */
export class OffsetIndex {
  readonly baseOffset: number;
  readonly #bytes: IndexBytes;

  private constructor(baseOffset: number, bytes: IndexBytes) {
    this.baseOffset = baseOffset;
    this.#bytes = bytes;
  }

  static empty(baseOffset: number): OffsetIndex {
    return new OffsetIndex(baseOffset, IndexBytes.empty(ENTRY_BYTES));
  }

  /**
   * From a file's content. Throws DamagedFileError unless entries rise and lie below `endPosition`;
   * an index that Kafka had preallocated with zeros when it was killed is refused as well.
   */
  static decode(baseOffset: number, content: Buffer, endPosition: number): OffsetIndex {
    const bytes = IndexBytes.decode(ENTRY_BYTES, content);
    const index = new OffsetIndex(baseOffset, bytes);
    // The first batch of a segment has no entry.
    let last: OffsetPosition = { offset: baseOffset - 1, position: 0 };
    for (let i = 0; i < bytes.entryCount; i += 1) {
      const entry = index.entry(i);
      if (entry.offset <= last.offset || entry.position <= last.position) {
        throw new DamagedFileError("the entries of the offset index do not rise");
      }
      last = entry;
    }
    if (last.position >= endPosition) {
      throw new DamagedFileError("the offset index goes beyond its segment");
    }
    return index;
  }

  get entryCount(): number {
    return this.#bytes.entryCount;
  }

  get bytes(): IndexBytes {
    return this.#bytes;
  }

  entry(index: number): OffsetPosition {
    const { content } = this.#bytes;
    const at = index * ENTRY_BYTES;
    return {
      offset: this.baseOffset + content.readInt32BE(at),
      position: content.readInt32BE(at + 4),
    };
  }

  last(): OffsetPosition | null {
    return this.entryCount === 0 ? null : this.entry(this.entryCount - 1);
  }

  append(lastOffset: number, position: number): void {
    const relativeOffset = lastOffset - this.baseOffset;
    assert(relativeOffset <= 0x7fffffff, "an index entry fits its segment");
    const at = this.#bytes.grow();
    this.#bytes.content.writeInt32BE(relativeOffset, at);
    this.#bytes.content.writeInt32BE(position, at + 4);
  }

  isFull(maxBytes: number): boolean {
    return this.entryCount >= Math.max(1, Math.floor(maxBytes / ENTRY_BYTES));
  }

  /** The last entry at or below the offset: the search for it begins there. null: at the start. */
  floor(offset: number): OffsetPosition | null {
    const relativeOffset = offset - this.baseOffset;
    const { content } = this.#bytes;
    let low = 0;
    let high = this.entryCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (content.readInt32BE(middle * ENTRY_BYTES) <= relativeOffset) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? null : this.entry(low - 1);
  }
}
