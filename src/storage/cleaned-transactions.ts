import { batchLastOffset, batchProducerId, isTransactional } from "../protocol/records/batch.ts";
import type { AbortedTransaction } from "./txn-index.ts";

interface OpenAbort {
  readonly transaction: AbortedTransaction;
  hasBatches: boolean;
}

/** What a marker ends; null: a control record of another kind, or one whose record is gone. */
export type MarkerType = "COMMIT" | "ABORT";

/**
 * Follows the transactions of a log while it is compacted from its start: which data were aborted, and
 * which markers have nothing left to say because no batch of their transaction is there any more.
 */
export class CleanedTransactions {
  /** Not reached yet, by first offset. */
  #coming: AbortedTransaction[] = [];
  readonly #aborting = new Map<number, OpenAbort>();
  readonly #committing = new Set<number>();
  #kept: AbortedTransaction[] = [];

  /** What the `.txnindex` of the segment that comes next says. */
  expect(aborted: readonly AbortedTransaction[]): void {
    this.#coming = [...this.#coming, ...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  }

  /** A batch of data; true: its transaction was aborted. */
  sawData(bytes: Buffer, at: number): boolean {
    this.#reach(batchLastOffset(bytes, at));
    if (!isTransactional(bytes, at)) return false;
    const producerId = batchProducerId(bytes, at);
    const abort = this.#aborting.get(producerId);
    if (abort === undefined) {
      this.#committing.add(producerId);
      return false;
    }
    abort.hasBatches = true;
    return true;
  }

  /** A marker; true: its transaction has no batches left. */
  sawMarker(bytes: Buffer, at: number, type: MarkerType): boolean {
    this.#reach(batchLastOffset(bytes, at));
    const producerId = batchProducerId(bytes, at);
    if (type === "COMMIT") return !this.#committing.delete(producerId);
    const abort = this.#aborting.get(producerId);
    this.#aborting.delete(producerId);
    if (abort?.hasBatches !== true) return true;
    this.#kept.push(abort.transaction);
    return false;
  }

  /** The transactions that ended since the last call and still have batches: the new index. */
  takeKept(): readonly AbortedTransaction[] {
    const kept = this.#kept;
    this.#kept = [];
    return kept;
  }

  #reach(offset: number): void {
    while (this.#coming[0] !== undefined && this.#coming[0].firstOffset <= offset) {
      const transaction = this.#coming[0];
      this.#coming.shift();
      if (!this.#aborting.has(transaction.producerId)) {
        this.#aborting.set(transaction.producerId, { transaction, hasBatches: false });
      }
    }
  }
}
