import type { Clock, Timer } from "../base/clock.ts";
import { TimeSlice } from "../base/time-slice.ts";

/** What ends a cleaning from outside: its log was truncated, deleted or has failed, or the node stops. */
export class CleaningAbortedError extends Error {
  override readonly name = "CleaningAbortedError";
}

/** Keeps the cleaner from taking more than its share of the event loop and of the disk. */
export class CleaningPace {
  readonly #clock: Clock;
  readonly #options: { readonly maxBytesPerSecond: number };
  #slice: TimeSlice;
  /** When the bytes that were taken so far are paid for. */
  #paidAtMs = 0;
  #waiting: { readonly timer: Timer; readonly resolve: () => void } | null = null;
  #isStopped = false;

  /** `options` is read at each use. */
  constructor(clock: Clock, options: { readonly maxBytesPerSecond: number }) {
    this.#clock = clock;
    this.#options = options;
    this.#slice = new TimeSlice(clock);
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Whoever waits goes on at once, and nobody waits any more. */
  stop(): void {
    this.#isStopped = true;
    this.#waiting?.timer.cancel();
    this.#waiting?.resolve();
    this.#waiting = null;
  }

  /** To be called often; gives the loop a turn once a slice is over. Throws CleaningAbortedError. */
  async breathe(): Promise<void> {
    if (this.#isStopped) throw new CleaningAbortedError("the cleaner stops");
    if (this.#slice.isOver) await this.#slice.next();
  }

  /** So many bytes were read or written; waits until that is within the limit. */
  async spend(byteCount: number): Promise<void> {
    const { maxBytesPerSecond } = this.#options;
    if (maxBytesPerSecond === Infinity || this.#isStopped) return;
    const nowMs = this.#clock.nowMs();
    this.#paidAtMs = Math.max(this.#paidAtMs, nowMs) + (byteCount * 1000) / maxBytesPerSecond;
    await this.wait(this.#paidAtMs - nowMs);
    this.#slice = new TimeSlice(this.#clock);
  }

  /** Resolves after so long, or when the cleaner stops. One waits at a time. */
  async wait(delayMs: number): Promise<void> {
    if (this.#isStopped) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(delayMs, () => {
        this.#waiting = null;
        resolve();
      });
      this.#waiting = { timer, resolve };
    });
  }
}
