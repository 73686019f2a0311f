import { isDataEntry } from "./indexed-history.ts";
import type { Entry } from "./indexed-history.ts";
import type { DataEntry, Sighting, Version } from "./key-log.ts";
import type { OrderCase } from "./report.ts";

/** By key: the last that a process sent and of which the place is known. */
type Lasts = Map<string, Sent>;

interface Sent {
  readonly version: Version;
  readonly place: Sighting;
  readonly entry: DataEntry;
}

/** Whether what one client sent to one partition is there in the order in which it was sent. */
export function* sendErrors(entries: readonly Entry[]): Generator<OrderCase> {
  const lastsByProcess = new Map<string, Lasts>();
  // A producer has several requests in flight: they are sent in the order in which they begin.
  const begun = [...entries].sort((a, b) => a.operation.startedMs - b.operation.startedMs);
  for (const entry of begun) {
    const { kind, process } = entry.operation;
    // What the old client has sent may arrive after what the new one sends.
    if (kind === "crash") lastsByProcess.delete(process);
    if (!isDataEntry(entry)) continue;
    const lasts = lastsByProcess.get(process) ?? new Map<string, Sent>();
    lastsByProcess.set(process, lasts);
    yield* onSends(entry, lasts);
  }
}

function* onSends(entry: DataEntry, lasts: Lasts): Generator<OrderCase> {
  for (const step of entry.steps) {
    // Of a value that was sent more than once, nobody knows which of them it is.
    if (step.kind !== "send" || step.version.writer !== entry) continue;
    const { version } = step;
    const { place } = version;
    if (place === null) continue;
    const sent: Sent = { version, place, entry };
    const last = lasts.get(version.log.key);
    if (last !== undefined) yield* compare(last, sent);
    lasts.set(version.log.key, sent);
  }
}

function* compare(from: Sent, to: Sent): Generator<OrderCase> {
  const isInside = from.entry === to.entry;
  const { log } = to.version;
  const places = { key: log.key, from: from.place.offset, to: to.place.offset };
  const last = to.entry.operation;
  const operations = isInside ? [last] : [from.entry.operation, last];
  if (places.to < places.from) {
    const type = isInside ? "int-nonmonotonic-send" : "nonmonotonic-send";
    const isTolerated = !from.version.isIdempotent || !to.version.isIdempotent;
    yield { type, isTolerated, ...places, skipped: [], operations };
  } else if (isInside) {
    const others = log.between(from.place, to.place);
    const skipped = others.flatMap(({ version: { writer, value } }) =>
      writer === to.entry ? [] : [value],
    );
    // Kafka does not isolate writes.
    if (skipped.length === 0) return;
    yield { type: "int-send-skip", isTolerated: true, ...places, skipped, operations };
  }
}
