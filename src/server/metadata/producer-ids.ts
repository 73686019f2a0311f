import type { ProducerIdBlock } from "./producer-id-blocks.ts";

/**
 * Hands out the ids of one block after the other. A block is committed before its first id is given,
 * and what is left of it when the process dies is never given at all (X4).
 */
export class ProducerIds {
  readonly #allocate: () => Promise<ProducerIdBlock>;
  readonly #greatestForeignId: () => number;
  #nextId = 0;
  #endId = 0;
  /** The allocation that all wait for who found the block used up. */
  #refill: Promise<void> | null = null;

  /** `greatestForeignId`: that a log knows though it was in no block, or -1; all below may be known too. */
  constructor(allocate: () => Promise<ProducerIdBlock>, greatestForeignId = () => -1) {
    this.#allocate = allocate;
    this.#greatestForeignId = greatestForeignId;
  }

  /** An id that no producer of this cluster ever had. Rejects with the allocation's KafkaError. */
  async next(): Promise<number> {
    while (this.#nextId >= this.#endId || this.#greatestForeignId() >= this.#endId) {
      this.#refill ??= this.#fill();
      await this.#refill;
    }
    return this.#nextId++;
  }

  async #fill(): Promise<void> {
    try {
      const { firstProducerId, count } = await this.#allocate();
      this.#nextId = firstProducerId;
      this.#endId = firstProducerId + count;
    } finally {
      this.#refill = null;
    }
  }
}
