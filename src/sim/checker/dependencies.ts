import { must } from "../../base/assert.ts";
import { Edges } from "./graph.ts";
import type { Graph } from "./graph.ts";
import { isCommittedRead, isDataEntry } from "./indexed-history.ts";
import type { Entry, IndexedHistory } from "./indexed-history.ts";
import type { DataEntry, KeyLog, Sighting, Version } from "./key-log.ts";
import type { DataStep } from "./report.ts";

/** Two wrote to one key, the second on top. */
export const WW = 1;
/** The second polled what the first wrote; DIRTY: under read_uncommitted. */
export const WR = 2;
export const DIRTY = 4;
/** The second wrote what comes next after all that the first polled. */
export const RW = 8;
/** The first had ended when the second began: of one process, or of any. */
export const PROCESS = 16;
export const REALTIME = 32;

/**
 * That one entry comes before another: because of the value that the first wrote, or polled last, and
 * of the one that the second wrote on top of it, or polled.
 */
type OnEdge = (
  kind: number,
  before: DataEntry,
  after: DataEntry,
  version: Version,
  next: Version,
) => void;

/** By slot of a log: the nearest value before and after it of which place and writer are known. */
interface Neighbours {
  readonly previous: readonly (Version | null)[];
  readonly next: readonly (Version | null)[];
}

/**
 * Which operation comes before which. The first nodes are the entries of the history; the others are
 * moments, to which all leads that has ended, and from which all comes that begins later: so real time,
 * which orders as many pairs as the square of the history, needs but three edges for each of them.
 */
export class Dependencies {
  readonly #entries: readonly Entry[];
  /** What failed comes neither before nor after anything. */
  readonly #live: readonly DataEntry[];
  readonly #antiDependencies: boolean;
  readonly #neighbours = new Map<KeyLog, Neighbours>();
  readonly #edges = new Edges();
  #nodeCount: number;

  constructor(
    { entries, dataEntries, logs }: IndexedHistory,
    options: { readonly antiDependencies: boolean },
  ) {
    this.#entries = entries;
    this.#nodeCount = entries.length;
    this.#live = dataEntries.filter(({ operation }) => operation.outcome !== "fail");
    this.#antiDependencies = options.antiDependencies;
    for (const log of logs.values()) this.#neighbours.set(log, neighboursOf(log));
    for (const entry of this.#live) {
      this.#edgesOf(entry, (kind, before, after) => {
        if (before !== after) this.#edges.add(before.index, after.index, kind);
      });
    }
    this.#addOrders();
  }

  toGraph(): Graph {
    return this.#edges.toGraph(this.#nodeCount);
  }

  /** The operation of a node; undefined if the node is a moment. */
  entry(node: number): DataEntry | undefined {
    const entry = this.#entries[node];
    return entry !== undefined && isDataEntry(entry) ? entry : undefined;
  }

  /** Why the one comes before the other. */
  explain(kind: number, before: DataEntry, after: DataEntry): DataStep {
    let found: DataStep | null = null;
    this.#edgesOf(kind === RW ? before : after, (...edge) => {
      const [, , , version, next] = edge;
      if (edge[0] !== kind || edge[1] !== before || edge[2] !== after) return;
      const name = kind === WW ? "ww" : kind === RW ? "rw" : "wr";
      found ??= { kind: name, key: next.log.key, value: version.value, nextValue: next.value };
    });
    return must<DataStep>(found, "an edge that was added");
  }

  /** Those that lead to it by what it wrote and polled, and that lead on by what it did not poll. */
  #edgesOf(entry: DataEntry, onEdge: OnEdge): void {
    for (const step of entry.steps) {
      if (step.kind === "poll") readEdges(entry, step.sightings, onEdge);
      else if (step.version.writer === entry) this.#writeEdge(entry, step.version, onEdge);
    }
    if (this.#antiDependencies) this.#antiDependenciesOf(entry, onEdge);
  }

  #writeEdge(entry: DataEntry, version: Version, onEdge: OnEdge): void {
    if (version.place === null) return;
    const previous = this.#neighbours.get(version.log)?.previous[version.place.slot];
    if (previous?.writer) onEdge(WW, previous.writer, entry, previous, version);
  }

  #antiDependenciesOf(entry: DataEntry, onEdge: OnEdge): void {
    const last = new Map<KeyLog, Sighting>();
    for (const step of entry.steps) {
      if (step.kind === "send") continue;
      for (const sighting of step.sightings) {
        if (sighting.offset > (last.get(step.log)?.offset ?? -1)) last.set(step.log, sighting);
      }
    }
    for (const [log, { slot, version }] of last) {
      const next = this.#neighbours.get(log)?.next[slot];
      if (next?.writer) onEdge(RW, entry, next.writer, version, next);
    }
  }

  #addOrders(): void {
    const byProcess = new Map<string, DataEntry[]>();
    for (const entry of this.#live) {
      const { process } = entry.operation;
      const own = byProcess.get(process) ?? [];
      byProcess.set(process, own);
      own.push(entry);
    }
    for (const own of byProcess.values()) this.#addOrder(own, PROCESS);
    this.#addOrder(this.#live, REALTIME);
  }

  /** `ended`: in the order in which they ended. An `info` may take effect at any later time. */
  #addOrder(ended: readonly DataEntry[], kind: number): void {
    const begun = [...ended].sort((a, b) => a.operation.startedMs - b.operation.startedMs);
    const certain = ended.filter(({ operation }) => operation.outcome === "ok");
    let count = 0;
    let moment: number | null = null;
    for (const { index, operation } of begun) {
      const first = count;
      while ((certain[count]?.operation.endedMs ?? Infinity) < operation.startedMs) count += 1;
      if (count > first) moment = this.#addMoment(certain.slice(first, count), moment, kind);
      if (moment !== null) this.#edges.add(moment, index, kind);
    }
  }

  #addMoment(ended: readonly DataEntry[], last: number | null, kind: number): number {
    const moment = this.#nodeCount;
    this.#nodeCount += 1;
    if (last !== null) this.#edges.add(last, moment, kind);
    for (const { index } of ended) this.#edges.add(index, moment, kind);
    return moment;
  }
}

function neighboursOf({ slots }: KeyLog): Neighbours {
  const known = slots.map(({ version }) =>
    version.place === null || version.writer === null ? null : version,
  );
  return { previous: lastBefore(known), next: lastBefore(known.toReversed()).reverse() };
}

/** Of each place, the last before it that is not null. */
function lastBefore(versions: readonly (Version | null)[]): (Version | null)[] {
  let last: Version | null = null;
  return versions.map((version) => {
    const before = last;
    last = version ?? last;
    return before;
  });
}

/** From who wrote it; once where several of one writer follow each other. */
function readEdges(entry: DataEntry, sightings: readonly Sighting[], onEdge: OnEdge): void {
  const kind = isCommittedRead(entry) ? WR : DIRTY;
  let last: DataEntry | null = null;
  for (const { version } of sightings) {
    const { writer } = version;
    if (writer !== null && writer !== last) onEdge(kind, writer, entry, version, version);
    last = writer;
  }
}
