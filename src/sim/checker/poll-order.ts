import { isDataEntry } from "./indexed-history.ts";
import type { Entry, OtherEntry } from "./indexed-history.ts";
import type { DataEntry, KeyLog, Sighting } from "./key-log.ts";
import type { OrderCase } from "./report.ts";

/** Where a consumer stands in a key, and the operation that brought it there. */
interface Place {
  readonly sighting: Sighting;
  readonly entry: DataEntry;
}

interface Consumer {
  isSubscribed: boolean;
  /** By key. Two where nobody knows whether the client went back when its transaction failed. */
  readonly places: Map<string, readonly Place[]>;
}

export interface PollOrderOptions {
  /** Every change of an assignment is in `rebalancedKeys`, so a subscription excuses nothing more. */
  readonly rebalancesAreLogged: boolean;
}

/** What consumers jump over, and where they go back: inside of an operation, and from one to the next. */
export class PollOrder {
  readonly #options: PollOrderOptions;
  readonly #consumers = new Map<string, Consumer>();

  constructor(options: PollOrderOptions) {
    this.#options = options;
  }

  *errors(entries: readonly Entry[]): Generator<OrderCase> {
    for (const entry of entries) {
      if (isDataEntry(entry)) yield* this.#onPolls(entry);
      else this.#onAssignment(entry);
    }
  }

  #onAssignment({ operation }: OtherEntry): void {
    const { kind, process, outcome } = operation;
    const consumer = this.#consumer(process);
    if (kind === "crash") consumer.places.clear();
    if (kind === "crash" || outcome === "fail") return;
    consumer.isSubscribed = kind === "subscribe";
    // Of an `info` nobody knows what the consumer goes by now.
    const goesOn = outcome === "ok" && operation.seeks !== true;
    const kept = new Set(goesOn ? operation.keys : []);
    for (const key of consumer.places.keys()) if (!kept.has(key)) consumer.places.delete(key);
  }

  *#onPolls(entry: DataEntry): Generator<OrderCase> {
    const { operation } = entry;
    if (operation.kind === "send") return;
    const consumer = this.#consumer(operation.process);
    const rebalanced = new Set(operation.rebalancedKeys);
    for (const key of rebalanced) consumer.places.delete(key);
    for (const [log, sightings] of sightingsByLog(entry)) {
      // Before or after which record the assignment changed, nobody knows.
      if (rebalanced.has(log.key)) continue;
      yield* insideErrors(log, sightings, entry);
      const [first] = sightings;
      const last = sightings.at(-1);
      if (first === undefined || last === undefined) continue;
      const before = consumer.places.get(log.key) ?? [];
      yield* this.#betweenErrors(log, before, { sighting: first, entry }, consumer);
      const place = { sighting: last, entry };
      if (operation.outcome === "ok") consumer.places.set(log.key, [place]);
      else if (before[0] !== undefined) consumer.places.set(log.key, [before[0], place]);
    }
  }

  *#betweenErrors(
    log: KeyLog,
    before: readonly Place[],
    to: Place,
    { isSubscribed }: Consumer,
  ): Generator<OrderCase> {
    const [settled] = before;
    if (settled === undefined) return;
    if (before.some(({ sighting }) => log.isNext(sighting, to.sighting))) return;
    const isBack = to.sighting.offset <= settled.sighting.offset;
    yield {
      type: isBack ? "nonmonotonic-poll" : "poll-skip",
      isTolerated: isSubscribed && !this.#options.rebalancesAreLogged,
      ...jump(log, settled.sighting, to.sighting),
      operations: [settled.entry.operation, to.entry.operation],
    };
  }

  #consumer(process: string): Consumer {
    let consumer = this.#consumers.get(process);
    if (consumer === undefined) {
      consumer = { isSubscribed: false, places: new Map() };
      this.#consumers.set(process, consumer);
    }
    return consumer;
  }
}

function* insideErrors(
  log: KeyLog,
  sightings: readonly Sighting[],
  { operation }: DataEntry,
): Generator<OrderCase> {
  let from: Sighting | null = null;
  for (const to of sightings) {
    if (from !== null && !log.isNext(from, to)) {
      const type = to.offset <= from.offset ? "int-nonmonotonic-poll" : "int-poll-skip";
      yield { type, isTolerated: false, ...jump(log, from, to), operations: [operation] };
    }
    from = to;
  }
}

function jump(
  log: KeyLog,
  from: Sighting,
  to: Sighting,
): Pick<OrderCase, "key" | "from" | "to" | "skipped"> {
  const skipped = log.between(from, to).map(({ version }) => version.value);
  return { key: log.key, from: from.offset, to: to.offset, skipped };
}

/** What was polled of each key, over all polls of the operation. */
function sightingsByLog({ steps }: DataEntry): Map<KeyLog, readonly Sighting[]> {
  const byLog = new Map<KeyLog, readonly Sighting[]>();
  for (const step of steps) {
    if (step.kind !== "poll") continue;
    const before = byLog.get(step.log);
    byLog.set(step.log, before === undefined ? step.sightings : [...before, ...step.sightings]);
  }
  return byLog;
}
