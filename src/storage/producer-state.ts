import {
  batchBaseSequence,
  batchLastOffset,
  batchLastOffsetDelta,
  batchLastSequence,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  incrementSequence,
  isControl,
} from "../protocol/records/batch.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { ProducerSnapshotEntry } from "./producer-snapshot.ts";

/** How many batches of a producer are kept: a client has at most so many requests in flight. */
const RETAINED_BATCH_COUNT = 5;
const INT32_MAX = 0x7fffffff;
const NO_SEQUENCE = -1;

interface StoredBatch {
  readonly lastSequence: number;
  readonly lastOffset: number;
  readonly offsetDelta: number;
  readonly timestampMs: number;
}

const NO_BATCH: StoredBatch = {
  lastSequence: NO_SEQUENCE,
  lastOffset: -1,
  offsetDelta: 0,
  timestampMs: -1,
};

interface Producer {
  epoch: number;
  /** Of this epoch, oldest first; empty when only a control batch was seen. */
  batches: StoredBatch[];
  lastTimestampMs: number;
  coordinatorEpoch: number;
  currentTxnFirstOffset: number;
  /** By our own monotonic clock: a client's timestamps may not make us forget it. */
  seenAtMs: number;
}

export interface DuplicateBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly timestampMs: number;
}

/**
 * What the log knows of each idempotent producer (X1, X2): derived from its batches alone, so that
 * snapshot and scan of the rest equal a scan of all (S11). It is ahead of the disk by what is queued.
 */
export class ProducerState {
  readonly #producers = new Map<number, Producer>();

  get producerCount(): number {
    return this.#producers.size;
  }

  /**
   * Whether the client's batch may come next. Returns the old batch when it is an exact repeat of one
   * of the last five. An unknown producer may begin with any sequence: it may be one that has expired.
   * Throws KafkaError INVALID_PRODUCER_EPOCH or OUT_OF_ORDER_SEQUENCE_NUMBER.
   */
  check(batch: Buffer): DuplicateBatch | null {
    const producerId = batchProducerId(batch);
    if (producerId < 0 || isControl(batch)) return null;
    const producer = this.#producers.get(producerId);
    if (producer === undefined) return null;
    const epoch = batchProducerEpoch(batch);
    const baseSequence = batchBaseSequence(batch);
    if (epoch < producer.epoch) {
      throw new KafkaError(
        "INVALID_PRODUCER_EPOCH",
        `epoch ${epoch} of producer ${producerId} is older than its epoch ${producer.epoch}`,
      );
    }
    if (epoch > producer.epoch) {
      if (baseSequence === 0) return null;
      throw outOfOrder(
        producerId,
        `the first sequence of epoch ${epoch} is ${baseSequence}, not 0`,
      );
    }
    const duplicate = findDuplicate(producer, baseSequence, batchLastSequence(batch));
    if (duplicate !== undefined) return duplicate;
    const lastSequence = producer.batches.at(-1)?.lastSequence ?? NO_SEQUENCE;
    if (baseSequence !== incrementSequence(lastSequence, 1)) {
      throw outOfOrder(producerId, `sequence ${baseSequence} came after ${lastSequence}`);
    }
    return null;
  }

  /** Takes over a batch that is in the log: one that passed `check`, or one that recovery found. */
  update(bytes: Buffer, position: number, nowMs: number): void {
    const producerId = batchProducerId(bytes, position);
    if (producerId < 0) return;
    const epoch = batchProducerEpoch(bytes, position);
    const timestampMs = batchMaxTimestamp(bytes, position);
    let producer = this.#producers.get(producerId);
    if (producer === undefined) {
      producer = newProducer(epoch, nowMs);
      this.#producers.set(producerId, producer);
    } else if (epoch !== producer.epoch) {
      producer.epoch = epoch;
      producer.batches = [];
    }
    producer.lastTimestampMs = timestampMs;
    producer.seenAtMs = nowMs;
    if (isControl(bytes, position)) return;
    producer.batches.push({
      lastSequence: batchLastSequence(bytes, position),
      lastOffset: batchLastOffset(bytes, position),
      offsetDelta: batchLastOffsetDelta(bytes, position),
      timestampMs,
    });
    if (producer.batches.length > RETAINED_BATCH_COUNT) producer.batches.shift();
  }

