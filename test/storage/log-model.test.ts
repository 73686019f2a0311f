import fc from "fast-check";
import { expect, test } from "vitest";
import {
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
} from "../../src/protocol/records/batch.ts";
import type { Log, LogConfig } from "../../src/storage/log.ts";
import { ProducerState } from "../../src/storage/producer-state.ts";
import { batchOf, logWorld, readAll } from "./support/log-world.ts";
import { settle } from "./support/manual-clock.ts";
import { abortMarker, commitMarker } from "./support/markers.ts";

/** A few batches a segment, and entries of the indexes for nearly all of them. */
const CONFIG: Partial<LogConfig> = { segmentBytes: 600, indexIntervalBytes: 100 };
/** The same with zeros behind the batches. */
const PREALLOCATED: Partial<LogConfig> = { ...CONFIG, preallocate: true, flushMessages: 3 };

type Step =
  | {
      readonly kind: "append";
      readonly producerId: number;
      readonly count: number;
      readonly isTransactional: boolean;
    }
  | { readonly kind: "end"; readonly producerId: number; readonly isAbort: boolean }
  | { readonly kind: "elect" | "roll" | "flush" | "close" | "kill" }
  | { readonly kind: "truncate" | "remove" | "advance"; readonly place: number }
  | { readonly kind: "startAt"; readonly skipped: number };

const place = fc.double({ min: 0, max: 1, noNaN: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      producerId: fc.integer({ min: -1, max: 3 }),
      count: fc.integer({ min: 1, max: 4 }),
      isTransactional: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("end" as const),
      producerId: fc.integer({ min: 0, max: 3 }),
      isAbort: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom("elect" as const, "roll", "flush", "close", "kill"),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("truncate" as const, "remove", "advance"),
      place,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("startAt" as const),
      skipped: fc.integer({ min: -5, max: 5 }),
    }),
  },
);

/** What the log should be: all batches that were appended and not cut off, in a list. */
class Model {
  /** Also those that a removal has taken away: their producers are still known. */
  batches: Buffer[] = [];
  startOffset = 0;
  leaderEpoch = 0;
  #producers = new ProducerState();
  #sequences = new Map<number, number>();
  #open = new Set<number>();

  get endOffset(): number {
    const last = this.batches.at(-1);
    return last === undefined ? this.startOffset : batchLastOffset(last) + 1;
  }

  get visible(): Buffer[] {
    return this.batches.filter((batch) => batchLastOffset(batch) >= this.startOffset);
  }

  get producers(): ProducerState {
    return this.#producers;
  }

  isOpen(producerId: number): boolean {
    return this.#open.has(producerId);
  }

  nextSequence(producerId: number): number {
    return this.#sequences.get(producerId) ?? 0;
  }

  /** Begins again from the list, as a replay of everything would (S11). */
  derive() {
    this.#producers = new ProducerState();
    this.#sequences = new Map();
    this.#open = new Set();
    const aborted = [];
    for (const batch of this.batches) {
      const completed = this.#producers.update(batch, 0, 0);
      if (completed?.isAborted === true) aborted.push(completed);
    }
    for (const entry of this.#producers.snapshot()) {
      this.#sequences.set(entry.producerId, entry.lastSequence + 1);
      if (entry.currentTxnFirstOffset >= 0) this.#open.add(entry.producerId);
    }
    return { aborted };
  }
}

class Run {
  readonly model = new Model();
  readonly #config: Partial<LogConfig>;
  #world = logWorld();
  #log: Log | null = null;
  #recoveryPoint = 0;

  constructor(config: Partial<LogConfig>) {
    this.#config = config;
  }

