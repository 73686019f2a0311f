/** Runs at most so many tasks at a time; the others wait in order of arrival. */
export class Limiter {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #runningCount = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Resolves or rejects as the task does. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#runningCount >= this.#limit) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#runningCount += 1;
    }
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      // The place is handed on, so that nobody who comes now gets in between.
      if (next === undefined) this.#runningCount -= 1;
      else next();
    }
  }
}
