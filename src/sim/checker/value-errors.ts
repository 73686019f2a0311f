import { isDataOperation } from "./operation.ts";
import type { DataOperation, Operation } from "./operation.ts";
import { isCommittedRead } from "./key-log.ts";
import type { KeyLog, KeyLogs, Sighting, Version } from "./key-log.ts";
import { SHOWN } from "./report.ts";
import type { OffsetCase, ValueCase } from "./report.ts";
import { Series } from "./series.ts";

/** inconsistent-offsets: two clients, or one twice, were told different values of one offset. */
export function* inconsistentOffsets(logs: KeyLogs): Generator<OffsetCase> {
  for (const { key, slots } of logs.logs.values()) {
    for (const slot of slots) {
      if (slot.rival === null) continue;
      const sightings: Sighting[] = [];
      for (let each: Sighting | null = slot; each !== null; each = each.rival) {
        if (sightings.length < SHOWN) sightings.push(each);
      }
      yield {
        type: "inconsistent-offsets",
        isTolerated: false,
        key,
        offset: slot.offset,
        values: sightings.map(({ version }) => version.value),
        operations: sightings.map(({ operation }) => operation),
      };
    }
  }
}

/** All that can be said of a value without looking at its neighbours. */
export function* valueErrors(logs: KeyLogs): Generator<ValueCase> {
  for (const log of logs.logs.values()) {
    for (const version of log.versions.values()) {
      yield* duplicate(version);
      yield* readError(version);
      yield* missing(log, version);
    }
  }
}

function* duplicate(version: Version): Generator<ValueCase> {
  if (version.sightings.length < 2) return;
  const operations = new Set(version.sightings.slice(0, SHOWN).map(({ operation }) => operation));
  yield valueCase("duplicate", version, [...operations], !version.isIdempotent);
}

/** C21: nobody sent it here. G1a: who sent it was told that it will not be there. */
function* readError(version: Version): Generator<ValueCase> {
  const { firstAttempt, reader } = version;
  if (reader === null) return;
  if (firstAttempt === null) yield valueCase("C21", version, [reader]);
  else if (version.isRefused) {
    const proof = version.committedReader ?? reader;
    const isTolerated = !isCommittedRead(proof) && firstAttempt.kind === "txn";
    yield valueCase("G1a", version, [firstAttempt, proof], isTolerated);
  }
}

/** lost-write: others have read on, past it. unseen: it was promised, and nobody has read it. */
function* missing(log: KeyLog, version: Version): Generator<ValueCase> {
  if (version.reader !== null || version.writtenBy === null) return;
  const { maxPolledBy, maxPolledOffset } = log;
  const last = lastOffset(version);
  if (log.mayBeGone(version, last)) return;
  if (last !== null && last <= maxPolledOffset && maxPolledBy !== null) {
    yield valueCase("lost-write", version, [version.writtenBy, maxPolledBy]);
  }
  if (version.ackedBy !== null) yield valueCase("unseen", version, [version.ackedBy]);
}

function lastOffset({ sightings }: Version): number | null {
  return sightings.length === 0 ? null : sightings.reduce((max, s) => Math.max(max, s.offset), -1);
}

/** precommitted-read: a transaction polled what itself had sent, before it could commit. */
export function* precommittedReads(
  logs: KeyLogs,
  history: readonly Operation[],
): Generator<ValueCase> {
  for (const operation of history) {
    if (operation.kind !== "txn") continue;
    const own = new Set<Version>();
    for (const step of operation.steps) if (step.kind === "send") own.add(logs.version(step));
    if (own.size === 0) continue;
    for (const step of operation.steps) {
      if (step.kind !== "poll") continue;
      for (const { value } of step.records) {
        const version = logs.log(step.key).version(value);
        if (!own.delete(version)) continue;
        yield valueCase("precommitted-read", version, [operation], !isCommittedRead(operation));
      }
    }
  }
}

/** How many values were acked and not yet polled by anybody. */
export function unseenOverTime(logs: KeyLogs, history: readonly Operation[]): Series {
  const series = new Series();
  const polled = new Set<Version>();
  const unseen = new Set<Version>();
  for (const operation of history) {
    if (!isDataOperation(operation)) continue;
    for (const step of operation.steps) {
      if (step.kind === "poll") {
        const log = logs.log(step.key);
        for (const { value } of step.records) {
          const version = log.version(value);
          polled.add(version);
          unseen.delete(version);
        }
      } else if (operation.outcome === "ok") {
        const version = logs.version(step);
        const isExcused = version.log.mayBeGone(version, lastOffset(version));
        if (!polled.has(version) && !isExcused) unseen.add(version);
      }
    }
    series.add(operation.endedMs, unseen.size);
  }
  return series;
}

function valueCase(
  type: ValueCase["type"],
  version: Version,
  operations: readonly DataOperation[],
  isTolerated = false,
): ValueCase {
  const { log, value, sightings } = version;
  const offsets = sightings.slice(0, SHOWN).map(({ offset }) => offset);
  return { type, isTolerated, key: log.key, value, offsets, operations };
}
