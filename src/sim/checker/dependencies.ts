import { InvariantError, must } from "../../base/assert.ts";
import { Edges } from "./graph.ts";
import type { Graph } from "./graph.ts";
import { isCommittedRead } from "./key-log.ts";
import type { KeyLog, KeyLogs, Sighting, Version } from "./key-log.ts";
import type { DataOperation } from "./operation.ts";
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
 * Which operation comes before which. The first nodes are operations; the others are moments, to which
 * all leads that has ended, and from which all comes that begins later: so real time, which orders as
 * many pairs as the square of the history, needs no more edges than three times its length.
 */
export class Dependencies {
  readonly operations: readonly DataOperation[];
  readonly #logs: KeyLogs;
  readonly #ids = new Map<DataOperation, number>();
  readonly #edges = new Edges();
  #nodeCount: number;

  /** `operations` in the order in which they ended; what failed has no part in it. */
  constructor(
    logs: KeyLogs,
    operations: readonly DataOperation[],
    options: { readonly antiDependencies: boolean },
  ) {
    this.#logs = logs;
    this.operations = operations.filter(({ outcome }) => outcome !== "fail");
    this.#nodeCount = this.operations.length;
    for (const [id, operation] of this.operations.entries()) this.#ids.set(operation, id);
    for (const log of logs.logs.values()) {
      for (const [before, after] of writerPairs(log)) this.#add(before, after, WW);
    }
    for (const operation of this.operations) {
      const kind = isCommittedRead(operation) ? WR : DIRTY;
      for (const { writer } of this.#reads(operation)) this.#add(writer, operation, kind);
    }
    if (options.antiDependencies) this.#addAntiDependencies();
    this.#addOrders();
  }

  toGraph(): Graph {
    return this.#edges.toGraph(this.#nodeCount);
  }

  /** The operation of a node; undefined if the node is a moment. */
  operation(node: number): DataOperation | undefined {
    return this.operations[node];
  }

  /** Why the one comes before the other. */
  explain(kind: number, before: DataOperation, after: DataOperation): DataStep {
    if (kind === WW) return this.#explainWrite(before, after);
    if (kind === RW) return this.#explainAntiDependency(before, after);
    for (const { writer, version } of this.#reads(after)) {
      const { value, log } = version;
      if (writer === before) return { kind: "wr", key: log.key, value, nextValue: value };
    }
    return unexplained();
  }

  #explainWrite(before: DataOperation, after: DataOperation): DataStep {
    for (const step of after.steps) {
      const place = step.kind === "send" ? this.#logs.version(step).place : null;
      if (place === null) continue;
      const { log, value } = place.version;
      // Back to the last one whose writer is known.
      for (let index = log.indexOf(place.offset) - 1; index >= 0; index -= 1) {
        const slot = log.slots[index];
        const writer = slot === undefined ? null : writerOf(slot);
        if (slot === undefined || writer === null) continue;
        if (writer !== before) break;
        return { kind: "ww", key: log.key, value: slot.version.value, nextValue: value };
      }
    }
    return unexplained();
  }

  #explainAntiDependency(before: DataOperation, after: DataOperation): DataStep {
    for (const [log, last] of this.#lastPolled(before)) {
      const next = log.slots.find((slot) => slot.offset > last.offset && writerOf(slot) !== null);
      if (next === undefined || writerOf(next) !== after) continue;
      const { value } = last.version;
      return { kind: "rw", key: log.key, value, nextValue: next.version.value };
    }
    return unexplained();
  }

  #add(before: DataOperation, after: DataOperation, kind: number): void {
    if (before !== after) this.#edges.add(this.#idOf(before), this.#idOf(after), kind);
  }

  #idOf(operation: DataOperation): number {
    return must(this.#ids.get(operation), "an operation of the history");
  }

  /** What it polled and who wrote that, without the repeats of a writer that follow each other. */
  *#reads(operation: DataOperation): Generator<{ writer: DataOperation; version: Version }> {
    let last: DataOperation | null = null;
    for (const step of operation.steps) {
      if (step.kind === "send") continue;
      const log = this.#logs.log(step.key);
      for (const { value } of step.records) {
        const version = log.version(value);
        const { writer } = version;
        if (writer !== null && writer !== last) yield { writer, version };
        last = writer;
      }
    }
  }

  #addAntiDependencies(): void {
    const nextWriters = new Map<KeyLog, (DataOperation | null)[]>();
    for (const log of this.#logs.logs.values()) {
      let next: DataOperation | null = null;
      const ofLog = log.slots.toReversed().map((slot) => {
        const after = next;
        next = writerOf(slot) ?? next;
        return after;
      });
      nextWriters.set(log, ofLog.reverse());
    }
    for (const operation of this.operations) {
      for (const [log, { offset }] of this.#lastPolled(operation)) {
        const next = nextWriters.get(log)?.[log.indexOf(offset)] ?? null;
        if (next !== null) this.#add(operation, next, RW);
      }
    }
  }

  #lastPolled(operation: DataOperation): Map<KeyLog, Sighting> {
    const last = new Map<KeyLog, Sighting>();
    for (const step of operation.steps) {
      if (step.kind === "send") continue;
      const log = this.#logs.log(step.key);
      for (const { offset } of step.records) {
        if (offset > (last.get(log)?.offset ?? -1)) last.set(log, log.at(offset));
      }
    }
    return last;
  }

  #addOrders(): void {
    const byProcess = new Map<string, number[]>();
    for (const [id, { process }] of this.operations.entries()) {
      const own = byProcess.get(process) ?? [];
      own.push(id);
      byProcess.set(process, own);
    }
    for (const own of byProcess.values()) this.#addOrder(own, PROCESS);
    this.#addOrder([...this.operations.keys()], REALTIME);
  }

  /** `ended`: nodes in the order in which they ended. An `info` may take effect at any later time. */
  #addOrder(ended: readonly number[], kind: number): void {
    const begun = [...ended].sort((a, b) => this.#at(a).startedMs - this.#at(b).startedMs);
    const certain = ended.filter((node) => this.#at(node).outcome === "ok");
    let count = 0;
    let moment: number | null = null;
    for (const node of begun) {
      const { startedMs } = this.#at(node);
      const first = count;
      while (count < certain.length && this.#at(certain[count]).endedMs < startedMs) count += 1;
      if (count > first) moment = this.#addMoment(certain.slice(first, count), moment, kind);
      if (moment !== null) this.#edges.add(moment, node, kind);
    }
  }

  #addMoment(ended: readonly number[], last: number | null, kind: number): number {
    const moment = this.#nodeCount;
    this.#nodeCount += 1;
    if (last !== null) this.#edges.add(last, moment, kind);
    for (const node of ended) this.#edges.add(node, moment, kind);
    return moment;
  }

  #at(node: number | undefined): DataOperation {
    return must(this.operations[node ?? -1], "an operation's node");
  }
}

/** Who wrote what is there, if that can only be one. */
function writerOf({ version }: Sighting): DataOperation | null {
  return version.place === null ? null : version.writer;
}

function* writerPairs(log: KeyLog): Generator<readonly [DataOperation, DataOperation]> {
  let before: DataOperation | null = null;
  for (const slot of log.slots) {
    const writer = writerOf(slot);
    if (writer === null) continue;
    if (before !== null) yield [before, writer];
    before = writer;
  }
}

function unexplained(): never {
  throw new InvariantError("an edge has a reason");
}
