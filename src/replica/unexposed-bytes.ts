/**
 * Sizes of the batches above the high watermark, noted at the append, so that an advance knows how many
 * bytes it exposes: a parked fetch learns whether its minBytes are there without reading for it.
 */
export class UnexposedBytes {
  readonly #endOffsets: number[] = [];
  readonly #sizesBytes: number[] = [];
  #totalBytes = 0;

  /** Of all batches that are above the high watermark. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** A batch of `sizeBytes` that ends at `endOffset` was appended behind all before. */
  add(endOffset: number, sizeBytes: number): void {
    this.#endOffsets.push(endOffset);
    this.#sizesBytes.push(sizeBytes);
    this.#totalBytes += sizeBytes;
  }

  /**
   * Bytes of the batches that end at `highWatermark` or before, each counted in one call only. At
   * least 1, as the mark may also move over what was in the log before this leader counted.
   */
  takeUpTo(highWatermark: number): number {
    let count = 0;
    let bytes = 0;
    for (const endOffset of this.#endOffsets) {
      if (endOffset > highWatermark) break;
      bytes += this.#sizesBytes[count] ?? 0;
      count += 1;
    }
    this.#endOffsets.splice(0, count);
    this.#sizesBytes.splice(0, count);
    this.#totalBytes -= bytes;
    return Math.max(1, bytes);
  }

  /** The log ends there now: batches beyond are gone. */
  truncateTo(endOffset: number): void {
    const count = this.#endOffsets.findLastIndex((each) => each <= endOffset) + 1;
    this.#endOffsets.length = count;
    for (const sizeBytes of this.#sizesBytes.splice(count)) this.#totalBytes -= sizeBytes;
  }
}
