import type { Clock } from "../base/clock.ts";
import { type Disk, type DiskFile, isNotFound } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import {
  batchBaseOffset,
  batchLastOffset,
  batchMaxTimestamp,
  batchSizeBytes,
} from "../protocol/records/batch.ts";
import { readSmallFile } from "./atomic-file.ts";
import { type BatchVisitor, scanBatches, type ScanOptions } from "./batch-scanner.ts";
import { DamagedFileError } from "./checkpoint.ts";
import { OffsetIndex } from "./offset-index.ts";
import { type KeepingScan, scanOverDamage } from "./resync.ts";
import { TimeIndex, type TimestampOffset } from "./time-index.ts";

/** How batches are looked at to check an index: few of them, by their headers. */
const CHECKING = { checksCrc: false, chunkBytes: 16 * 1024 } as const;

/** Where the two index files of a segment are. */
export interface IndexPaths {
  readonly offsets: string;
  readonly times: string;
}

/**
 * The two indexes of a segment and what goes with filling them. Both can be derived from the batches
 * (S9): `scanIndexes` gives what `note` gave when they were appended.
 */
export class SegmentIndexes {
  readonly offsets: OffsetIndex;
  readonly times: TimeIndex;
  /** The greatest timestamp so far, and the last offset of the batch that brought it; -1: none. */
  maxTimestamp: TimestampOffset;
  /** Of the first batch; null: there is none, or it has no timestamp. The segment's age counts from it. */
  firstTimestampMs: number | null = null;
  #bytesSinceEntry = 0;

  constructor(offsets: OffsetIndex, times: TimeIndex) {
    this.offsets = offsets;
    this.times = times;
    this.maxTimestamp = times.last() ?? { timestampMs: -1, offset: offsets.baseOffset };
  }

  static empty(baseOffset: number): SegmentIndexes {
    return new SegmentIndexes(OffsetIndex.empty(baseOffset), TimeIndex.empty(baseOffset));
  }

  /** Takes note of a batch that begins at `position` of the segment, as Kafka does when it appends. */
  note(bytes: Buffer, at: number, position: number, intervalBytes: number): void {
    const timestampMs = batchMaxTimestamp(bytes, at);
    const lastOffset = batchLastOffset(bytes, at);
    if (position === 0) this.firstTimestampMs = timestampMs >= 0 ? timestampMs : null;
    if (timestampMs > this.maxTimestamp.timestampMs) {
      this.maxTimestamp = { timestampMs, offset: lastOffset };
    }
    if (this.#bytesSinceEntry > intervalBytes) {
      this.offsets.append(lastOffset, position);
      this.times.maybeAppend(this.maxTimestamp);
      this.#bytesSinceEntry = 0;
    }
    this.#bytesSinceEntry += batchSizeBytes(bytes, at);
  }

  /** The segment ends, or pauses: its greatest timestamp must be found without reading it. */
  noteEnd(): void {
    this.times.maybeAppend(this.maxTimestamp);
  }

  /** Goes on after the last entry, which a clean stop has left so far from the end. */
  resume(bytesSinceEntry: number, firstTimestampMs: number | null): void {
    this.#bytesSinceEntry = bytesSinceEntry;
    this.firstTimestampMs = firstTimestampMs;
  }

  /** Adds what `older` knows of the batches from that position and offset on. */
  addTail(older: SegmentIndexes, endPosition: number, endOffset: number): void {
    for (let i = 0; i < older.offsets.entryCount; i += 1) {
      const entry = older.offsets.entry(i);
      if (entry.position >= endPosition) this.offsets.append(entry.offset, entry.position);
    }
    for (let i = 0; i < older.times.entryCount; i += 1) {
      const entry = older.times.entry(i);
      if (entry.offset >= endOffset) this.times.maybeAppend(entry);
    }
    // Below the offset the batches have spoken: one that is damaged no longer has the greatest time.
    const { timestampMs, offset } = older.maxTimestamp;
    if (offset >= endOffset && timestampMs > this.maxTimestamp.timestampMs) {
      this.maxTimestamp = older.maxTimestamp;
    }
    this.#bytesSinceEntry = older.#bytesSinceEntry;
  }

  get unstoredBytes(): number {
    return this.offsets.bytes.unstoredBytes + this.times.bytes.unstoredBytes;
  }

  /**
   * Writes what the files lack. With `isFinal` they are made even if empty, cut to size, and synced:
   * a recovery point may only move past a segment whose indexes are durable.
   */
  async store(disk: Disk, paths: IndexPaths, isFinal: boolean, isSynced: boolean): Promise<void> {
    const pairs = [
      { path: paths.offsets, bytes: this.offsets.bytes },
      { path: paths.times, bytes: this.times.bytes },
    ];
    for (const { path, bytes } of pairs) {
      if (bytes.unstoredBytes === 0 && !isFinal) continue;
      const portion = bytes.takeUnstored();
      const file = await disk.open(path, { create: true });
      try {
        if (portion.bytes.length > 0) await file.writev([portion.bytes], portion.position);
        if (isFinal) await file.truncate(portion.position + portion.bytes.length);
        if (isSynced) await file.datasync();
      } finally {
        await file.close();
      }
    }
  }
}

interface IndexDependencies {
  readonly disk: Disk;
  /** The segment's. */
  readonly file: DiskFile;
  readonly clock: Clock;
}

interface IndexedSegment {
  readonly baseOffset: number;
  readonly logBytes: number;
  readonly intervalBytes: number;
}

