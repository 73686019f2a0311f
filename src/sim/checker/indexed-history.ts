import { KeyLog } from "./key-log.ts";
import type { DataEntry, Sighting, Step, Version } from "./key-log.ts";
import { isDataOperation } from "./operation.ts";
import type {
  AssignOperation,
  CrashOperation,
  DataOperation,
  KeyFacts,
  Operation,
  Poll,
  Send,
} from "./operation.ts";

/** An operation that neither sends nor polls. */
export interface OtherEntry {
  readonly index: number;
  readonly operation: AssignOperation | CrashOperation;
}

export type Entry = DataEntry | OtherEntry;

/** A history by time and by key, with the version order of each key. */
export class IndexedHistory {
  /** In the order in which they ended. */
  readonly entries: readonly Entry[];
  readonly dataEntries: readonly DataEntry[];
  readonly logs = new Map<string, KeyLog>();
  readonly #facts: ReadonlyMap<string, KeyFacts>;

  constructor(operations: readonly Operation[], facts: ReadonlyMap<string, KeyFacts>) {
    this.#facts = facts;
    const ended = [...operations].sort((a, b) => a.endedMs - b.endedMs);
    this.entries = ended.map((operation, index) =>
      isDataOperation(operation) ? this.#note(operation, index) : { operation, index },
    );
    this.dataEntries = this.entries.filter(isDataEntry);
    for (const entry of this.dataEntries) believe(entry);
    for (const log of this.logs.values()) log.finish();
  }

  #note(operation: DataOperation, index: number): DataEntry {
    const steps: Step[] = [];
    const entry: DataEntry = { index, operation, steps };
    for (const step of operation.steps) {
      steps.push(step.kind === "send" ? this.#noteSend(step, entry) : this.#notePoll(step, entry));
    }
    return entry;
  }

  #noteSend({ key, value, offset, recordKey }: Send, entry: DataEntry): Step {
    const { operation } = entry;
    const version = this.#log(key).version(value);
    version.firstAttempt ??= entry;
    version.recordKey ??= recordKey ?? null;
    if (operation.outcome !== "fail") {
      version.liveAttempts += 1;
      version.writer = version.liveAttempts === 1 ? entry : null;
      if (operation.outcome === "ok") version.ackedBy ??= entry;
      const isIdempotent = operation.kind === "poll" || operation.idempotent !== false;
      version.isIdempotent &&= isIdempotent;
    }
    return { kind: "send", version, offset };
  }

  /** Polls are true whatever became of the operation around them: what was read was read. */
  #notePoll({ key, records }: Poll, entry: DataEntry): Step {
    const log = this.#log(key);
    const isCommitted = isCommittedRead(entry);
    const sightings: Sighting[] = [];
    for (const { offset, value } of records) {
      const version = log.version(value);
      version.reader ??= entry;
      if (isCommitted) version.committedReader ??= entry;
      sightings.push(log.see(version, offset, entry));
      if (offset > (log.maxPolled?.offset ?? -1)) log.maxPolled = { offset, entry };
    }
    return { kind: "poll", log, sightings };
  }

  #log(key: string): KeyLog {
    let log = this.logs.get(key);
    if (log === undefined) {
      log = new KeyLog(key, this.#facts.get(key) ?? {});
      this.logs.set(key, log);
    }
    return log;
  }
}

export function isDataEntry(entry: Entry): entry is DataEntry {
  return "steps" in entry;
}

export function isCommittedRead({ operation }: DataEntry): boolean {
  return operation.kind === "send" || operation.isolation !== "read_uncommitted";
}

/** Sends say where a record is only if it is known to be there. */
function believe(entry: DataEntry): void {
  const { outcome, kind } = entry.operation;
  const isWhole = outcome === "ok" || (outcome === "info" && isCommitted(entry));
  for (const step of entry.steps) {
    if (step.kind !== "send") continue;
    const { version, offset } = step;
    if (isWhole) version.writtenBy ??= entry;
    const isSeen = kind === "send" && version.writer === entry && version.reader !== null;
    if (offset !== undefined && (isWhole || isSeen)) version.log.see(version, offset, entry);
  }
}

/** One write of a transaction was seen, so all of them are there. */
function isCommitted(entry: DataEntry): boolean {
  if (entry.operation.kind !== "txn") return false;
  const writes = (version: Version): boolean =>
    version.writer === entry && version.committedReader !== null;
  return entry.steps.some((step) => step.kind === "send" && writes(step.version));
}
