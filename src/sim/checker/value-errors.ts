import { isCommittedRead } from "./indexed-history.ts";
import type { IndexedHistory } from "./indexed-history.ts";
import { atOffset } from "./key-log.ts";
import type { DataEntry, KeyLog, Version } from "./key-log.ts";
import { SHOWN } from "./report.ts";
import type { OffsetCase, Point, ValueCase } from "./report.ts";
import { Series } from "./series.ts";

/** inconsistent-offsets: two clients, or one twice, were told different values of one offset. */
export function* inconsistentOffsets({ logs }: IndexedHistory): Generator<OffsetCase> {
  for (const { key, slots } of logs.values()) {
    for (const slot of slots) {
      if (slot.isAlone) continue;
      const sightings = [...atOffset(slot)].slice(0, SHOWN);
      yield {
        type: "inconsistent-offsets",
        isTolerated: false,
        key,
        offset: slot.offset,
        values: sightings.map(({ version }) => version.value),
        operations: sightings.map(({ entry }) => entry.operation),
      };
    }
  }
}

/** All that can be said of a value without looking at its neighbours. */
export function* valueErrors({ logs }: IndexedHistory): Generator<ValueCase> {
  for (const log of logs.values()) {
    for (const version of log.versions.values()) {
      yield* duplicate(version);
      yield* readError(version);
      yield* missing(log, version);
    }
  }
}

function* duplicate(version: Version): Generator<ValueCase> {
  if (version.sightings.length < 2) return;
  const entries = new Set(version.sightings.slice(0, SHOWN).map(({ entry }) => entry));
  yield valueCase("duplicate", version, [...entries], !version.isIdempotent);
}

/** C21: nobody sent it here. G1a: who sent it was told that it will not be there. */
function* readError(version: Version): Generator<ValueCase> {
  const { firstAttempt, reader } = version;
  if (reader === null) return;
  if (firstAttempt === null) yield valueCase("C21", version, [reader]);
  else if (version.isRefused) {
    const proof = version.committedReader ?? reader;
    const isTolerated = !isCommittedRead(proof) && firstAttempt.operation.kind === "txn";
    yield valueCase("G1a", version, [firstAttempt, proof], isTolerated);
  }
}

/** lost-write: others have read on, past it. unseen: it was promised, and nobody has read it. */
function* missing({ maxPolled }: KeyLog, version: Version): Generator<ValueCase> {
  if (version.reader !== null || version.writtenBy === null || mayBeGone(version)) return;
  const last = lastOffset(version);
  if (last !== null && maxPolled !== null && last <= maxPolled.offset) {
    yield valueCase("lost-write", version, [version.writtenBy, maxPolled.entry]);
  }
  if (version.ackedBy !== null) yield valueCase("unseen", version, [version.ackedBy]);
}

function mayBeGone(version: Version): boolean {
  return version.log.mayBeGone(version, lastOffset(version));
}

function lastOffset({ sightings }: Version): number | null {
  return sightings.length === 0 ? null : sightings.reduce((max, s) => Math.max(max, s.offset), -1);
}

/** precommitted-read: a transaction polled what itself had sent, before it could commit. */
export function* precommittedReads({ dataEntries }: IndexedHistory): Generator<ValueCase> {
  for (const entry of dataEntries) {
    const own = new Set<Version>();
    for (const step of entry.steps) if (step.kind === "send") own.add(step.version);
    if (own.size === 0) continue;
    for (const step of entry.steps) {
      if (step.kind !== "poll") continue;
      for (const { version } of step.sightings) {
        if (!own.delete(version)) continue;
        yield valueCase("precommitted-read", version, [entry], !isCommittedRead(entry));
      }
    }
  }
}

/** How many values were acked and not yet polled by anybody. */
export function unseenOverTime({ dataEntries }: IndexedHistory): readonly Point[] {
  const series = new Series();
  const unseen = new Set<Version>();
  for (const entry of dataEntries) {
    const { index, operation } = entry;
    for (const step of entry.steps) {
      if (step.kind === "poll") {
        for (const { version } of step.sightings) {
          if (version.reader === entry) unseen.delete(version);
        }
      } else if (operation.outcome === "ok") {
        const isPolled = (step.version.reader?.index ?? Infinity) <= index;
        if (!isPolled && !mayBeGone(step.version)) unseen.add(step.version);
      }
    }
    series.add(operation.endedMs, unseen.size);
  }
  return series.points();
}

function valueCase(
  type: ValueCase["type"],
  version: Version,
  entries: readonly DataEntry[],
  isTolerated = false,
): ValueCase {
  const { log, value, sightings } = version;
  const offsets = sightings.slice(0, SHOWN).map(({ offset }) => offset);
  const operations = entries.map(({ operation }) => operation);
  return { type, isTolerated, key: log.key, value, offsets, operations };
}