  /** Forgets producers that have not been seen since then. */
  removeSeenBefore(limitMs: number): void {
    for (const [producerId, producer] of this.#producers) {
      if (producer.currentTxnFirstOffset < 0 && producer.seenAtMs < limitMs) {
        this.#producers.delete(producerId);
      }
    }
  }

  /**
   * What a snapshot holds: an entry for each batch that is kept, of each producer the oldest first.
   * Kafka writes the last one only, so after a restart it refuses the repeat of an older batch whose
   * answer was lost, though the batch is in the log (X2, S11). Reading ours, it keeps the last entry
   * of each producer, which is what it would have written.
   */
  snapshot(): ProducerSnapshotEntry[] {
    return [...this.#producers].flatMap(([producerId, producer]) => {
      const batches = producer.batches.length > 0 ? producer.batches : [NO_BATCH];
      return batches.map((batch, index) => ({
        producerId,
        epoch: producer.epoch,
        lastSequence: batch.lastSequence,
        lastOffset: batch.lastOffset,
        offsetDelta: batch.offsetDelta,
        // The last one's time is the producer's: a control batch may have come after it.
        timestamp: BigInt(
          index === batches.length - 1 ? producer.lastTimestampMs : batch.timestampMs,
        ),
        coordinatorEpoch: producer.coordinatorEpoch,
        currentTxnFirstOffset: producer.currentTxnFirstOffset,
      }));
    });
  }

  static restore(entries: readonly ProducerSnapshotEntry[], nowMs: number): ProducerState {
    const state = new ProducerState();
    for (const entry of entries) {
      let producer = state.#producers.get(entry.producerId);
      if (producer?.epoch !== entry.epoch) {
        producer = newProducer(entry.epoch, nowMs);
        state.#producers.set(entry.producerId, producer);
      }
      producer.lastTimestampMs = Number(entry.timestamp);
      producer.coordinatorEpoch = entry.coordinatorEpoch;
      producer.currentTxnFirstOffset = entry.currentTxnFirstOffset;
      if (entry.lastOffset < 0) continue;
      producer.batches.push({
        lastSequence: entry.lastSequence,
        lastOffset: entry.lastOffset,
        offsetDelta: entry.offsetDelta,
        timestampMs: Number(entry.timestamp),
      });
      if (producer.batches.length > RETAINED_BATCH_COUNT) producer.batches.shift();
    }
    return state;
  }
}

function newProducer(epoch: number, nowMs: number): Producer {
  return {
    epoch,
    batches: [],
    lastTimestampMs: -1,
    coordinatorEpoch: -1,
    currentTxnFirstOffset: -1,
    seenAtMs: nowMs,
  };
}

function findDuplicate(
  producer: Producer,
  baseSequence: number,
  lastSequence: number,
): DuplicateBatch | undefined {
  const found = producer.batches.find(
    (batch) => batch.lastSequence === lastSequence && firstSequence(batch) === baseSequence,
  );
  if (found === undefined) return undefined;
  return {
    baseOffset: found.lastOffset - found.offsetDelta,
    lastOffset: found.lastOffset,
    timestampMs: found.timestampMs,
  };
}

function firstSequence(batch: StoredBatch): number {
  const sequence = batch.lastSequence - batch.offsetDelta;
  return sequence >= 0 ? sequence : sequence + INT32_MAX + 1;
}

function outOfOrder(producerId: number, what: string): KafkaError {
  return new KafkaError("OUT_OF_ORDER_SEQUENCE_NUMBER", `producer ${producerId}: ${what}`);
}
