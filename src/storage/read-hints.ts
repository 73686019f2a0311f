const MAX_COUNT = 16;

/**
 * Where the last reads of a segment ended: a consumer goes on there, so its next read needs neither
 * the index nor the batches before. Positions in a segment do not change while it only grows.
 */
export class ReadHints {
  /** In order of use, oldest first. */
  readonly #positions = new Map<number, number>();

  /** A batch that contains or follows `offset` begins at `position`, and none before it does. */
  put(offset: number, position: number): void {
    this.#positions.delete(offset);
    this.#positions.set(offset, position);
    if (this.#positions.size <= MAX_COUNT) return;
    for (const oldest of this.#positions.keys()) {
      this.#positions.delete(oldest);
      break;
    }
  }

  get(offset: number): number | undefined {
    return this.#positions.get(offset);
  }

  clear(): void {
    this.#positions.clear();
  }
}
