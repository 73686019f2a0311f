import {
  batchBaseOffset,
  batchProducerId,
  isControl,
  isTransactional,
} from "../../src/protocol/records/batch.ts";
import { readEndMarker } from "../../src/storage/end-marker.ts";
import type { Log } from "../../src/storage/log.ts";

/** What the batches of a log, from its first on, say of transactions: the log must say the same. */
export class Transactions {
  /** The first offset of each producer's open one. */
  readonly #open = new Map<number, number>();
  readonly #aborted: string[] = [];

  note(bytes: Buffer): void {
    if (!isTransactional(bytes)) return;
    const producerId = batchProducerId(bytes);
    if (!isControl(bytes)) {
      if (!this.#open.has(producerId)) this.#open.set(producerId, batchBaseOffset(bytes));
      return;
    }
    const firstOffset = this.#open.get(producerId);
    this.#open.delete(producerId);
    if (firstOffset !== undefined && readEndMarker(bytes, 0)?.isAbort === true) {
      this.#aborted.push(`${producerId} from ${firstOffset}`);
    }
  }

  /**
   * X6: the aborted ones are complete; X7: the oldest open one bounds what is stable. After a compaction
   * one may be listed for longer than its batches are there.
   */
  async faults(log: Log): Promise<string[]> {
    const faults: string[] = [];
    const { logEndOffset } = log;
    const listed = await log.abortedTransactions(0, logEndOffset);
    const found = listed.map(({ producerId, firstOffset }) => `${producerId} from ${firstOffset}`);
    const isRight = log.config.cleanupPolicy.compacts
      ? this.#aborted.every((text) => found.includes(text))
      : found.join() === this.#aborted.join();
    if (!isRight) {
      faults.push(`X6: aborted were ${this.#aborted.join()}, listed are ${found.join()}`);
    }
    const oldest = this.#open.size === 0 ? null : Math.min(...this.#open.values());
    const unstable = log.firstUnstableOffset(logEndOffset);
    if (unstable !== oldest) faults.push(`X7: ${unstable} counts as unstable, ${oldest} is`);
    return faults;
  }
}
