import type { Clock } from "./clock.ts";

/** Longest that long work holds the event loop (design.md, section 2). */
export const SLICE_MS = 5;

type SliceClock = Pick<Clock, "nowMs" | "afterPoll">;

/** The time that long work has at once: `if (slice.isOver) await slice.next()` lets others have their turn. */
export class TimeSlice {
  readonly #clock: SliceClock;
  #startMs: number;

  constructor(clock: SliceClock) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
  }

  get isOver(): boolean {
    return this.#clock.nowMs() - this.#startMs >= SLICE_MS;
  }

  async next(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.afterPoll(resolve));
    this.#startMs = this.#clock.nowMs();
  }
}
