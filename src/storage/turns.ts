/** Tasks of one key run one at a time, in the order of the calls; those of different keys side by side. */
export class Turns {
  readonly #pending = new Map<string, Promise<unknown>>();

  /** Resolves or rejects as the task does. A failing task does not stop those behind it. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#pending.get(key) ?? Promise.resolve();
    const result = before.then(task, task);
    this.#pending.set(key, result);
    const clear = (): void => {
      if (this.#pending.get(key) === result) this.#pending.delete(key);
    };
    result.then(clear, clear);
    return result;
  }

  /** Resolves when the tasks that are under way now have ended, one way or the other. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#pending.values());
  }
}
