/** Of what is left one reader takes so much at most, so that many can have some of it. */
const SHARE_OF_ROOM = 1 / 8;
/** But so much of the whole is worth a read, as long as it is there. */
const SMALLEST_SHARE = 1 / 256;

/**
 * The bytes that clients make this node hold: requests that are read and in work, answers that are read
 * for them and not taken yet. It refuses nobody; it says when there is no room, and calls back when
 * there is: whoever could do without more memory waits for that.
 */
export class MemoryBudget {
  readonly #limitBytes: number;
  #usedBytes = 0;
  /** In the order in which they came. */
  readonly #waiters = new Set<() => void>();
  #onPressure: () => void = () => undefined;

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

  /** What one answer may take now; 0 when there is no room. */
  get shareBytes(): number {
    const { roomBytes } = this;
    const share = Math.max(roomBytes * SHARE_OF_ROOM, this.#limitBytes * SMALLEST_SHARE);
    return Math.min(roomBytes, Math.ceil(share));
  }

  /** More than half is in use: who holds some without need should not. */
  get isTight(): boolean {
    return this.#usedBytes > this.#limitBytes / 2;
  }

  /** Whether somebody waits for room. */
  get isShort(): boolean {
    return this.#waiters.size > 0;
  }

  take(bytes: number): void {
    const wasTight: boolean = this.isTight;
    this.#usedBytes += bytes;
    if (!wasTight && this.isTight) this.#onPressure();
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
    if (this.hasRoom && this.#waiters.size > 0) this.#wakeSome();
  }

  /** Calls back once, when there is room again. Whoever is called looks whether there still is. */
  whenRoom(callback: () => void): void {
    this.#waiters.add(callback);
  }

  /** The callback waits no more. */
  forget(callback: () => void): void {
    this.#waiters.delete(callback);
  }

  /** Called each time that it becomes tight. One; a new one replaces it. */
  setPressureListener(onPressure: () => void): void {
    this.#onPressure = onPressure;
  }

  /**
   * As many as can have a share of the room; a thousand that wait shall not all look at each byte that
   * comes back. What is still in use comes back, too, and wakes the next ones; with the last of it, all are.
   */
  #wakeSome(): void {
    const shares = Math.floor(this.roomBytes / Math.max(1, this.shareBytes));
    const count = this.#usedBytes <= 0 ? Infinity : shares;
    for (const wake of [...this.#waiters].slice(0, count)) {
      this.#waiters.delete(wake);
      wake();
      if (!this.hasRoom) return;
    }
  }
}