/**
 * The stored indexes, or null when they are missing or wrong: then they are made anew. Beside the
 * files' own order it is checked that the last entries fit their batches, and that no entry lacks at
 * the end; what is wrong before is found out when it is used (S9). Throws DiskError.
 */
export async function loadIndexes(
  dependencies: IndexDependencies,
  paths: IndexPaths,
  segment: IndexedSegment,
): Promise<SegmentIndexes | null> {
  const { disk } = dependencies;
  const { baseOffset, logBytes } = segment;
  try {
    const offsets = OffsetIndex.decode(
      baseOffset,
      await readSmallFile(disk, paths.offsets),
      logBytes,
    );
    const times = TimeIndex.decode(baseOffset, await readSmallFile(disk, paths.times));
    const isRight =
      (await isTailRight(dependencies, offsets, times, segment)) &&
      (await isLastTimeRight(dependencies, offsets, times, logBytes));
    return isRight ? new SegmentIndexes(offsets, times) : null;
  } catch (error) {
    if (isNotFound(error) || error instanceof DamagedFileError) return null;
    throw error;
  }
}

/** The indexes of a segment that takes no more; where none can be loaded, made anew and stored. Throws DiskError. */
export async function loadOrScanIndexes(
  { logger, ...dependencies }: IndexDependencies & { readonly logger: Logger },
  paths: IndexPaths,
  segment: IndexedSegment,
): Promise<SegmentIndexes> {
  const stored = await loadIndexes(dependencies, paths, segment);
  if (stored !== null) return stored;
  logger.warn({ segment: dependencies.file.path }, "indexes are missing or damaged: made anew");
  const { logBytes: endPosition, ...options } = segment;
  const scanOptions = { ...options, endPosition, checksCrc: false };
  const { indexes } = await scanIndexes(dependencies, scanOptions);
  indexes.noteEnd();
  await indexes.store(dependencies.disk, paths, true, false);
  return indexes;
}

/** From the last entry on: it leads to its batch, and none is due before the end. */
async function isTailRight(
  dependencies: { readonly file: DiskFile; readonly clock: Clock },
  offsets: OffsetIndex,
  times: TimeIndex,
  segment: { readonly logBytes: number; readonly intervalBytes: number },
): Promise<boolean> {
  const entry = offsets.last();
  const startPosition = entry?.position ?? 0;
  const greatestMs = times.last()?.timestampMs ?? -1;
  const found = { isRight: true };
  const scan = await scanBatches(
    dependencies,
    { ...CHECKING, startPosition, endPosition: segment.logBytes, minOffset: offsets.baseOffset },
    (bytes, at, position) => {
      const isMisplaced =
        entry !== null && position === startPosition && batchLastOffset(bytes, at) !== entry.offset;
      const isDue = position - startPosition > segment.intervalBytes;
      const isNewer = batchMaxTimestamp(bytes, at) > greatestMs;
      found.isRight = !isMisplaced && !isDue && !isNewer;
      return found.isRight ? "go on" : "stop";
    },
  );
  return found.isRight && scan.damage === null;
}

/** The last entry of the time index holds the greatest timestamp of the very batch that it names. */
async function isLastTimeRight(
  dependencies: { readonly file: DiskFile; readonly clock: Clock },
  offsets: OffsetIndex,
  times: TimeIndex,
  logBytes: number,
): Promise<boolean> {
  const entry = times.last();
  if (entry === null) return true;
  const startPosition = offsets.floor(entry.offset)?.position ?? 0;
  const found = { isRight: false };
  await scanBatches(
    dependencies,
    { ...CHECKING, startPosition, endPosition: logBytes, minOffset: offsets.baseOffset },
    (bytes, at) => {
      if (batchLastOffset(bytes, at) < entry.offset) return "go on";
      found.isRight =
        batchBaseOffset(bytes, at) <= entry.offset &&
        batchMaxTimestamp(bytes, at) === entry.timestampMs;
      return "stop";
    },
  );
  return found.isRight;
}

export interface IndexScanOptions extends Partial<ScanOptions> {
  readonly baseOffset: number;
  readonly endPosition: number;
  readonly intervalBytes: number;
  readonly checksCrc: boolean;
  /** Damage below it is gone over, not the end (R10). Default: none is. */
  readonly durableOffset?: number;
}

/**
 * Makes the indexes from the batches; `visit` sees each as well. They end where the good batches end.
 * The first batch behind a damaged stretch has an entry, so that readers find it. Throws DiskError.
 */
export async function scanIndexes(
  dependencies: { readonly file: DiskFile; readonly clock: Clock },
  options: IndexScanOptions,
  visit: BatchVisitor = () => "go on",
): Promise<{ readonly indexes: SegmentIndexes; readonly scan: KeepingScan }> {
  const indexes = SegmentIndexes.empty(options.baseOffset);
  let endPosition = 0;
  const scan = await scanOverDamage(
    dependencies,
    {
      startPosition: 0,
      minOffset: options.baseOffset,
      durableOffset: -1,
      readsAhead: true,
      ...options,
    },
    (bytes, at, position) => {
      const isBehindDamage = position > endPosition;
      indexes.note(bytes, at, position, isBehindDamage ? -1 : options.intervalBytes);
      endPosition = position + batchSizeBytes(bytes, at);
      return visit(bytes, at, position);
    },
  );
  indexes.offsets.bytes.forgetStored();
  indexes.times.bytes.forgetStored();
  return { indexes, scan };
}
