import type { Clock } from "../../base/clock.ts";
import { SLICE_MS } from "../../base/time-slice.ts";

/** The time that pipelined requests of all connections have in a turn of the event loop. */
export class TurnTime {
  readonly #clock: Pick<Clock, "nowMs" | "afterPoll">;
  /** null: nobody has asked in this turn. */
  #startMs: number | null = null;

  constructor(clock: Pick<Clock, "nowMs" | "afterPoll">) {
    this.#clock = clock;
  }

  get isOver(): boolean {
    const nowMs = this.#clock.nowMs();
    if (this.#startMs !== null) return nowMs - this.#startMs >= SLICE_MS;
    this.#startMs = nowMs;
    this.#clock.afterPoll(() => {
      this.#startMs = null;
    });
    return false;
  }
}
