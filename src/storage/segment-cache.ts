/** What the cache may close: an inactive segment with an open file and loaded indexes. */
export interface Unloadable {
  /** Closes the file and forgets the indexes; they are loaded again when needed. */
  unload(): void;
}

/**
 * Bounds how many inactive segments are open, over all logs: the least recently read is unloaded
 * first. A segment that is being read stays open until the read is over (`Segment.use`).
 */
export class SegmentCache {
  readonly #maxCount: number;
  /** In order of use, oldest first. */
  readonly #open = new Set<Unloadable>();

  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  /** The segment was opened or read. */
  touch(segment: Unloadable): void {
    this.#open.delete(segment);
    this.#open.add(segment);
    for (const oldest of this.#open) {
      if (this.#open.size <= this.#maxCount) break;
      this.#open.delete(oldest);
      oldest.unload();
    }
  }

  /** The segment is closed for good. */
  forget(segment: Unloadable): void {
    this.#open.delete(segment);
  }
}
