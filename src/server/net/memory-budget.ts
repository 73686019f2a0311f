/**
 * Bytes of requests in work on the whole node. It never refuses a request that was read: it only says
 * when connections shall stop reading more. A connection with nothing in work may always start one,
 * so that requests which wait for others (JoinGroup) cannot lock each other out.
 */
export class MemoryBudget {
  readonly #limitBytes: number;
  #usedBytes = 0;
  #waiters: (() => void)[] = [];

  /** Not above 0: no limit. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes > 0 ? limitBytes : Infinity;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get hasRoom(): boolean {
    return this.#usedBytes < this.#limitBytes;
  }

  take(bytes: number): void {
    this.#usedBytes += bytes;
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
    if (!this.hasRoom || this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Calls back once, when there is room again. */
  whenRoom(callback: () => void): void {
    this.#waiters.push(callback);
  }
}
