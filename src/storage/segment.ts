import { assert, must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { type Disk, DiskError, type DiskFile } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import { batchSizeBytes } from "../protocol/records/batch.ts";
import { writeSynced } from "./atomic-file.ts";
import { offsetFileName, type SegmentSuffix } from "./file-names.ts";
import { Preallocation } from "./preallocation.ts";
import { ReadHints } from "./read-hints.ts";
import type { RecoveryReport } from "./recovery-report.ts";
import { DamagedStretches } from "./segment-damage.ts";
import type { SegmentCache, Unloadable } from "./segment-cache.ts";
import { loadTxnIndex } from "./segment-transactions.ts";
import {
  type IndexPaths,
  loadOrScanIndexes,
  scanIndexes,
  SegmentIndexes,
} from "./segment-indexes.ts";
import { type AbortedTransaction, TxnIndex } from "./txn-index.ts";

const MAX_RELATIVE_OFFSET = 0x7fffffff;
/** Entries go to the index files in portions; after a crash they are made anew from the log. */
const INDEX_PORTION_BYTES = 4096;

export interface SegmentDependencies {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly cache: SegmentCache;
  /** Told of what recovery does. */
  readonly report?: RecoveryReport | undefined;
}

export interface SegmentOptions {
  /** The partition's directory. */
  readonly directory: string;
  readonly baseOffset: number;
  readonly indexIntervalBytes: number;
}

/** What the log's settings say about segments. */
export interface RollLimits {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly segmentIndexBytes: number;
}

/** What the log knows of a segment's batches that no checksum covers. */
export interface SegmentLimits {
  /** Where the next segment begins, or what is written ends. */
  readonly endOffset?: number;
  /** Of a batch that begins at the offset; -1: not known. */
  readonly epochAt?: (baseOffset: number) => number;
}

/** An open segment, as `use` lends it. */
export interface SegmentView {
  readonly file: DiskFile;
  readonly indexes: SegmentIndexes;
}

/**
 * One segment: a `.log` file and its indexes.
 * - "active": open, takes batches; its indexes in memory are the truth.
 * - "rolled": takes no more, but is not flushed and finished yet.
 * - "inactive": all on disk. Opened when it is read, and closed by the cache.
 */
export class Segment implements Unloadable {
  readonly baseOffset: number;
  readonly directory: string;
  readonly hints = new ReadHints();
  readonly damage = new DamagedStretches();
  indexIntervalBytes: number;
  /** By so much this segment's age limit is shorter than the topic's (segment.jitter.ms). */
  rollJitterMs = 0;

  readonly #dependencies: SegmentDependencies;
  readonly #createdMs: number;
  #state: "active" | "rolled" | "inactive";
  #file: DiskFile | null = null;
  #indexes: SegmentIndexes | null;
  /** null: not looked for yet. */
  #txns: TxnIndex | null;
  /** Invariant: flushedBytes <= writtenBytes <= sizeBytes; all equal once inactive and loaded. */
  #sizeBytes = 0;
  #writtenBytes = 0;
  #flushedBytes = 0;
  readonly #preallocation = new Preallocation();
  #closingSnapshot: { readonly path: string; readonly bytes: Buffer } | null = null;

  #loading: Promise<SegmentView> | null = null;
  #rebuilding: Promise<void> | null = null;
  #storing: Promise<void> | null = null;
  /** The parts of `finish`, which outlive it when one of them fails. */
  #finishing: Promise<unknown> | null = null;
  #useCount = 0;
  #isUnloadWanted = false;
  #isClosed = false;
  /** Called when a use has come to its end. */
  #whenUnused: (() => void)[] = [];
  /** Nobody enters before it is opened. */
  #gate: { readonly opened: Promise<void>; readonly open: () => void } | null = null;
  /** Of an inactive segment, which does not change. */
  #maxTimestampMs: number | null = null;

  private constructor(
    dependencies: SegmentDependencies,
    options: SegmentOptions,
    state: "active" | "inactive",
  ) {
    this.#dependencies = dependencies;
    this.directory = options.directory;
    this.baseOffset = options.baseOffset;
    this.indexIntervalBytes = options.indexIntervalBytes;
    this.#createdMs = dependencies.clock.wallMs();
    this.#state = state;
    this.#indexes = state === "active" ? SegmentIndexes.empty(options.baseOffset) : null;
    this.#txns = state === "active" ? new TxnIndex() : null;
  }

  /** A new segment that takes batches at once; its file is made by `create`, before the first write. */
  static active(dependencies: SegmentDependencies, options: SegmentOptions): Segment {
    return new Segment(dependencies, options, "active");
  }

  /** One that lies on disk as a whole. No I/O. */
  static inactive(dependencies: SegmentDependencies, options: SegmentOptions): Segment {
    return new Segment(dependencies, options, "inactive");
  }

  /** An existing file, whole and scanned, that takes batches again (recovery). */
  static reopened(
    dependencies: SegmentDependencies,
    options: SegmentOptions,
    found: SegmentView & {
      readonly txns: TxnIndex;
      readonly sizeBytes: number;
      readonly flushedBytes: number;
    },
  ): Segment {
    const segment = new Segment(dependencies, options, "active");
    segment.#file = found.file;
    segment.#indexes = found.indexes;
    segment.#txns = found.txns;
    segment.#sizeBytes = found.sizeBytes;
    segment.#writtenBytes = found.sizeBytes;
    segment.#flushedBytes = found.flushedBytes;
    return segment;
  }

  get state(): "active" | "rolled" | "inactive" {
    return this.#state;
  }

  /** Bytes of the batches that were added, written or not. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Whether its file was made; that of an inactive one may be closed. */
  get isCreated(): boolean {
    return this.#file !== null || this.#state === "inactive";
  }

  get needsFlush(): boolean {
    return this.#writtenBytes > this.#flushedBytes || this.isFinishable;
  }

  /** Whether it was rolled and all of it is written. */
  get isFinishable(): boolean {
    return this.#state === "rolled" && this.#writtenBytes === this.#sizeBytes;
  }

  path(suffix: SegmentSuffix): string {
    return `${this.directory}/${offsetFileName(this.baseOffset, suffix)}`;
  }

  get indexPaths(): IndexPaths {
    return { offsets: this.path(".index"), times: this.path(".timeindex") };
  }

  /** Whether the batch must go to a new segment (Kafka's LogSegment.shouldRoll). */
  shouldRoll(
    batch: {
      readonly sizeBytes: number;
      readonly lastOffset: number;
      readonly timestampMs: number;
    },
    limits: RollLimits,
  ): boolean {
    if (this.#sizeBytes === 0) return false;
    const { offsets, times, firstTimestampMs } = this.#activeIndexes();
    // By the batches' own times, so that replaying old data rolls as it did.
    const ageMs =
      firstTimestampMs === null
        ? this.#dependencies.clock.wallMs() - this.#createdMs
        : batch.timestampMs - firstTimestampMs;
    return (
      this.#sizeBytes + batch.sizeBytes > limits.segmentBytes ||
      ageMs > limits.segmentMs - this.rollJitterMs ||
      offsets.isFull(limits.segmentIndexBytes) ||
      times.isFull(limits.segmentIndexBytes) ||
      batch.lastOffset - this.baseOffset > MAX_RELATIVE_OFFSET
    );
  }

  /** Adds a whole batch at the end: it is indexed here, and written by `write`, in the same order. */
  add(batch: Buffer): void {
    assert(this.#state === "active", "only the active segment takes batches");
    this.#activeIndexes().note(batch, 0, this.#sizeBytes, this.indexIntervalBytes);
    this.#sizeBytes += batchSizeBytes(batch);
  }

  /** Takes no more batches. The snapshot is the producers' state here; `finish` writes it. */
  roll(snapshot: { readonly offset: number; readonly bytes: Buffer }): void {
    assert(this.#state === "active", "only the active segment rolls");
    this.#state = "rolled";
    const name = offsetFileName(snapshot.offset, ".snapshot");
    this.#closingSnapshot = { path: `${this.directory}/${name}`, bytes: snapshot.bytes };
  }

  /** Makes the file; one that a crash has left under the name is cut. Throws DiskError. */
  async create(): Promise<void> {
    const { disk } = this.#dependencies;
    this.#file = await disk.open(this.path(".log"), { create: true, truncate: true });
  }

  /** Writes batches that were added, after those written before. Throws DiskError. */
  async write(buffers: readonly Uint8Array[], byteCount: number): Promise<void> {
    const file = must(this.#file, "the segment's file is open while it is written");
    await file.writev(buffers, this.#writtenBytes);
    this.#writtenBytes += byteCount;
    assert(this.#writtenBytes <= this.#sizeBytes, "no more is written than was added");
  }

  /**
   * After a write and before the next: has zeros behind the batches, up to the limit, for those that
   * come. Throws DiskError, but not for want of room.
   */
  async preallocate(limitBytes: number): Promise<void> {
    if (this.#state !== "active") return;
    const file = must(this.#file, "the segment's file is open while it is written");
    await this.#preallocation.extend(file, this.#writtenBytes, limitBytes);
  }

  /** When nothing more is written: the file ends where its batches do. False: it did. Throws DiskError. */
  async trim(): Promise<boolean> {
    if (this.#file === null) return false;
    return await this.#preallocation.trim(this.#file, this.#writtenBytes);
  }

  /** What is written when this is called is durable when it resolves. Throws DiskError. */
  async datasync(): Promise<void> {
    const { writtenBytes } = this;
    await must(this.#file, "the segment's file is open while it is synced").datasync();
    this.#flushedBytes = Math.max(this.#flushedBytes, writtenBytes);
  }

  /** Whether enough new index entries have come together to be worth a write. */
  get hasIndexPortion(): boolean {
    if (this.#storing !== null) return false;
    const unstoredBytes = this.#indexes?.offsets.bytes.unstoredBytes ?? 0;
    return unstoredBytes >= INDEX_PORTION_BYTES || this.#txns?.hasUnstored === true;
  }

  /** Writes the index entries that the files lack. Throws DiskError. */
  async storeIndexes(isFinal: boolean, isSynced = false): Promise<void> {
    await this.#storing;
    const indexes = this.#activeIndexes();
    if (isFinal) indexes.noteEnd();
    this.#storing = this.#store(indexes, isFinal, isSynced).finally(() => {
      this.#storing = null;
    });
    await this.#storing;
  }

  /** Makes all of a rolled segment durable: batches, indexes, snapshot. Throws DiskError. */
  async finish(): Promise<void> {
    assert(this.isFinishable, "only a rolled segment is finished, when all of it is written");
    // An inactive segment is as long as its file, so that must not become longer again.
    const trimmed = this.trim().then(() => this.datasync());
    const parts = [trimmed, this.storeIndexes(true, true), this.#writeSnapshot()];
    this.#finishing = Promise.allSettled(parts);
    await Promise.all(parts);
    this.#state = "inactive";
    this.#dependencies.cache.touch(this);
  }

  /** Lends the open file and the indexes to `task`. Throws DiskError EBADF once closed. */
  async use<T>(task: (view: SegmentView) => Promise<T>): Promise<T> {
    return await this.#hold(async () => task(await this.#opened()));
  }

  /** Runs the task while nobody changes the segment's files. */
  async #hold<T>(task: () => Promise<T>): Promise<T> {
    while (this.#gate !== null) await this.#gate.opened;
    this.#useCount += 1;
    try {
      return await task();
    } finally {
      this.#useCount -= 1;
      if (this.#useCount === 0) {
        if (this.#isUnloadWanted) this.unload();
        const waiters = this.#whenUnused;
        this.#whenUnused = [];
        for (const resolve of waiters) resolve();
      }
    }
  }

  /**
   * Makes the indexes anew from the batches: what they said did not agree with what lies there (S9).
   * Throws DiskError.
   */
  rebuildIndexes(limits: SegmentLimits = {}): Promise<void> {
    this.#rebuilding ??= this.#rebuild(limits).finally(() => {
      this.#rebuilding = null;
    });
    return this.#rebuilding;
  }

  unload(): void {
    if (this.#state !== "inactive") return;
    if (this.#useCount > 0) {
      this.#isUnloadWanted = true;
      return;
    }
    this.#isUnloadWanted = false;
    void this.#closeFile();
  }

  /** Waits for readers, then closes the file. What is not written or synced is left as it is. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.thaw();
    this.#dependencies.cache.forget(this);
    await this.#unused();
    await this.#finishing;
    await this.#storing?.catch(() => undefined);
    await this.#closeFile();
  }

  /**
   * Resolves when nobody uses the segment; whoever wants to then waits for `thaw`, or for `close`, which
   * refuses them. For who changes its files.
   */
  async freeze(): Promise<void> {
    assert(this.#gate === null, "a segment is frozen once");
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#gate = { opened, open };
    await this.#unused();
    await this.#storing?.catch(() => undefined);
  }

  thaw(): void {
    const gate = this.#gate;
    this.#gate = null;
    gate?.open();
  }

  /** Finds out the size of a segment that was not loaded yet. Throws DiskError. */
  async measure(): Promise<void> {
    if (this.#sizeBytes > 0 || this.#state !== "inactive") return;
    const file = await this.#dependencies.disk.open(this.path(".log"));
    try {
      this.#sizeBytes = this.#writtenBytes = this.#flushedBytes = await file.size();
    } finally {
      await file.close();
    }
  }

  /** The greatest timestamp of its batches; -1: none has one. Throws DiskError. */
  async maxTimestampMs(): Promise<number> {
    if (this.#maxTimestampMs !== null) return this.#maxTimestampMs;
    // Its file may not be made yet, and its indexes are in memory.
    if (this.#state !== "inactive") return this.#activeIndexes().maxTimestamp.timestampMs;
    const maxTimestampMs = await this.use(({ indexes }) =>
      Promise.resolve(indexes.maxTimestamp.timestampMs),
    );
    this.#maxTimestampMs = maxTimestampMs;
    return maxTimestampMs;
  }

  /** A transaction's abort marker was added. */
  noteAborted(aborted: AbortedTransaction): void {
    must(this.#txns, "the segment takes batches").add(aborted);
  }

  /** The transactions whose abort marker lies in it. Throws DiskError. */
  async abortedTransactions(): Promise<readonly AbortedTransaction[]> {
    this.#txns ??= await this.#hold(() => {
      this.#refuseIfClosed();
      return loadTxnIndex(this.#dependencies, this, async () => (await this.#opened()).file);
    });
    return this.#txns.entries;
  }

  async #unused(): Promise<void> {
    while (this.#useCount > 0) {
      await new Promise<void>((resolve) => this.#whenUnused.push(resolve));
    }
  }

  async #opened(): Promise<SegmentView> {
    const view = this.#view() ?? (await this.#load());
    if (this.#state === "inactive") {
      this.#isUnloadWanted = false;
      this.#dependencies.cache.touch(this);
    }
    return view;
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw new DiskError("EBADF", this.path(".log"), "read");
  }

  #view(): SegmentView | null {
    this.#refuseIfClosed();
    if (this.#file === null || this.#indexes === null) return null;
    return { file: this.#file, indexes: this.#indexes };
  }

  #load(): Promise<SegmentView> {
    assert(this.#state === "inactive", "only an inactive segment is loaded");
    this.#loading ??= this.#open().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #open(): Promise<SegmentView> {
    const { disk, clock, logger } = this.#dependencies;
    const file = await disk.open(this.path(".log"));
    try {
      const sizeBytes = await file.size();
      const indexes = await loadOrScanIndexes({ disk, file, clock, logger }, this.indexPaths, {
        baseOffset: this.baseOffset,
        logBytes: sizeBytes,
        intervalBytes: this.indexIntervalBytes,
      });
      this.#sizeBytes = this.#writtenBytes = this.#flushedBytes = sizeBytes;
      this.#file = file;
      this.#indexes = indexes;
      return { file, indexes };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async #rebuild(limits: SegmentLimits): Promise<void> {
    const { clock, logger } = this.#dependencies;
    logger.warn({ segment: this.path(".log") }, "indexes do not fit their batches: made anew");
    await this.use(async ({ file, indexes: older }) => {
      const { indexes, scan } = await scanIndexes(
        { file, clock },
        {
          baseOffset: this.baseOffset,
          endPosition: this.#writtenBytes,
          intervalBytes: this.indexIntervalBytes,
          checksCrc: true,
          durableOffset: Infinity,
          ...limits,
        },
      );
      for (const stretch of scan.stretches) this.damage.add(stretch);
      indexes.addTail(older, scan.endPosition, scan.nextOffset);
      this.#indexes = indexes;
      if (this.#state === "inactive") await this.storeIndexes(true);
    });
  }

  async #writeSnapshot(): Promise<void> {
    if (this.#closingSnapshot === null) return;
    const { path, bytes } = this.#closingSnapshot;
    await writeSynced(this.#dependencies.disk, path, bytes);
    this.#closingSnapshot = null;
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    if (this.#state === "inactive") this.#indexes = null;
    try {
      await file?.close();
    } catch (error) {
      // Nothing hangs on it: what had to be durable was synced before.
      this.#dependencies.logger.warn({ segment: this.path(".log"), error }, "could not close");
    }
  }

  async #store(indexes: SegmentIndexes, isFinal: boolean, isSynced: boolean): Promise<void> {
    const { disk } = this.#dependencies;
    await indexes.store(disk, this.indexPaths, isFinal, isSynced);
    await this.#txns?.store(disk, this.path(".txnindex"), isFinal, isSynced);
  }

  #activeIndexes(): SegmentIndexes {
    return must(this.#indexes, "the indexes are in memory");
  }
}
