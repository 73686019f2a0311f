import type { Timer } from "../base/clock.ts";
import type { TimerQueue } from "../base/timer-queue.ts";

/** What runs beside the requests, now and then or once, until `close`. */
export class BackgroundTasks {
  readonly #timers: TimerQueue;
  readonly #armed = new Set<Timer>();
  readonly #running = new Set<Promise<void>>();
  #isClosed = false;

  constructor(timers: TimerQueue) {
    this.#timers = timers;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Runs the task again and again, so long after it has ended; the first time after `delayMs`. */
  every(intervalMs: number, task: () => Promise<void>, delayMs = intervalMs): void {
    if (this.#isClosed) return;
    const timer = this.#timers.after(delayMs, () => {
      this.#armed.delete(timer);
      this.start(async () => {
        await task();
        this.every(intervalMs, task);
      });
    });
    this.#armed.add(timer);
  }

  start(task: () => Promise<void>): void {
    const running = task().finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Starts nothing more; resolves when nothing runs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#armed) timer.cancel();
    this.#armed.clear();
    await Promise.allSettled(this.#running);
  }
}
