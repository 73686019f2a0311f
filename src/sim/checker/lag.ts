import type { Operation, PollOperation, TransactionOperation } from "./operation.ts";
import { isDataOperation } from "./operation.ts";
import { isCommittedRead } from "./key-log.ts";
import type { DataOperation } from "./operation.ts";
import type { Lag, Report } from "./report.ts";
import { Series } from "./series.ts";

/** Since when it is known that an offset is there: the highest offset yet, and the time, both rising. */
interface Known {
  readonly offset: number;
  readonly atMs: number;
}

/** Before the first record. */
const NOTHING = -1;

/**
 * realtime-lag: how long what a consumer had not been given was there when it polled. An assigned key
 * counts from its beginning; of a subscription, those that the consumer has been given something of.
 */
export function lagsOf(
  history: readonly Operation[],
): Pick<Report, "lags" | "worstLag" | "lagOverTime"> {
  const known = knownByKey(history);
  const places = new Map<string, Map<string, number>>();
  const worst = new Map<string, Lag>();
  const series = new Series();
  for (const operation of history) {
    const own = places.get(operation.process) ?? new Map<string, number>();
    places.set(operation.process, own);
    if (operation.kind === "poll" || operation.kind === "txn") {
      const lagMs = onPoll(operation, own, known, worst);
      if (lagMs !== null) series.add(operation.endedMs, lagMs);
    } else if (operation.kind !== "send") move(operation, own);
  }
  const lags = [...worst.values()];
  const worstLag = lags.reduce<Lag | null>(
    (most, lag) => (most === null || lag.lagMs > most.lagMs ? lag : most),
    null,
  );
  return { lags, worstLag, lagOverTime: series.points() };
}

/** The greatest lag of all that the consumer has; null where nothing can be said. */
function onPoll(
  operation: PollOperation | TransactionOperation,
  own: Map<string, number>,
  known: ReadonlyMap<string, readonly Known[]>,
  worst: Map<string, Lag>,
): number | null {
  const { process, startedMs, rebalancedKeys = [] } = operation;
  for (const key of rebalancedKeys) own.delete(key);
  if (operation.outcome !== "ok") return null;
  for (const [key, offset] of polledOffsets(operation)) {
    own.set(key, Math.max(own.get(key) ?? NOTHING, offset));
  }
  let greatest: number | null = null;
  for (const [key, offset] of own) {
    const lagMs = Math.max(0, startedMs - sinceMs(known.get(key) ?? [], offset));
    greatest = Math.max(greatest ?? 0, lagMs);
    const id = `${process} ${key}`;
    if (lagMs > (worst.get(id)?.lagMs ?? 0))
      worst.set(id, { process, key, atMs: startedMs, lagMs });
  }
  return greatest;
}

function move(operation: Exclude<Operation, DataOperation>, own: Map<string, number>): void {
  if (operation.outcome === "fail" && operation.kind !== "crash") return;
  const before = new Map(own);
  own.clear();
  if (operation.kind !== "assign" || operation.outcome !== "ok" || operation.seeks === true) return;
  for (const key of operation.keys) own.set(key, before.get(key) ?? NOTHING);
}

function knownByKey(history: readonly Operation[]): Map<string, Known[]> {
  const known = new Map<string, Known[]>();
  for (const operation of history) {
    if (!isDataOperation(operation)) continue;
    for (const [key, offset] of shownOffsets(operation)) {
      const ofKey = known.get(key) ?? [];
      known.set(key, ofKey);
      if (offset > (ofKey.at(-1)?.offset ?? NOTHING))
        ofKey.push({ offset, atMs: operation.endedMs });
    }
  }
  return known;
}

function* shownOffsets(operation: DataOperation): Generator<readonly [string, number]> {
  if (isCommittedRead(operation)) yield* polledOffsets(operation);
  if (operation.outcome !== "ok") return;
  for (const step of operation.steps) {
    if (step.kind === "send" && step.offset !== undefined) yield [step.key, step.offset];
  }
}

function* polledOffsets(operation: DataOperation): Generator<readonly [string, number]> {
  for (const step of operation.steps) {
    if (step.kind !== "poll") continue;
    for (const { offset } of step.records) yield [step.key, offset];
  }
}

/** Since when something beyond the offset is known to be there. */
function sinceMs(known: readonly Known[], offset: number): number {
  let low = 0;
  let high = known.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((known[middle]?.offset ?? Infinity) <= offset) low = middle + 1;
    else high = middle;
  }
  return known[low]?.atMs ?? Infinity;
}
