/** What is due when, on virtual time. Of two that are due at once the earlier entered goes first. */
export class EventQueue {
  readonly #events: { readonly atMs: number; readonly run: () => void }[] = [];
  nowMs = 0;

  after(delayMs: number, run: () => void): void {
    const atMs = this.nowMs + delayMs;
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#events[middle]!.atMs > atMs) low = middle + 1;
      else high = middle;
    }
    // The last of the array is the next to run.
    this.#events.splice(low, 0, { atMs, run });
  }

  /** Runs all that is due up to then. */
  runUntil(endMs: number): void {
    for (;;) {
      const next = this.#events.at(-1);
      if (next === undefined || next.atMs > endMs) break;
      this.#events.pop();
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = endMs;
  }
}
