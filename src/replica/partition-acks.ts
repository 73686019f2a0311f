import type { KafkaError } from "../protocol/errors.ts";
import { AckQueue, type AckWaiter, type RequiredAcks } from "./delayed.ts";

/** The marks that acks wait for. */
export interface AckMarks {
  /** This replica's own (R4). */
  readonly safeEndOffset: number;
  readonly highWatermark: number;
}

/** Those who wait for an ack of one partition, by the mark that they wait for. */
export class PartitionAcks {
  readonly #leader = new AckQueue();
  readonly #all = new AckQueue();

  add(waiter: AckWaiter, requiredAcks: RequiredAcks): void {
    const queue = requiredAcks === -1 ? this.#all : this.#leader;
    queue.add(waiter);
  }

  remove(waiter: AckWaiter): void {
    this.#leader.remove(waiter);
    this.#all.remove(waiter);
  }

  /** Whether the marks have reached what anybody waits for. */
  areDue({ safeEndOffset, highWatermark }: AckMarks): boolean {
    return this.#leader.isDue(safeEndOffset) || this.#all.isDue(highWatermark);
  }

  release({ safeEndOffset, highWatermark }: AckMarks): void {
    this.#leader.release(safeEndOffset);
    this.#all.release(highWatermark);
  }

  /** No ack will be given any more. */
  refuse(refusal: KafkaError): void {
    this.#leader.refuse(refusal);
    this.#all.refuse(refusal);
  }
}

/** Where the mark is that this kind of ack waits for. */
export function markOf(marks: AckMarks, requiredAcks: RequiredAcks): number {
  return requiredAcks === -1 ? marks.highWatermark : marks.safeEndOffset;
}
