import { assert } from "../../base/assert.ts";
import type { DataOperation, KeyFacts } from "./operation.ts";
import { SHOWN } from "./report.ts";

/** An operation with what its steps name. */
export interface DataEntry {
  /** Its place in the history. */
  readonly index: number;
  readonly operation: DataOperation;
  readonly steps: readonly Step[];
}

export type Step =
  | { readonly kind: "send"; readonly version: Version; readonly offset: number | undefined }
  | { readonly kind: "poll"; readonly log: KeyLog; readonly sightings: readonly Sighting[] };

/** One value of one key: who tried to write it, where it is, who read it. */
export class Version {
  readonly log: KeyLog;
  readonly value: string;
  recordKey: string | null = null;
  /** Who wrote it: the only operation that can have; null if there is none, or several. */
  writer: DataEntry | null = null;
  firstAttempt: DataEntry | null = null;
  /** Attempts that did not certainly fail. */
  liveAttempts = 0;
  ackedBy: DataEntry | null = null;
  isIdempotent = true;
  /** Who certainly wrote it, whether or not anybody has read it. */
  writtenBy: DataEntry | null = null;
  /** Who read it first; and who did under read_committed. */
  reader: DataEntry | null = null;
  committedReader: DataEntry | null = null;
  /** One for each offset. More than one is a duplicate. */
  readonly sightings: Sighting[] = [];
  /** Only where there are several sightings. */
  #byOffset: Map<number, Sighting> | null = null;

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
    return sighting?.isAlone === true && this.sightings.length === 1 ? sighting : null;
  }

  at(offset: number): Sighting | undefined {
    const [first] = this.sightings;
    return first?.offset === offset ? first : this.#byOffset?.get(offset);
  }

  add(sighting: Sighting): void {
    this.sightings.push(sighting);
    if (this.sightings.length < 2) return;
    this.#byOffset ??= new Map();
    this.#byOffset.set(sighting.offset, sighting);
  }
}

/** A value at an offset, and the operation that was the first to say so. */
export interface Sighting {
  readonly offset: number;
  readonly version: Version;
  readonly entry: DataEntry;
  /** No other value was seen at this offset; else one of them, the first of all having all behind it. */
  isAlone: boolean;
  rival: Sighting | null;
  /** Where the offset comes in `KeyLog.slots`, */
  slot: number;
  /** and how many offsets below it are such that a consumer may not jump over them. */
  rank: number;
}

/** What the history says about one partition. */
export class KeyLog {
  readonly key: string;
  readonly versions = new Map<string, Version>();
  /** The first sighting of each offset, in the order of offsets. */
  readonly slots: Sighting[] = [];
  /** Of these, what no consumer may jump over: it is certainly there, and certainly not deleted. */
  readonly #visible: Sighting[] = [];
  readonly #byOffset = new Map<number, Sighting>();
  readonly #facts: KeyFacts;
  /** The highest offset of each record key; of compacted logs only. */
  readonly #newest = new Map<string, number>();
  maxPolled: { readonly offset: number; readonly entry: DataEntry } | null = null;

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

  see(version: Version, offset: number, entry: DataEntry): Sighting {
    return version.at(offset) ?? this.#add(version, offset, entry);
  }

  #add(version: Version, offset: number, entry: DataEntry): Sighting {
    const isOffset = Number.isSafeInteger(offset) && offset >= 0;
    assert(isOffset, "an offset", () => ({ key: this.key, offset, ...entry.operation }));
    const first = this.#byOffset.get(offset);
    const isAlone = first === undefined;
    const sighting = { offset, version, entry, isAlone, rival: null, slot: 0, rank: 0 };
    if (first === undefined) {
      this.#byOffset.set(offset, sighting);
      this.slots.push(sighting);
    } else {
      // Right behind the first, so that many rivals cost no more than few.
      Object.assign(sighting, { rival: first.rival });
      first.rival = sighting;
      first.isAlone = false;
    }
    version.add(sighting);
    return sighting;
  }

  /** All has been seen. */
  finish(): void {
    this.slots.sort((a, b) => a.offset - b.offset);
    if (this.#facts.isCompacted === true) this.#noteRecordKeys();
    for (const [index, slot] of this.slots.entries()) {
      for (const sighting of atOffset(slot)) {
        sighting.slot = index;
        sighting.rank = this.#visible.length;
      }
      if (isThere(slot.version) && !this.mayBeGone(slot.version, slot.offset)) {
        this.#visible.push(slot);
      }
    }
  }

  #noteRecordKeys(): void {
    for (const { version, offset } of this.slots) {
      const { recordKey } = version;
      if (recordKey !== null && isThere(version)) this.#newest.set(recordKey, offset);
    }
  }

  /** Retention or compaction may have removed it; of one whose place nobody knows, if of any. */
  mayBeGone({ recordKey }: Version, offset: number | null): boolean {
    const { logStartOffset = 0 } = this.#facts;
    if ((offset ?? -1) < logStartOffset && logStartOffset > 0) return true;
    return recordKey !== null && (this.#newest.get(recordKey) ?? -1) > (offset ?? -1);
  }

  /** What lies between two and was not to be jumped over; at most `SHOWN`. */
  between(from: Sighting, to: Sighting): readonly Sighting[] {
    const begin = this.#visible[from.rank]?.offset === from.offset ? from.rank + 1 : from.rank;
    return this.#visible.slice(begin, Math.min(to.rank, begin + SHOWN));
  }

  /** The second comes after the first, and nothing between them that was not to be jumped over. */
  isNext(from: Sighting, to: Sighting): boolean {
    if (to.offset <= from.offset) return false;
    if (to.rank === from.rank) return true;
    return to.rank === from.rank + 1 && this.#visible[from.rank]?.offset === from.offset;
  }
}

/** All values of an offset, from its first sighting on. */
export function* atOffset(first: Sighting): Generator<Sighting> {
  for (let each: Sighting | null = first; each !== null; each = each.rival) yield each;
}

/** A consumer under read_committed must be shown it. */
function isThere(version: Version): boolean {
  if (version.isRefused) return false;
  if (version.writtenBy !== null || version.committedReader !== null) return true;
  // Outside of a transaction there is nothing that could be undone.
  return version.reader !== null && version.writer?.operation.kind === "send";
}
