import { assert } from "../../base/assert.ts";
import type { EpochStart } from "../../storage/checkpoint.ts";
import { LeaderEpochs } from "../../storage/leader-epochs.ts";

/** A place in a log: the epoch, and where it ends. */
export interface EpochEnd {
  readonly epoch: number;
  readonly endOffset: number;
}

/**
 * What the core knows of the log: its end, how far it is synced, and which epoch wrote what. Appends and
 * truncations count here at once; the driver does them in the same order.
 */
export class LogView {
  readonly #epochs: LeaderEpochs;
  #endOffset: number;
  /** Invariant: flushedEndOffset <= endOffset. */
  #flushedEndOffset: number;

  /** A log as it was recovered: whatever is in it then is synced, or is synced before it counts. */
  constructor(recovered: {
    readonly endOffset: number;
    readonly flushedEndOffset: number;
    readonly epochs: readonly EpochStart[];
  }) {
    this.#epochs = new LeaderEpochs(recovered.epochs);
    this.#endOffset = recovered.endOffset;
    this.#flushedEndOffset = recovered.flushedEndOffset;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  get flushedEndOffset(): number {
    return this.#flushedEndOffset;
  }

  get isFlushed(): boolean {
    return this.#flushedEndOffset === this.#endOffset;
  }

  /** The epoch of the last record; 0 when there is none. */
  get lastEpoch(): number {
    return Math.max(0, this.#epochs.latestEpoch);
  }

  append(leaderEpoch: number, endOffset: number): void {
    assert(endOffset > this.#endOffset, "an append moves the end of the log");
    this.#epochs.assign(leaderEpoch, this.#endOffset);
    this.#endOffset = endOffset;
  }

  flushed(endOffset: number): void {
    assert(endOffset <= this.#endOffset, "what is synced was appended");
    this.#flushedEndOffset = Math.max(this.#flushedEndOffset, endOffset);
  }

  /** No sync is under way then: it could not be told from one of what takes the place of the rest. */
  truncateTo(endOffset: number): void {
    assert(endOffset < this.#endOffset && this.isFlushed, "a synced log is truncated");
    this.#epochs.truncateFromEnd(endOffset);
    this.#endOffset = endOffset;
    this.#flushedEndOffset = endOffset;
  }

  /** The greatest epoch at or below `epoch`, and where it ends here (KIP-101). */
  endOffsetFor(epoch: number): EpochEnd {
    if (epoch >= this.lastEpoch) return { epoch: this.lastEpoch, endOffset: this.#endOffset };
    const { leaderEpoch, endOffset } = this.#epochs.endOffsetFor(epoch, this.#endOffset);
    return { epoch: leaderEpoch, endOffset };
  }
}
