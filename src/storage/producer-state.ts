import {
  batchBaseOffset,
  batchBaseSequence,
  batchLastOffset,
  batchLastOffsetDelta,
  batchLastSequence,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  incrementSequence,
  isControl,
  isTransactional,
} from "../protocol/records/batch.ts";
import { KafkaError } from "../protocol/errors.ts";
import { type EndMarker, readEndMarker } from "./end-marker.ts";
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

/** A transaction whose marker is in the log; one that wrote nothing here is none. */
export interface CompletedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of the marker. */
  readonly lastOffset: number;
  /** Where the oldest of the others begins that were open then; after the marker, if none was. */
  readonly lastStableOffset: number;
  readonly isAborted: boolean;
}

/**
 * What the log knows of each idempotent producer (X1, X2) and of open transactions (X7): derived from its batches alone, so that
 * snapshot and scan of the rest equal a scan of all (S11). It is ahead of the disk by what is queued.
 */
export class ProducerState {
  readonly #producers = new Map<number, Producer>();
  #greatestProducerId = -1;
  /** First offsets of the transactions that are open, ascending, with their producers. */
  readonly #open = new Map<number, number>();
  /** Transactions that have ended, by their markers, ascending: until the high watermark is above. */
  #ended: CompletedTransaction[] = [];

  get producerCount(): number {
    return this.#producers.size;
  }

  /** The greatest id that was ever known here, or -1. */
  get greatestProducerId(): number {
    return this.#greatestProducerId;
  }

  /**
   * Whether the client's batch may come next. Returns the old batch when it is an exact repeat of one
   * of the last five. An unknown producer may begin with any sequence: it may be one that has expired.
   * Throws KafkaError INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER or INVALID_TXN_STATE; of a
   * marker INVALID_PRODUCER_EPOCH or TRANSACTION_COORDINATOR_FENCED.
   */
  check(batch: Buffer): DuplicateBatch | null {
    const producerId = batchProducerId(batch);
    const producer = this.#producers.get(producerId);
    if (producerId < 0 || producer === undefined) return null;
    const epoch = batchProducerEpoch(batch);
    if (epoch < producer.epoch) {
      throw new KafkaError(
        "INVALID_PRODUCER_EPOCH",
        `epoch ${epoch} of producer ${producerId} is older than its epoch ${producer.epoch}`,
      );
    }
    if (isControl(batch)) {
      checkCoordinator(producerId, producer, readEndMarker(batch, 0));
      return null;
    }
    const duplicate = checkSequence(producerId, producer, batch);
    // A repeat is answered as the first was, whatever has begun since.
    if (duplicate !== null) return duplicate;
    if (producer.currentTxnFirstOffset >= 0 && !isTransactional(batch)) {
      throw new KafkaError(
        "INVALID_TXN_STATE",
        `producer ${producerId} has a transaction open and sent a batch that is not part of it`,
      );
    }
    return null;
  }

  /**
   * Takes over a batch that is in the log: one that passed `check`, or one that recovery found. Returns
   * the transaction that it ends.
   */
  update(bytes: Buffer, position: number, nowMs: number): CompletedTransaction | null {
    const producerId = batchProducerId(bytes, position);
    if (producerId < 0) return null;
    const producer = this.#producerOf(producerId, batchProducerEpoch(bytes, position), nowMs);
    producer.lastTimestampMs = batchMaxTimestamp(bytes, position);
    producer.seenAtMs = nowMs;
    if (isControl(bytes, position)) {
      const marker = readEndMarker(bytes, position);
      return marker === null ? null : this.#end(producerId, producer, marker);
    }
    if (isTransactional(bytes, position) && producer.currentTxnFirstOffset < 0) {
      producer.currentTxnFirstOffset = batchBaseOffset(bytes, position);
      this.#open.set(producer.currentTxnFirstOffset, producerId);
    }
    addBatch(producer, {
      lastSequence: batchLastSequence(bytes, position),
      lastOffset: batchLastOffset(bytes, position),
      offsetDelta: batchLastOffsetDelta(bytes, position),
      timestampMs: producer.lastTimestampMs,
    });
    return null;
  }

