/** Sizes of what lies one behind the other in a log, by where each ends. */
export class SizesByOffset {
  readonly #endOffsets: number[] = [];
  readonly #sizesBytes: number[] = [];
  #totalBytes = 0;

  /** Of all that is there. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Something that ends at `endOffset`, behind all before. */
  add(endOffset: number, sizeBytes: number): void {
    this.#endOffsets.push(endOffset);
    this.#sizesBytes.push(sizeBytes);
    this.#totalBytes += sizeBytes;
  }

  /** Takes out what ends at `offset` or before; returns how many bytes that were. */
  takeUpTo(offset: number): number {
    let count = 0;
    let bytes = 0;
    for (const endOffset of this.#endOffsets) {
      if (endOffset > offset) break;
      bytes += this.#sizesBytes[count] ?? 0;
      count += 1;
    }
    this.#endOffsets.splice(0, count);
    this.#sizesBytes.splice(0, count);
    this.#totalBytes -= bytes;
    return bytes;
  }

  /** Takes out all. */
  clear(): number {
    return this.takeUpTo(Infinity);
  }
}
