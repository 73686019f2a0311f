import type { KafkaError } from "../../protocol/errors.ts";

interface Waiter {
  readonly offset: number;
  readonly resolve: () => void;
  readonly reject: (error: KafkaError) => void;
}

/** Promises for "the log has been applied up to here". */
export class OffsetWaiters {
  /** By offset. */
  readonly #queue: Waiter[] = [];
  #reachedOffset = -1;
  #failure: KafkaError | null = null;

  /** Resolves when `reach` has been told of the offset or a later one. */
  wait(offset: number): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (offset <= this.#reachedOffset) return Promise.resolve();
    return new Promise((resolve, reject) => {
      // From the end: nearly always who comes later waits for more.
      const before = this.#queue.findLastIndex((waiter) => waiter.offset <= offset);
      this.#queue.splice(before + 1, 0, { offset, resolve, reject });
    });
  }

  reach(offset: number): void {
    this.#reachedOffset = offset;
    const count = this.#queue.findIndex((waiter) => waiter.offset > offset);
    const done = this.#queue.splice(0, count === -1 ? this.#queue.length : count);
    for (const { resolve } of done) resolve();
  }

  /** Rejects all, and all that still come until `resume`. */
  fail(error: KafkaError): void {
    this.#failure ??= error;
    for (const { reject } of this.#queue.splice(0)) reject(error);
  }

  /** Offsets are reached again. */
  resume(): void {
    this.#failure = null;
  }
}