  /**
   * Where the oldest transaction begins that is open, or whose marker lies at or above the high
   * watermark (X7); null: there is none. The high watermark never falls from call to call.
   */
  firstUnstableOffset(highWatermark: number): number | null {
    const keptIndex = this.#ended.findIndex(({ lastOffset }) => lastOffset >= highWatermark);
    this.#ended = keptIndex === -1 ? [] : this.#ended.slice(keptIndex);
    let first = firstKey(this.#open) ?? Infinity;
    for (const { firstOffset } of this.#ended) first = Math.min(first, firstOffset);
    return first === Infinity ? null : first;
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
      const producer = state.#producerOf(entry.producerId, entry.epoch, nowMs);
      producer.lastTimestampMs = Number(entry.timestamp);
      producer.coordinatorEpoch = entry.coordinatorEpoch;
      producer.currentTxnFirstOffset = entry.currentTxnFirstOffset;
      if (entry.lastOffset < 0) continue;
      addBatch(producer, {
        lastSequence: entry.lastSequence,
        lastOffset: entry.lastOffset,
        offsetDelta: entry.offsetDelta,
        timestampMs: Number(entry.timestamp),
      });
    }
    const open = [...state.#producers]
      .map(
        ([producerId, { currentTxnFirstOffset }]) => [currentTxnFirstOffset, producerId] as const,
      )
      .filter(([firstOffset]) => firstOffset >= 0)
      .sort(([a], [b]) => a - b);
    for (const [firstOffset, producerId] of open) state.#open.set(firstOffset, producerId);
    return state;
  }

  #producerOf(producerId: number, epoch: number, nowMs: number): Producer {
    let producer = this.#producers.get(producerId);
    if (producer === undefined) {
      producer = newProducer(epoch, nowMs);
      this.#producers.set(producerId, producer);
      this.#greatestProducerId = Math.max(this.#greatestProducerId, producerId);
    } else if (epoch !== producer.epoch) {
      producer.epoch = epoch;
      producer.batches = [];
    }
    return producer;
  }

  #end(producerId: number, producer: Producer, marker: EndMarker): CompletedTransaction | null {
    const firstOffset = producer.currentTxnFirstOffset;
    producer.coordinatorEpoch = marker.coordinatorEpoch;
    producer.currentTxnFirstOffset = -1;
    if (firstOffset < 0) return null;
    this.#open.delete(firstOffset);
    const completed = {
      producerId,
      firstOffset,
      lastOffset: marker.offset,
      lastStableOffset: firstKey(this.#open) ?? marker.offset + 1,
      isAborted: marker.isAbort,
    };
    this.#ended.push(completed);
    return completed;
  }
}

/** Throws KafkaError OUT_OF_ORDER_SEQUENCE_NUMBER; the batch is not of an older epoch. */
function checkSequence(
  producerId: number,
  producer: Producer,
  batch: Buffer,
): DuplicateBatch | null {
  const epoch = batchProducerEpoch(batch);
  const baseSequence = batchBaseSequence(batch);
  if (epoch > producer.epoch) {
    if (baseSequence === 0) return null;
    throw outOfOrder(producerId, `the first sequence of epoch ${epoch} is ${baseSequence}, not 0`);
  }
  const duplicate = findDuplicate(producer, baseSequence, batchLastSequence(batch));
  if (duplicate !== undefined) return duplicate;
  const lastSequence = producer.batches.at(-1)?.lastSequence ?? NO_SEQUENCE;
  if (baseSequence !== incrementSequence(lastSequence, 1)) {
    throw outOfOrder(producerId, `sequence ${baseSequence} came after ${lastSequence}`);
  }
  return null;
}

/** A coordinator that was replaced must not end a transaction of its successor's. */
function checkCoordinator(producerId: number, producer: Producer, marker: EndMarker | null): void {
  if (marker === null || marker.coordinatorEpoch >= producer.coordinatorEpoch) return;
  throw new KafkaError(
    "TRANSACTION_COORDINATOR_FENCED",
    `a marker for producer ${producerId} is of coordinator epoch ${marker.coordinatorEpoch}, ` +
      `the last one was of ${producer.coordinatorEpoch}`,
  );
}

function addBatch(producer: Producer, batch: StoredBatch): void {
  producer.batches.push(batch);
  if (producer.batches.length > RETAINED_BATCH_COUNT) producer.batches.shift();
}

function firstKey(map: ReadonlyMap<number, unknown>): number | undefined {
  for (const key of map.keys()) return key;
  return undefined;
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
