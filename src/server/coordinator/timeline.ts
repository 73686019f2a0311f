import { assert } from "../../base/assert.ts";

interface Change {
  readonly position: number;
  readonly undo: () => void;
  readonly settle: () => void;
}

/**
 * The history of a shard's state between what is committed and what was handled last. Positions are
 * the shard's command numbers. While it is off (a load below the high watermark) nothing is kept.
 */
export class Timeline {
  /** Oldest first. Invariant: positions never fall. Bounded by what the runtime lets be in flight. */
  readonly #changes: Change[] = [];
  #settledCount = 0;
  #position = 0;
  #isRecording = false;

  /** The command whose changes come next. */
  get position(): number {
    return this.#position;
  }

  /** Off until the first position: a load below the high watermark is final as it goes. */
  get isRecording(): boolean {
    return this.#isRecording;
  }

  /** Changes from now on belong to `position`, and may be rolled back. */
  advance(position: number): void {
    assert(position > this.#position, "positions of a timeline rise", () => ({
      position,
      current: this.#position,
    }));
    this.#position = position;
    this.#isRecording = true;
  }

  /** Everything up to and including `position` is final: `getCommitted` shows it. */
  commit(position: number): void {
    for (;;) {
      const change = this.#changes[this.#settledCount];
      if (change === undefined || change.position > position) break;
      change.settle();
      this.#settledCount += 1;
    }
    if (this.#settledCount * 2 >= this.#changes.length) {
      this.#changes.splice(0, this.#settledCount);
      this.#settledCount = 0;
    }
  }

  /** Undoes what came after `position`, newest first. Those changes must not be committed. */
  rollback(position: number): void {
    while (this.#changes.length > this.#settledCount) {
      const change = this.#changes.at(-1);
      if (change === undefined || change.position <= position) break;
      change.undo();
      this.#changes.pop();
    }
  }

  /** Only TimelineMap calls it. */
  record(undo: () => void, settle: () => void): void {
    assert(this.#isRecording, "changes are recorded at a position");
    this.#changes.push({ position: this.#position, undo, settle });
  }
}

/**
 * A Map that can be read as of the last commit, and taken back to an earlier position. Values are
 * never changed in place (or are TimelineMaps themselves).
 */
export class TimelineMap<K, V> {
  readonly #timeline: Timeline;
  readonly #latest = new Map<K, V>();
  /** What each key held before each of its uncommitted changes, oldest first. */
  readonly #before = new Map<K, (V | undefined)[]>();

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  get size(): number {
    return this.#latest.size;
  }

  get(key: K): V | undefined {
    return this.#latest.get(key);
  }

  has(key: K): boolean {
    return this.#latest.has(key);
  }

  keys(): IterableIterator<K> {
    return this.#latest.keys();
  }

  entries(): IterableIterator<[K, V]> {
    return this.#latest.entries();
  }

  /** The value without the changes that may still be taken back. */
  getCommitted(key: K): V | undefined {
    const before = this.#before.get(key);
    return before === undefined ? this.#latest.get(key) : before[0];
  }

  /** All entries without the changes that may still be taken back. */
  *committedEntries(): IterableIterator<[K, V]> {
    for (const [key, value] of this.#latest) {
      const committed = this.#before.has(key) ? this.getCommitted(key) : value;
      if (committed !== undefined) yield [key, committed];
    }
    for (const [key, before] of this.#before) {
      if (!this.#latest.has(key) && before[0] !== undefined) yield [key, before[0]];
    }
  }

  set(key: K, value: V): void {
    this.#change(key, value);
  }

  delete(key: K): void {
    if (this.#latest.has(key)) this.#change(key, undefined);
  }

  #change(key: K, value: V | undefined): void {
    if (!this.#timeline.isRecording) {
      this.#put(key, value);
      return;
    }
    const old = this.#latest.get(key);
    const before = this.#before.get(key);
    if (before === undefined) this.#before.set(key, [old]);
    else before.push(old);
    this.#put(key, value);
    this.#timeline.record(
      () => {
        this.#before.get(key)?.pop();
        this.#dropIfSettled(key);
        this.#put(key, old);
      },
      () => {
        this.#before.get(key)?.shift();
        this.#dropIfSettled(key);
      },
    );
  }

  #put(key: K, value: V | undefined): void {
    if (value === undefined) this.#latest.delete(key);
    else this.#latest.set(key, value);
  }

  #dropIfSettled(key: K): void {
    if (this.#before.get(key)?.length === 0) this.#before.delete(key);
  }
}
