import type { Clock } from "../../base/clock.ts";
import type { Connection } from "../../base/net.ts";

/** Who takes nothing of his answers for so long is cut off when the node's memory is tight. */
const MAX_STILL_MS = 10_000;
/** The same, while others wait for memory. A consumer that is at work on other records comes back. */
const MAX_STILL_IN_SHORTAGE_MS = 2_000;
/** Who takes longer for an answer is cut off while others wait, however slowly he goes on. */
const MAX_TAKING_MS = 10_000;

/** The answers of one connection that have not left yet: written, and not taken by the peer. */
export class UnsentAnswers {
  readonly #clock: Clock;
  #bytes = 0;
  /** Since when there are some, or when the last one left. */
  #sinceMs = 0;
  /** All that was ever written; how much of it had left at the last look, and when that had last grown. */
  #writtenBytes = 0;
  #leftBytes = 0;
  #movedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get bytes(): number {
    return this.#bytes;
  }

  written(byteCount: number): void {
    if (this.#bytes === 0) this.#sinceMs = this.#movedMs = this.#clock.nowMs();
    this.#bytes += byteCount;
    this.#writtenBytes += byteCount;
  }

  /** All bytes of one `written` have left, or never will. */
  left(byteCount: number): void {
    this.#bytes -= byteCount;
    this.#sinceMs = this.#movedMs = this.#clock.nowMs();
  }

  /**
   * Whether the peer has held memory for too long. It has to be looked now and then: only a difference
   * shows that the peer takes some.
   */
  isStuck({ queuedBytes }: Pick<Connection, "queuedBytes">, isShort: boolean): boolean {
    if (this.#bytes === 0) return false;
    const nowMs = this.#clock.nowMs();
    const leftBytes = this.#writtenBytes - queuedBytes;
    if (leftBytes > this.#leftBytes) {
      this.#leftBytes = leftBytes;
      this.#movedMs = nowMs;
    }
    if (isShort && nowMs - this.#sinceMs > MAX_TAKING_MS) return true;
    return nowMs - this.#movedMs > (isShort ? MAX_STILL_IN_SHORTAGE_MS : MAX_STILL_MS);
  }
}
