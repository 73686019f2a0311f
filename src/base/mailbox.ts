/** Thrown to tasks that were sent to a mailbox after it was closed. */
export class MailboxClosedError extends Error {
  override readonly name = "MailboxClosedError";
}

/**
 * Runs tasks one at a time, in order of arrival: the one writer of a partition or coordinator shard
 * (conventions.md, Async). A task that is sent while nothing runs starts before `run` returns.
 */
export class Mailbox {
  #tail: Promise<unknown> | null = null;
  #depth = 0;
  #isClosed = false;

  /** Tasks sent and not finished. */
  get depth(): number {
    return this.#depth;
  }

  /** Resolves or rejects as the task does. A failing task does not stop those behind it. */
  run<T>(task: () => T | Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new MailboxClosedError("mailbox is closed"));
    this.#depth += 1;
    const before = this.#tail;
    const result = before === null ? startNow(task) : before.then(task);
    const settled = result.then(noop, noop).then(() => {
      this.#depth -= 1;
      if (this.#tail === settled) this.#tail = null;
    });
    this.#tail = settled;
    return result;
  }

  /** Takes no more tasks and resolves when those sent before have finished. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#tail;
  }
}

function startNow<T>(task: () => T | Promise<T>): Promise<T> {
  return new Promise((resolve) => {
    resolve(task());
  });
}

function noop(): void {
  // The outcome belongs to the caller of `run`.
}
