/**
 * The bytes that clients make this node hold: requests that are read and in work, answers that are read
 * for them and not taken yet. It refuses nobody; it says when there is no room, and calls back when
 * there is: whoever could do without more memory waits for that.
 */
export class MemoryBudget {
  readonly #limitBytes: number;
  #usedBytes = 0;
  #waiters: (() => void)[] = [];
  #onShortage: () => void = () => undefined;

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

  /** What is left; 0 when more than the limit is in use. */
  get roomBytes(): number {
    return Math.max(0, this.#limitBytes - this.#usedBytes);
  }

  /** Whether somebody waits for room. */
  get isShort(): boolean {
    return this.#waiters.length > 0;
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

  /** Calls back once, when there is room again. Whoever is called looks whether there still is. */
  whenRoom(callback: () => void): void {
    this.#waiters.push(callback);
    if (this.#waiters.length === 1) this.#onShortage();
  }

  /** Called when somebody begins to wait and nobody did before. One; a new one replaces it. */
  setShortageListener(onShortage: () => void): void {
    this.#onShortage = onShortage;
  }
}
