import type { Clock, Timer } from "../../src/base/clock.ts";

interface Pending {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #pending: Pending[] = [];
  readonly #polls: (() => void)[] = [];

  get pendingCount(): number {
    return this.#pending.length;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + Math.floor(this.#nowMs);
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

  /** Time passes all at once, as in a stall; what is due runs late, in order, then the polls. */
  async stall(ms: number): Promise<void> {
    this.#nowMs += ms;
    await this.#run();
  }

  /** Time passes; what falls due runs at its time. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = Math.min(...this.#pending.map(({ dueMs }) => dueMs));
      if (next > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next);
      await this.#run();
    }
    this.#nowMs = endMs;
  }

  async #run(): Promise<void> {
    for (;;) {
      const due = this.#pending
        .filter(({ dueMs }) => dueMs <= this.#nowMs)
        .sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#pending = this.#pending.filter((one) => one !== due);
      due.callback();
      await drained();
    }
    for (const callback of this.#polls.splice(0)) {
      callback();
      await drained();
    }
  }
}

/** Resolves when all that follows from what has happened has run. */
export function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
