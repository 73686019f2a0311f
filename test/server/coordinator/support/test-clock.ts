import type { Clock, Timer } from "../../../../src/base/clock.ts";

interface Pending {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** Stands still until the test moves it. Timers, then what has arrived (the test's turn), then polls. */
export class TestClock implements Clock {
  #nowMs = 0;
  #wallStartMs = 1_700_000_000_000;
  #pending: Pending[] = [];
  #polls: (() => void)[] = [];

  /** What each look at the clock costs: a slow machine. */
  tickMs = 0;

  get pollCount(): number {
    return this.#polls.length;
  }

  nowMs(): number {
    this.#nowMs += this.tickMs;
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallStartMs + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const pending = { dueMs: this.#nowMs + Math.max(0, delayMs), callback };
    this.#pending.push(pending);
    return {
      cancel: () => {
        this.#pending = this.#pending.filter((one) => one !== pending);
      },
    };
  }

  afterPoll(callback: () => void): void {
    this.#polls.push(callback);
  }

  /** Runs what is due now and all that follows from it. */
  async settle(): Promise<void> {
    for (;;) {
      await drained();
      if (this.#runNextDue()) continue;
      const polls = this.#polls.splice(0);
      if (polls.length === 0) return;
      for (const callback of polls) {
        callback();
        await drained();
      }
    }
  }

  /** Time passes; what falls due runs at its time. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await this.settle();
    for (;;) {
      const next = Math.min(...this.#pending.map(({ dueMs }) => dueMs));
      if (next > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next);
      await this.settle();
    }
    this.#nowMs = endMs;
  }

  /** The process stood still: due timers run late and all at once; polls wait for `settle`. */
  stall(ms: number): void {
    this.#nowMs += ms;
    while (this.#runNextDue());
  }

  #runNextDue(): boolean {
    const due = this.#pending
      .filter(({ dueMs }) => dueMs <= this.#nowMs)
      .sort((a, b) => a.dueMs - b.dueMs)[0];
    if (due === undefined) return false;
    this.#pending = this.#pending.filter((one) => one !== due);
    due.callback();
    return true;
  }
}

export function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
