/** Somebody who reads a frame that is not complete yet. */
export interface FrameReader {
  /** It has become the first of all, and may read on whatever room there is. */
  becomeFirst(): void;
}

/**
 * Who is in the middle of reading a frame, in the order in which they began. When the node has no room
 * for more bytes they stop, all but the first: what is half read is given up by nobody else, so one must
 * always come to its end. What is held beyond the budget is one frame, the greatest that is taken.
 */
export class ReadingTurns {
  readonly #readers = new Set<FrameReader>();

  isFirst(reader: FrameReader): boolean {
    const [first] = this.#readers;
    return first === reader;
  }

  begin(reader: FrameReader): void {
    this.#readers.add(reader);
  }

  end(reader: FrameReader): void {
    const wasFirst = this.isFirst(reader);
    this.#readers.delete(reader);
    if (!wasFirst) return;
    const [next] = this.#readers;
    next?.becomeFirst();
  }
}
