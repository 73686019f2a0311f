import { type Clock, loopTurn, type Timer } from "../../../src/base/clock.ts";

/** Time that stands still until the test moves it. `afterPoll` is the real one. */
export class ManualClock implements Clock {
  #nowMs = 1_000;
  #timers: { readonly dueMs: number; readonly callback: () => void }[] = [];
  readonly #startWallMs: number;

  constructor(startWallMs = 1_800_000_000_000) {
    this.#startWallMs = startWallMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#startWallMs + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  afterPoll(callback: () => void): void {
    void loopTurn().then(callback);
  }

  /** Moves the time, running what falls due, and lets all that follows from it happen. */
  async advance(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (;;) {
      const due = this.#timers.find((timer) => timer.dueMs <= this.#nowMs);
      if (due === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== due);
      due.callback();
    }
    await settle();
  }
}

/** Lets everything that needs no time happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await loopTurn();
}
