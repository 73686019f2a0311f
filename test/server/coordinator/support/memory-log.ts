import { KafkaError } from "../../../../src/protocol/errors.ts";
import {
  batchLastOffset,
  batchNextOffset,
  batchRecordCount,
  batchSizeBytes,
  stampBatch,
} from "../../../../src/protocol/records/batch.ts";
import type { CoordinatorLog } from "../../../../src/server/coordinator/coordinator-log.ts";

interface Waiter {
  readonly endOffset: number;
  readonly resolve: () => void;
  readonly reject: (error: KafkaError) => void;
}

/** A partition's log in memory. The test decides when it commits, refuses or fails. */
export class MemoryLog implements CoordinatorLog {
  leaderEpoch = 0;
  readonly startOffset = 0;
  highWatermark = 0;
  readonly batches: Buffer[] = [];
  /** False: the high watermark waits for `commit`. */
  commitsAtOnce = true;
  /** Thrown at the next appends. */
  refusal: KafkaError | null = null;
  /** Read errors. */
  damage: KafkaError | null = null;
  /** Reads wait for it. */
  gate: Promise<void> = Promise.resolve();
  #waiters: Waiter[] = [];

  /** Compaction has left nothing between the last batch and this. */
  compactedEnd = 0;

  get endOffset(): number {
    const last = this.batches.at(-1);
    return Math.max(this.compactedEnd, last === undefined ? 0 : batchNextOffset(last));
  }

  get recordCount(): number {
    return this.batches.reduce((sum, batch) => sum + batchRecordCount(batch), 0);
  }

  append(batch: Buffer): { readonly baseOffset: number; readonly committed: Promise<void> } {
    if (this.refusal !== null) throw this.refusal;
    const baseOffset = this.endOffset;
    stampBatch(batch, 0, baseOffset, this.leaderEpoch);
    this.batches.push(batch);
    if (this.commitsAtOnce) this.commit();
    return { baseOffset, committed: this.whenCommitted(this.endOffset) };
  }

  whenCommitted(endOffset: number): Promise<void> {
    if (endOffset <= this.highWatermark) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ endOffset, resolve, reject });
    });
  }

  async read(offset: number, maxBytes: number): Promise<{ records: Buffer; nextOffset: number }> {
    await this.gate;
    if (this.damage !== null) throw this.damage;
    const taken: Buffer[] = [];
    let bytes = 0;
    for (const batch of this.batches) {
      if (batchLastOffset(batch) < offset) continue;
      if (taken.length > 0 && bytes + batchSizeBytes(batch) > maxBytes) break;
      taken.push(Buffer.from(batch));
      bytes += batch.length;
    }
    const last = taken.at(-1);
    return {
      records: Buffer.concat(taken),
      nextOffset: last === undefined ? offset : batchNextOffset(last),
    };
  }

  /** The high watermark reaches the end, or this far. */
  commit(endOffset = this.endOffset): void {
    this.highWatermark = endOffset;
    const done = this.#waiters.filter((waiter) => waiter.endOffset <= endOffset);
    this.#waiters = this.#waiters.filter((waiter) => waiter.endOffset > endOffset);
    for (const { resolve } of done) resolve();
  }

  /** What is not committed never will be reported so. The records stay. */
  lose(error: KafkaError): void {
    for (const { reject } of this.#waiters.splice(0)) reject(error);
  }

  /** Another leader never had what is above the high watermark. */
  truncateToHighWatermark(): void {
    this.lose(new KafkaError("NOT_LEADER_OR_FOLLOWER"));
    while (this.endOffset > this.highWatermark) this.batches.pop();
  }
}
