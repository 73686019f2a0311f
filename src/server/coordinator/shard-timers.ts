import { afterForPeer, type Clock, type Timer } from "../../base/clock.ts";
import type { TimerQueue } from "../../base/timer-queue.ts";
import type { TimerChange } from "./core.ts";

/** When a deadline's command was refused, or came too early to know. */
const RETRY_MS = 500;

/**
 * The deadlines of one shard: sessions, rebalances, expiry. They decide about peers, so after a stall
 * what has arrived is read first (design.md, section 2). Bounded by what the state holds: members,
 * pending members, and a few for each group.
 */
export class ShardTimers<Command> {
  readonly #clock: Clock;
  readonly #isTouched: (key: string) => boolean;
  readonly #run: (key: string, command: Command) => void;
  readonly #timers = new Map<string, Timer>();

  constructor(
    dependencies: { readonly clock: Clock; readonly timers: TimerQueue },
    hooks: {
      /** Whether changes of this key are decided but not yet in force. */
      readonly isTouched: (key: string) => boolean;
      readonly run: (key: string, command: Command) => void;
    },
  ) {
    const { clock, timers } = dependencies;
    // One timer of the clock for all deadlines, with the care that afterForPeer takes.
    this.#clock = {
      nowMs: () => clock.nowMs(),
      wallMs: () => clock.wallMs(),
      after: (delayMs, callback) => timers.after(delayMs, callback),
      afterPoll: (callback) => clock.afterPoll(callback),
    };
    this.#isTouched = hooks.isTouched;
    this.#run = hooks.run;
  }

  apply(changes: readonly TimerChange<Command>[]): void {
    for (const change of changes) {
      if (change.kind === "schedule") this.#schedule(change.key, change.delayMs, change.command);
      else this.#cancel(change.key);
    }
  }

  /** The command that the deadline brought was refused: once more, unless it has a new deadline. */
  retry(key: string, command: Command): void {
    if (!this.#timers.has(key)) this.#schedule(key, RETRY_MS, command);
  }

  close(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  #schedule(key: string, delayMs: number, command: Command): void {
    this.#cancel(key);
    const timer = afterForPeer(this.#clock, delayMs, () => {
      if (this.#timers.get(key) !== timer) return;
      this.#timers.delete(key);
      if (this.#isTouched(key)) this.#schedule(key, RETRY_MS, command);
      else this.#run(key, command);
    });
    this.#timers.set(key, timer);
  }

  #cancel(key: string): void {
    this.#timers.get(key)?.cancel();
    this.#timers.delete(key);
  }
}
