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
  readonly #waiters = new Set<() => boolean>();
  /** They are being called: what is released meanwhile is seen then. */
  #isWaking = false;
  #releaseCount = 0;
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
    this.#releaseCount += 1;
    if (!this.#isWaking && this.#waiters.size > 0) this.#wakeSome();
  }

  /**
   * Calls back once, when there is room again. Whoever is called looks whether there still is, and answers
   * whether he will take some, and so release some.
   */
  whenRoom(callback: () => boolean): void {
    this.#waiters.add(callback);
  }

  /** The callback waits no more. */
  forget(callback: () => boolean): void {
    this.#waiters.delete(callback);
  }

  /** Called each time that it becomes tight. One; a new one replaces it. */
  setPressureListener(onPressure: () => void): void {
    this.#onPressure = onPressure;
  }

  /**
   * As many takers as can have a share of the room; a thousand that wait shall not all look at each byte
   * that comes back. What these release wakes the next ones.
   */
  #wakeSome(): void {
    this.#isWaking = true;
    try {
      let takerCount = 0;
      let seenCount: number;
      do {
        seenCount = this.#releaseCount;
        for (const wake of [...this.#waiters]) {
          if (!this.hasRoom || takerCount * this.shareBytes >= this.roomBytes) return;
          if (this.#waiters.delete(wake) && wake()) takerCount += 1;
        }
        // Who found no room and waits again may have come before those who released some.
      } while (this.#releaseCount > seenCount && this.#waiters.size > 0);
    } finally {
      this.#isWaking = false;
    }
  }
}