  get log(): Log {
    if (this.#log === null) throw new Error("the log is open");
    return this.#log;
  }

  async open(isClean: boolean): Promise<void> {
    this.#log = await this.#world.open(this.#config, {
      isClean,
      recoveryPoint: this.#recoveryPoint,
      logStartOffset: this.model.startOffset,
      beforeTruncation: ({ endOffset }) => {
        this.#recoveryPoint = Math.min(this.#recoveryPoint, endOffset);
        return Promise.resolve();
      },
    });
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case "append":
        this.#append(step.producerId, step.count, step.isTransactional);
        return;
      case "end":
        this.#end(step.producerId, step.isAbort);
        return;
      case "elect":
        this.model.leaderEpoch += 1;
        return;
      case "roll":
        this.log.rollSegment();
        return;
      case "flush":
        await this.log.flush();
        this.#recoveryPoint = this.log.flushedEndOffset;
        return;
      case "close":
        await this.log.close();
        this.#recoveryPoint = this.log.flushedEndOffset;
        await this.open(true);
        return;
      case "kill":
        await settle();
        this.#world = logWorld(this.#world.disk.clone());
        await this.open(false);
        return;
      default:
        await this.#change(step);
    }
  }

  async #change(
    step: Extract<Step, { readonly kind: "truncate" | "remove" | "advance" | "startAt" }>,
  ): Promise<void> {
    const { model, log } = this;
    if (step.kind === "startAt") {
      const offset = Math.max(0, model.endOffset + step.skipped);
      await log.truncateFullyAndStartAt(offset);
      model.batches = [];
      model.startOffset = offset;
      this.#recoveryPoint = offset;
      return;
    }
    const { startOffset, endOffset } = model;
    const offset = startOffset + Math.round(step.place * (endOffset - startOffset));
    switch (step.kind) {
      case "truncate":
        await log.truncateTo(offset);
        model.batches = model.batches.filter((batch) => batchLastOffset(batch) < offset);
        model.startOffset = Math.min(model.startOffset, model.endOffset);
        return;
      case "remove":
        await settle();
        await log.removeSegmentsBelow(offset, "test");
        expect(log.logStartOffset).toBeLessThanOrEqual(Math.max(offset, startOffset));
        model.startOffset = log.logStartOffset;
        return;
      case "advance":
        await log.advanceLogStartOffset(offset);
        model.startOffset = offset;
    }
  }

  #append(producerId: number, count: number, isTransactional: boolean): void {
    const { model } = this;
    const producer =
      producerId < 0
        ? {}
        : {
            producerId,
            producerEpoch: 0,
            baseSequence: model.nextSequence(producerId),
            isTransactional: isTransactional || model.isOpen(producerId),
          };
    this.#take(batchOf(count, 20, producer), "client");
  }

  #end(producerId: number, isAbort: boolean): void {
    if (!this.model.isOpen(producerId)) return;
    const marker = isAbort ? abortMarker : commitMarker;
    this.#take(marker({ producerId, producerEpoch: 0 }), "coordinator");
  }

  #take(batch: Buffer, origin: "client" | "coordinator"): void {
    const { leaderEpoch } = this.model;
    this.log.append(batch, { leaderEpoch, origin });
    this.model.batches.push(Buffer.from(batch));
  }

  async check(): Promise<void> {
    const { log, model } = this;
    await settle();
    const { aborted } = model.derive();
    expect([log.logStartOffset, log.logEndOffset]).toEqual([model.startOffset, model.endOffset]);
    expect(log.failure).toBeNull();
    expect(await readAll(log)).toEqual(model.visible);
    // S11: however much of it was replayed from a snapshot.
    const byProducer = (state: { producerId: number }[]): unknown =>
      state.toSorted((a, b) => a.producerId - b.producerId);
    expect(byProducer([...log.producerEntries()])).toEqual(byProducer(model.producers.snapshot()));
    // S10: every offset has the epoch of its batch.
    for (const batch of model.visible) {
      for (const offset of [batchBaseOffset(batch), batchLastOffset(batch)]) {
        expect(log.leaderEpochAt(offset), `epoch at ${offset}`).toBe(batchLeaderEpoch(batch));
      }
    }
    // X6, X7.
    expect(log.firstUnstableOffset(model.endOffset)).toBe(
      model.producers.firstUnstableOffset(model.endOffset),
    );
    const ends = { start: log.segments.firstBaseOffset, end: model.endOffset };
    expect(await log.abortedTransactions(ends.start, ends.end)).toEqual(
      aborted.filter(({ lastOffset }) => lastOffset >= ends.start).map(asEntry),
    );
    const sizeBytes = [...(await log.segmentSummaries())].reduce(
      (sum, each) => sum + each.sizeBytes,
      0,
    );
    expect(log.sizeBytes).toBe(sizeBytes);
  }
}

function asEntry(completed: {
  producerId: number;
  firstOffset: number;
  lastOffset: number;
}): unknown {
  const { producerId, firstOffset, lastOffset } = completed;
  return expect.objectContaining({ producerId, firstOffset, lastOffset }) as unknown;
}

test.each([
  ["truncate, append, roll, remove and start again", CONFIG],
  ["the same with zeros ahead of the log's end", PREALLOCATED],
])(
  "%s: as a plain list of batches (S3, S10, S11, X6, X7)",
  async (_name, config) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const run = new Run(config);
        await run.open(true);
        for (const one of steps) {
          await run.step(one);
          await run.check();
        }
        await run.log.close();
      }),
      { numRuns: 150 },
    );
  },
  120_000,
);
