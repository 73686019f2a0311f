/**
 * The descriptors by which one file is synced, lent to one sync at a time; there are two at most.
 *
 * Linux tells each open file description once of a write that it has lost (errseq_t): of two syncs that
 * run on one description, one would not hear of it, and count as a success. And a description hears only
 * of what nobody had been told before it was opened. So syncs that overlap have a description each, and
 * the second is opened while none runs.
 */
export class SyncDescriptors {
  /** Every one that there is, to be closed in the end. */
  readonly all: number[];

  readonly #idle: number[];
  readonly #waiting: ((descriptor: number) => void)[] = [];
  /** Opens another description of the same file, or says null, as there is no way to; asked once. */
  #reopen: (() => Promise<number | null>) | null;

  constructor(first: number, reopen: () => Promise<number | null>) {
    this.all = [first];
    this.#idle = [first];
    this.#reopen = reopen;
  }

  /** First come, first served. */
  take(): Promise<number> {
    const descriptor = this.#idle.pop();
    if (descriptor !== undefined) return Promise.resolve(descriptor);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  giveBack(descriptor: number): void {
    // Only one was ever lent, so nothing is synced until it is lent again.
    if (this.#waiting.length > 0 && this.#reopen !== null)
      void this.#addOne(descriptor, this.#reopen);
    else this.#lend(descriptor);
  }

  async #addOne(descriptor: number, reopen: () => Promise<number | null>): Promise<void> {
    this.#reopen = null;
    const added = await reopen();
    this.#lend(descriptor);
    if (added === null) return;
    this.all.push(added);
    this.#lend(added);
  }

  #lend(descriptor: number): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(descriptor);
    else next(descriptor);
  }
}
