import { assert } from "../../base/assert.ts";
import { isDataOperation } from "./operation.ts";
import type { DataOperation, KeyFacts, Operation, Poll, Send } from "./operation.ts";
import { SHOWN } from "./report.ts";

/** One value of one key: who tried to write it, where it is, who read it. */
export class Version {
  readonly log: KeyLog;
  readonly value: string;
  recordKey: string | null = null;
  /** Who wrote it: the only operation that can have; null if there is none, or several. */
  writer: DataOperation | null = null;
  firstAttempt: DataOperation | null = null;
  /** Attempts that did not certainly fail. */
  liveAttempts = 0;
  ackedBy: DataOperation | null = null;
  isIdempotent = true;
  /** Who certainly wrote it, whether or not anybody has read it. */
  writtenBy: DataOperation | null = null;
  /** Who read it first; and who did under read_committed. */
  reader: DataOperation | null = null;
  committedReader: DataOperation | null = null;
  /** By offset. More than one is a duplicate. */
  readonly sightings: Sighting[] = [];
  /** Only where there are several sightings. */
  #offsets: Set<number> | null = null;

  constructor(log: KeyLog, value: string) {
    this.log = log;
    this.value = value;
  }

  /** All attempts to write it failed; a value that nobody tried to write is not that. */
  get isRefused(): boolean {
    return this.firstAttempt !== null && this.liveAttempts === 0;
  }

  /** Where it is, if that is one place, which no other value has. */
  get place(): Sighting | null {
    const [sighting] = this.sightings;
    if (sighting === undefined || this.sightings.length > 1) return null;
    return this.log.at(sighting.offset).rival === null ? sighting : null;
  }

  isSeenAt(offset: number): boolean {
    return this.#offsets?.has(offset) ?? this.sightings[0]?.offset === offset;
  }

  add(sighting: Sighting): void {
    this.sightings.push(sighting);
    if (this.sightings.length < 2) return;
    this.#offsets ??= new Set(this.sightings.map(({ offset }) => offset));
    this.#offsets.add(sighting.offset);
  }
}

/** A value at an offset, and the operation that was the first to say so. */
export interface Sighting {
  readonly offset: number;
  readonly version: Version;
  readonly operation: DataOperation;
  /** Another value at this offset. */
  rival: Sighting | null;
  /** How many offsets below are such that a consumer may not jump over them. */
  rank: number;
}

/** What the history says about one partition. */
export class KeyLog {
  readonly key: string;
  readonly versions = new Map<string, Version>();
  /** All offsets that have a value, in their order. */
  readonly slots: Sighting[] = [];
  /** Of these, what no consumer may jump over: it is certainly there, and certainly not deleted. */
  readonly #visible: Sighting[] = [];
  readonly #byOffset = new Map<number, Sighting>();
  readonly #facts: KeyFacts;
  /** The highest offset of each record key; of compacted logs only. */
  readonly #newest = new Map<string, number>();
  maxPolledOffset = -1;
  maxPolledBy: DataOperation | null = null;

  constructor(key: string, facts: KeyFacts) {
    this.key = key;
    this.#facts = facts;
  }

  version(value: string): Version {
    let version = this.versions.get(value);
    if (version === undefined) {
      version = new Version(this, value);
      this.versions.set(value, version);
    }
    return version;
  }

  at(offset: number): Sighting {
    const slot = this.#byOffset.get(offset);
    assert(slot !== undefined, "the offset was seen", () => ({ key: this.key, offset }));
    return slot;
  }

  see(version: Version, offset: number, operation: DataOperation): void {
    assert(Number.isSafeInteger(offset) && offset >= 0, "an offset", () => ({ offset, operation }));
    if (version.isSeenAt(offset)) return;
    const sighting: Sighting = { offset, version, operation, rival: null, rank: 0 };
    const slot = this.#byOffset.get(offset);
    if (slot === undefined) {
      this.#byOffset.set(offset, sighting);
      this.slots.push(sighting);
    } else {
      // Right behind the first, so that many rivals cost no more than few.
      sighting.rival = slot.rival;
      slot.rival = sighting;
    }
    version.add(sighting);
  }

  /** All has been seen. */
  finish(): void {
    this.slots.sort((a, b) => a.offset - b.offset);
    if (this.#facts.isCompacted === true) {
      for (const { version, offset } of this.slots) {
        const { recordKey } = version;
        if (recordKey !== null && isThere(version)) this.#newest.set(recordKey, offset);
      }
    }
    for (const slot of this.slots) {
      slot.rank = this.#visible.length;
      if (isThere(slot.version) && !this.mayBeGone(slot.version, slot.offset)) {
        this.#visible.push(slot);
      }
    }
  }

