import { must } from "../../base/assert.ts";
import { isCommittedRead, isDataEntry } from "./indexed-history.ts";
import type { Entry, IndexedHistory, OtherEntry } from "./indexed-history.ts";
import type { DataEntry } from "./key-log.ts";
import type { Lag, Report } from "./report.ts";
import { Series } from "./series.ts";

/** By key: the highest offset known to be there, and since when, both rising. */
type Known = Map<string, { readonly offset: number; readonly atMs: number }[]>;

/** How far a consumer is, and since when something beyond that is known to be there. */
interface Place {
  readonly offset: number;
  readonly sinceMs: number;
}

/** Before the first record. */
const NOTHING = -1;

/**
 * realtime-lag: how long what a consumer had not been given was there when it polled. An assigned key
 * counts from its beginning; of a subscription, those that the consumer has been given something of.
 */
export function lagsOf(history: IndexedHistory): Pick<Report, "lags" | "worstLag" | "lagOverTime"> {
  const known = knownByKey(history);
  const consumers = new Map<string, Consumer>();
  const series = new Series();
  for (const entry of history.entries) {
    const { process, endedMs } = entry.operation;
    const consumer = consumers.get(process) ?? new Consumer(process, known);
    consumers.set(process, consumer);
    const lagMs = consumer.on(entry);
    if (lagMs !== null) series.add(endedMs, lagMs);
  }
  const lags = [...consumers.values()].flatMap((consumer) => [...consumer.worst.values()]);
  const worstLag = lags.reduce<Lag | null>(
    (most, lag) => (most === null || lag.lagMs > most.lagMs ? lag : most),
    null,
  );
  return { lags, worstLag, lagOverTime: series.points() };
}

class Consumer {
  /** By key. */
  readonly worst = new Map<string, Lag>();
  readonly #process: string;
  readonly #known: Known;
  readonly #places = new Map<string, Place>();

  constructor(process: string, known: Known) {
    this.#process = process;
    this.#known = known;
  }

  /** The greatest lag of all its keys; null where nothing can be said. */
  on(entry: Entry): number | null {
    if (isDataEntry(entry)) return this.#onData(entry);
    this.#onAssignment(entry);
    return null;
  }

  #onData({ operation, steps }: DataEntry): number | null {
    if (operation.kind === "send") return null;
    for (const key of operation.rebalancedKeys ?? []) this.#places.delete(key);
    if (operation.outcome !== "ok") return null;
    for (const step of steps) {
      if (step.kind !== "poll") continue;
      this.#reach(step.log.key, highest(step.sightings));
    }
    return this.#measure(operation.startedMs);
  }

  #reach(key: string, offset: number): void {
    const before = this.#places.get(key)?.offset ?? NOTHING;
    if (offset > before) this.#places.set(key, this.#place(key, offset));
  }

  #measure(atMs: number): number | null {
    let greatest: number | null = null;
    for (const [key, { sinceMs }] of this.#places) {
      const lagMs = Math.max(0, atMs - sinceMs);
      greatest = Math.max(greatest ?? 0, lagMs);
      if (lagMs > (this.worst.get(key)?.lagMs ?? 0)) {
        this.worst.set(key, { process: this.#process, key, atMs, lagMs });
      }
    }
    return greatest;
  }

  #onAssignment({ operation }: OtherEntry): void {
    if (operation.outcome === "fail" && operation.kind !== "crash") return;
    const before = new Map(this.#places);
    this.#places.clear();
    if (operation.kind !== "assign" || operation.outcome !== "ok" || operation.seeks === true)
      return;
    for (const key of operation.keys) {
      this.#places.set(key, before.get(key) ?? this.#place(key, NOTHING));
    }
  }

  #place(key: string, offset: number): Place {
    const known = this.#known.get(key) ?? [];
    let low = 0;
    let high = known.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (must(known[middle], "an element").offset <= offset) low = middle + 1;
      else high = middle;
    }
    return { offset, sinceMs: known[low]?.atMs ?? Infinity };
  }
}

function knownByKey({ dataEntries }: IndexedHistory): Known {
  const known: Known = new Map();
  for (const entry of dataEntries) {
    const { outcome, endedMs } = entry.operation;
    const isCommitted = isCommittedRead(entry);
    for (const step of entry.steps) {
      const isSend = step.kind === "send";
      if (isSend ? outcome !== "ok" : !isCommitted) continue;
      const { key } = isSend ? step.version.log : step.log;
      const offset = isSend ? (step.offset ?? NOTHING) : highest(step.sightings);
      const ofKey = known.get(key) ?? [];
      known.set(key, ofKey);
      if (offset > (ofKey.at(-1)?.offset ?? NOTHING)) ofKey.push({ offset, atMs: endedMs });
    }
  }
  return known;
}

function highest(sightings: readonly { readonly offset: number }[]): number {
  return sightings.reduce((max, { offset }) => Math.max(max, offset), NOTHING);
}
