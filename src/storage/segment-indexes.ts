import type { Clock } from "../base/clock.ts";
import { type Disk, type DiskFile, isNotFound } from "../base/disk.ts";
import { batchLastOffset, batchMaxTimestamp, batchSizeBytes } from "../protocol/records/batch.ts";
import { readSmallFile } from "./atomic-file.ts";
import { type BatchVisitor, scanBatches, type ScanResult } from "./batch-scanner.ts";
import { DamagedFileError } from "./checkpoint.ts";
import { OffsetIndex } from "./offset-index.ts";
import { TimeIndex, type TimestampOffset } from "./time-index.ts";

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
    if (older.maxTimestamp.timestampMs > this.maxTimestamp.timestampMs) {
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

/**
 * The stored indexes, or null when they are missing or cannot be right: then they are made anew.
 * Whether they belong to these very batches is seen when they are used (`segment-reader.ts`).
 */
export async function loadIndexes(
  disk: Disk,
  paths: IndexPaths,
  baseOffset: number,
  logBytes: number,
): Promise<SegmentIndexes | null> {
  try {
    const offsets = OffsetIndex.decode(
      baseOffset,
      await readSmallFile(disk, paths.offsets),
      logBytes,
    );
    const times = TimeIndex.decode(baseOffset, await readSmallFile(disk, paths.times));
    return new SegmentIndexes(offsets, times);
  } catch (error) {
    if (isNotFound(error) || error instanceof DamagedFileError) return null;
    throw error;
  }
}

export interface IndexScanOptions {
  readonly baseOffset: number;
  readonly endPosition: number;
  readonly intervalBytes: number;
  readonly checksCrc: boolean;
  /** Default: any. */
  readonly minLeaderEpoch?: number;
}

/** Makes the indexes from the batches; `visit` sees each as well. They end where the good batches end. */
export async function scanIndexes(
  dependencies: { readonly file: DiskFile; readonly clock: Clock },
  options: IndexScanOptions,
  visit: BatchVisitor = () => "go on",
): Promise<{ readonly indexes: SegmentIndexes; readonly scan: ScanResult }> {
  const indexes = SegmentIndexes.empty(options.baseOffset);
  const scan = await scanBatches(
    dependencies,
    {
      startPosition: 0,
      endPosition: options.endPosition,
      minOffset: options.baseOffset,
      minLeaderEpoch: options.minLeaderEpoch ?? -1,
      checksCrc: options.checksCrc,
    },
    (bytes, at, position) => {
      indexes.note(bytes, at, position, options.intervalBytes);
      return visit(bytes, at, position);
    },
  );
  indexes.offsets.bytes.forgetStored();
  indexes.times.bytes.forgetStored();
  return { indexes, scan };
}
