import type { CompressionType } from "../../../src/base/offload.ts";
import { buildBatch } from "../../../src/protocol/records/batch-builder.ts";

/** Producer ids: one that is not idempotent, one that is, and from here on transactional ones. */
export const PLAIN = 0;
export const IDEMPOTENT = 1;
export const TRANSACTIONAL = 2;
/** Repeats of so many batches of a producer are known (X2). */
const RETAINED_BATCH_COUNT = 5;

export interface ModelRecord {
  readonly offset: number;
  readonly key: string;
  readonly value: string | null;
  readonly timestamp: number;
  /** Of its one header. */
  readonly header: string;
}

export interface ModelBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly producerId: number;
  readonly baseSequence: number;
  readonly codec: CompressionType;
  /** Of data. */
  readonly records: readonly ModelRecord[];
  /** Of a marker; null: it is data. */
  readonly commits: boolean | null;
  /** By the wall clock. */
  readonly appendedMs: number;
}

interface Transaction {
  readonly producerId: number;
  readonly data: readonly ModelBatch[];
  readonly marker: ModelBatch | null;
}

/** A plain list of all that a log was told, and what follows from it. */
export class CompactionModel {
  #batches: readonly ModelBatch[] = [];
  /** Last batches of producers whose later ones a power cut has taken: compaction may have relied on those. */
  readonly #bereft = new Set<ModelBatch>();

  get batches(): readonly ModelBatch[] {
    return this.#batches;
  }

  get records(): readonly ModelRecord[] {
    return this.#batches.flatMap(({ records }) => records);
  }

  add(batch: ModelBatch): void {
    this.#batches = [...this.#batches, batch];
  }

  /** The power went: so far reaches the log now. */
  cutAt(endOffset: number): void {
    const lost = this.#batches.filter(({ lastOffset }) => lastOffset >= endOffset);
    this.#batches = this.#batches.filter(({ lastOffset }) => lastOffset < endOffset);
    for (const { producerId } of lost) {
      const last = this.dataOf(producerId).at(-1);
      if (last !== undefined) this.#bereft.add(last);
    }
  }

  dataOf(producerId: number): readonly ModelBatch[] {
    return this.#batches.filter((each) => each.producerId === producerId && each.commits === null);
  }

  nextSequence(producerId: number): number {
    const last = this.dataOf(producerId).at(-1);
    return producerId === PLAIN || last === undefined ? 0 : last.baseSequence + last.records.length;
  }

  hasOpenTransaction(producerId: number): boolean {
    return this.transactions().some(
      (each) => each.producerId === producerId && each.marker === null,
    );
  }

  transactions(): readonly Transaction[] {
    const open = new Map<number, ModelBatch[]>();
    const ended: Transaction[] = [];
    for (const batch of this.#batches) {
      const { producerId, commits } = batch;
      if (producerId < TRANSACTIONAL) continue;
      const data = open.get(producerId) ?? [];
      if (commits === null) open.set(producerId, [...data, batch]);
      else {
        ended.push({ producerId, data, marker: batch });
        open.delete(producerId);
      }
    }
    return [
      ...ended,
      ...[...open].map(([producerId, data]) => ({ producerId, data, marker: null })),
    ];
  }

  /** Where the oldest transaction begins that is not decided, or null. */
  firstUnstableOffset(): number | null {
    const undecided = this.transactions().filter(({ marker }) => marker === null);
    const offsets = undecided.flatMap(({ data }) => data[0]?.baseOffset ?? []);
    return offsets.length === 0 ? null : Math.min(...offsets);
  }

  abortedOffsets(): ReadonlySet<number> {
    const aborted = this.transactions().filter(({ marker }) => marker?.commits === false);
    const batches = aborted.flatMap(({ data }) => data);
    return new Set(batches.flatMap(({ records }) => records.map(({ offset }) => offset)));
  }

  /** Batches that must stay, with records or without: a repeat may be asked for (X2). */
  retainedBatches(): readonly ModelBatch[] {
    return [IDEMPOTENT, TRANSACTIONAL, TRANSACTIONAL + 1].flatMap((producerId) => {
      const own = this.dataOf(producerId);
      const last = own.at(-1);
      if (last === undefined || this.#bereft.has(last)) return [];
      return [last];
    });
  }

  /** Batches whose repeat is known as one, after every crash. */
  repeatable(producerId: number): readonly ModelBatch[] {
    return this.dataOf(producerId).slice(-RETAINED_BATCH_COUNT);
  }
}

export function encodeData(batch: ModelBatch): Buffer {
  const { producerId, baseSequence, codec } = batch;
  return buildBatch({
    records: batch.records.map(({ key, value, timestamp, header }) => ({
      key: Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      timestamp,
      headers: [{ key: "header", value: Buffer.from(header) }],
    })),
    timestampMs: 0,
    compression: codec,
    ...(producerId === PLAIN ? {} : { producerId, producerEpoch: 0, baseSequence }),
    isTransactional: producerId >= TRANSACTIONAL,
  });
}

export function encodeMarker(producerId: number, commits: boolean): Buffer {
  return buildBatch({
    records: [{ key: Buffer.from([0, 0, 0, commits ? 1 : 0]), value: Buffer.alloc(6) }],
    timestampMs: 1_000_000,
    producerId,
    producerEpoch: 0,
    isControl: true,
    isTransactional: true,
  });
}
