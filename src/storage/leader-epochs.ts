import { assert } from "../base/assert.ts";
import type { EpochStart } from "./checkpoint.ts";

/** Kafka's "no such epoch" and "no such offset". */
const UNDEFINED = { leaderEpoch: -1, endOffset: -1 } as const;

/**
 * Which leader epoch wrote which offsets (KIP-101). The truth is in the batches; the file holds what
 * is below the recovery point, so that only the rest must be scanned after a crash.
 */
export class LeaderEpochs {
  /** Invariant: epochs and start offsets strictly increase (S10). */
  readonly #entries: EpochStart[];
  #isDirty = false;

  constructor(entries: readonly EpochStart[] = []) {
    this.#entries = [...entries];
  }

  get entries(): readonly EpochStart[] {
    return this.#entries;
  }

  /** -1: nothing was ever written. */
  get latestEpoch(): number {
    return this.#entries.at(-1)?.epoch ?? -1;
  }

  /** Whether the file does not hold what is known here. */
  get isDirty(): boolean {
    return this.#isDirty;
  }

  markWritten(): void {
    this.#isDirty = false;
  }

  markDirty(): void {
    this.#isDirty = true;
  }

  /** A batch of the epoch begins at the offset. */
  assign(epoch: number, startOffset: number): void {
    if (epoch === this.latestEpoch || epoch < 0) return;
    assert(epoch > this.latestEpoch, "leader epochs never fall", () => ({
      epoch,
      latestEpoch: this.latestEpoch,
    }));
    this.#entries.push({ epoch, startOffset });
    this.#isDirty = true;
  }

  /** Forgets what begins at or beyond the end of the log. */
  truncateFromEnd(endOffset: number): void {
    while ((this.#entries.at(-1)?.startOffset ?? -1) >= endOffset) {
      this.#entries.pop();
      this.#isDirty = true;
    }
  }

  /** Forgets what ends below the log's start; the epoch that wrote the start begins there. */
  truncateFromStart(startOffset: number): void {
    const index = this.#entries.findLastIndex((entry) => entry.startOffset <= startOffset);
    const first = this.#entries[index];
    if (first === undefined || (index === 0 && first.startOffset === startOffset)) return;
    this.#entries.splice(0, index + 1, { epoch: first.epoch, startOffset });
    this.#isDirty = true;
  }

  /** The epoch that wrote the offset; -1 when it is not known. */
  epochAt(offset: number): number {
    return this.#entries.findLast((entry) => entry.startOffset <= offset)?.epoch ?? -1;
  }

  /**
   * Kafka's answer to OffsetForLeaderEpoch: the greatest epoch at or below `epoch` that has batches,
   * and where the next one begins. For the latest epoch that is the log's end; for one that is newer
   * than all, or when nothing is known, both are -1.
   */
  endOffsetFor(epoch: number, logEndOffset: number): { leaderEpoch: number; endOffset: number } {
    if (epoch < 0 || epoch > this.latestEpoch) return UNDEFINED;
    if (epoch === this.latestEpoch) return { leaderEpoch: epoch, endOffset: logEndOffset };
    const nextIndex = this.#entries.findIndex((entry) => entry.epoch > epoch);
    const next = this.#entries[nextIndex];
    if (next === undefined) return UNDEFINED;
    const leaderEpoch = this.#entries[nextIndex - 1]?.epoch ?? epoch;
    return { leaderEpoch, endOffset: next.startOffset };
  }
}
