import { randomBelow, type Random } from "../../../src/base/random.ts";
import type { QuorumState } from "../../../src/raft/core/events.ts";
import type { Batch } from "../../../src/raft/core/messages.ts";

export function isSameBatch(a: Batch | undefined, b: Batch | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.baseOffset === b.baseOffset &&
    a.endOffset === b.endOffset &&
    a.leaderEpoch === b.leaderEpoch &&
    a.bytes.equals(b.bytes)
  );
}

export function endOffsetOf(batches: readonly Batch[]): number {
  return batches.at(-1)?.endOffset ?? 0;
}

/** One node's disk: what survives the process, and what survives the power. */
export class ModelDisk {
  /** The log as the process sees it. */
  cached: Batch[] = [];
  /** The log as of the last sync. */
  durable: readonly Batch[] = [];
  quorumState: QuorumState | null = null;
  /** A write of the quorum state that is under way. */
  writing: QuorumState | null = null;

  /** How many batches of the log are the same on both sides. */
  get syncedCount(): number {
    const count = Math.min(this.cached.length, this.durable.length);
    for (let index = 0; index < count; index += 1) {
      if (this.cached[index] === this.durable[index]) continue;
      if (!isSameBatch(this.cached[index], this.durable[index])) return index;
    }
    return count;
  }

  truncateTo(endOffset: number): readonly Batch[] {
    const removed = this.cached.filter((batch) => batch.endOffset > endOffset);
    this.cached = this.cached.filter((batch) => batch.endOffset <= endOffset);
    return removed;
  }

  /** The process dies: the rename that it was about to do has happened or not. */
  kill(random: Random): void {
    if (this.writing !== null && randomBelow(random, 2) === 0) this.quorumState = this.writing;
    this.writing = null;
  }

  /** What was not synced is gone, or a part of it has reached the disk all the same. */
  cutPower(random: Random): void {
    this.kill(random);
    const syncedCount = this.syncedCount;
    if (randomBelow(random, 3) === 0) {
      this.cached = [...this.durable];
    } else {
      const extraCount = randomBelow(random, this.cached.length - syncedCount + 1);
      this.cached = this.cached.slice(0, syncedCount + extraCount);
    }
    this.durable = [...this.cached];
  }
}