  /** Retention or compaction may have removed it; of one whose place nobody knows, if of any. */
  mayBeGone({ recordKey }: Version, offset: number | null): boolean {
    const { logStartOffset = 0 } = this.#facts;
    if ((offset ?? -1) < logStartOffset && logStartOffset > 0) return true;
    return recordKey !== null && (this.#newest.get(recordKey) ?? -1) > (offset ?? -1);
  }

  /** The values that lie between two offsets that were seen, and were not to be jumped over. */
  between(from: number, to: number): readonly Sighting[] {
    const { rank, offset } = this.at(from);
    const begin = this.#visible[rank]?.offset === offset ? rank + 1 : rank;
    return this.#visible.slice(begin, Math.min(this.at(to).rank, begin + SHOWN));
  }

  /** Where an offset that was seen comes in `slots`. */
  indexOf(offset: number): number {
    let low = 0;
    let high = this.slots.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.slots[middle]?.offset ?? Infinity) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The history by key, and its version orders. */
export class KeyLogs {
  readonly logs = new Map<string, KeyLog>();
  readonly #facts: ReadonlyMap<string, KeyFacts>;

  constructor(history: readonly Operation[], facts: ReadonlyMap<string, KeyFacts>) {
    this.#facts = facts;
    const data = history.filter(isDataOperation);
    for (const operation of data) this.#note(operation);
    for (const operation of data) this.#believe(operation);
    for (const log of this.logs.values()) log.finish();
  }

  version({ key, value }: Send): Version {
    return this.log(key).version(value);
  }

  log(key: string): KeyLog {
    let log = this.logs.get(key);
    if (log === undefined) {
      log = new KeyLog(key, this.#facts.get(key) ?? {});
      this.logs.set(key, log);
    }
    return log;
  }

  /** Polls are true whatever became of the operation around them: what was read was read. */
  #note(operation: DataOperation): void {
    for (const step of operation.steps) {
      if (step.kind === "send") this.#noteSend(step, operation);
      else this.#notePoll(step, operation);
    }
  }

  #noteSend(send: Send, operation: DataOperation): void {
    const version = this.version(send);
    version.firstAttempt ??= operation;
    version.recordKey ??= send.recordKey ?? null;
    if (operation.outcome === "fail") return;
    version.liveAttempts += 1;
    version.writer = version.liveAttempts === 1 ? operation : null;
    if (operation.outcome === "ok") version.ackedBy ??= operation;
    if (operation.kind !== "poll" && operation.idempotent === false) version.isIdempotent = false;
  }

  #notePoll({ key, records }: Poll, operation: DataOperation): void {
    const log = this.log(key);
    for (const { offset, value } of records) {
      const version = log.version(value);
      version.reader ??= operation;
      if (isCommittedRead(operation)) version.committedReader ??= operation;
      log.see(version, offset, operation);
      if (offset <= log.maxPolledOffset) continue;
      log.maxPolledOffset = offset;
      log.maxPolledBy = operation;
    }
  }

  /** Sends say where a record is only if it is known to be there. */
  #believe(operation: DataOperation): void {
    const { outcome } = operation;
    const isWhole = outcome === "ok" || (outcome === "info" && this.#isCommitted(operation));
    for (const step of operation.steps) {
      if (step.kind !== "send") continue;
      const version = this.version(step);
      if (isWhole) version.writtenBy ??= operation;
      const isKnown = isWhole || (operation.kind === "send" && isReadFrom(version, operation));
      if (isKnown && step.offset !== undefined) version.log.see(version, step.offset, operation);
    }
  }

  /** One write of a transaction was seen, so all of them are there. */
  #isCommitted(operation: DataOperation): boolean {
    if (operation.kind !== "txn") return false;
    return operation.steps.some((step) => {
      if (step.kind !== "send") return false;
      const version = this.version(step);
      return version.writer === operation && version.committedReader !== null;
    });
  }
}

export function isCommittedRead(operation: DataOperation): boolean {
  return operation.kind === "send" || operation.isolation !== "read_uncommitted";
}

function isReadFrom(version: Version, operation: DataOperation): boolean {
  return version.writer === operation && version.reader !== null;
}

/** A consumer under read_committed must be shown it. */
function isThere(version: Version): boolean {
  if (version.isRefused) return false;
  if (version.writtenBy !== null || version.committedReader !== null) return true;
  // Outside of a transaction there is nothing that could be undone.
  return version.reader !== null && version.writer?.kind === "send";
}
