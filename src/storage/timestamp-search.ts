import { must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Offload } from "../base/offload.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
  batchSizeBytes,
} from "../protocol/records/batch.ts";
import { type LogRecord, readBatchRecords } from "../protocol/records/record.ts";
import { scanBatches } from "./batch-scanner.ts";
import type { TimestampedOffset } from "./log-config.ts";
import type { Segment, SegmentView } from "./segment.ts";
import type { TimestampOffset } from "./time-index.ts";

/** A batch is inflated to at most this much to look for a timestamp in it. */
const MAX_INFLATED_BYTES = 64 * 1024 * 1024;

export interface SearchDependencies {
  readonly clock: Clock;
  readonly offload: Offload;
}

export interface SearchRange {
  /** Inclusive. */
  readonly startOffset: number;
  /** Exclusive, and written. */
  readonly endOffset: number;
}

/** The time index contradicts the batches, or leads to where none begins. */
class MisleadError extends Error {
  override readonly name = "MisleadError";
}

/**
 * The first record in the range whose timestamp is at least the given one, or null. The time index
 * says where to begin; batches before cannot have it. Throws KafkaError CORRUPT_MESSAGE, DiskError.
 */
export async function findFirstAtOrAfter(
  dependencies: SearchDependencies,
  segments: readonly Segment[],
  timestampMs: number,
  range: SearchRange,
): Promise<TimestampedOffset | null> {
  for (const segment of segmentsIn(segments, range)) {
    const found = await withRebuild(segment, (view) =>
      searchSegment(dependencies, segment, view, timestampMs, range),
    );
    if (found !== null) return found;
  }
  return null;
}

/** The first record in the range with the greatest timestamp, or null. Throws as the other does. */
export async function findGreatest(
  dependencies: SearchDependencies,
  segments: readonly Segment[],
  range: SearchRange,
): Promise<TimestampedOffset | null> {
  let best: TimestampOffset | null = null;
  let bestSegment: Segment | null = null;
  for (const segment of segmentsIn(segments, range)) {
    const found = await segment.use((view) => greatestBatch(dependencies, segment, view, range));
    if (found.timestampMs < 0 || found.timestampMs <= (best?.timestampMs ?? -1)) continue;
    best = found;
    bestSegment = segment;
  }
  if (best === null || bestSegment === null) return null;
  const target = best;
  return await withRebuild(bestSegment, (view) =>
    searchSegment(dependencies, must(bestSegment, "it was set"), view, target.timestampMs, range),
  );
}

function segmentsIn(segments: readonly Segment[], range: SearchRange): Segment[] {
  return segments.filter((segment, index) => {
    const nextBase = segments[index + 1]?.baseOffset ?? Infinity;
    return segment.baseOffset < range.endOffset && nextBase > range.startOffset;
  });
}

async function withRebuild<T>(
  segment: Segment,
  search: (view: SegmentView) => Promise<T>,
): Promise<T> {
  try {
    return await segment.use(search);
  } catch (error) {
    if (!(error instanceof MisleadError)) throw error;
  }
  await segment.rebuildIndexes();
  try {
    return await segment.use(search);
  } catch (error) {
    if (!(error instanceof MisleadError)) throw error;
    throw new KafkaError("CORRUPT_MESSAGE", `${segment.path(".log")}: ${error.message}`, {
      cause: error,
    });
  }
}

async function searchSegment(
  dependencies: SearchDependencies,
  segment: Segment,
  view: SegmentView,
  timestampMs: number,
  range: SearchRange,
): Promise<TimestampedOffset | null> {
  if (view.indexes.maxTimestamp.timestampMs < timestampMs) return null;
  const entry = view.indexes.times.lastBefore(timestampMs);
  let position = view.indexes.offsets.floor(entry?.offset ?? segment.baseOffset)?.position ?? 0;
  while (position < segment.writtenBytes) {
    const candidate = await nextCandidate(dependencies, segment, view, {
      position,
      entry,
      range,
      timestampMs,
    });
    if (candidate.batch === null) return null;
    const records = await readBatchRecords(
      candidate.batch,
      0,
      dependencies.offload,
      MAX_INFLATED_BYTES,
    );
    const found = records.find((record) => isHit(record, timestampMs, range));
    if (found !== undefined) {
      const leaderEpoch = batchLeaderEpoch(candidate.batch);
      return { offset: found.offset, timestampMs: found.timestamp, leaderEpoch };
    }
    position = candidate.endPosition;
  }
  return null;
}

function isHit(record: LogRecord, timestampMs: number, range: SearchRange): boolean {
  return (
    record.timestamp >= timestampMs &&
    record.offset >= range.startOffset &&
    record.offset < range.endOffset
  );
}

/** The next batch from the position on that may hold such a record. */
async function nextCandidate(
  { clock }: SearchDependencies,
  segment: Segment,
  { file }: SegmentView,
  from: {
    readonly position: number;
    readonly entry: TimestampOffset | null;
    readonly range: SearchRange;
    readonly timestampMs: number;
  },
): Promise<{ readonly batch: Buffer | null; readonly endPosition: number }> {
  // In an object, as the compiler does not see assignments that a callback makes.
  const found: { batch: Buffer | null; isContradicted: boolean } = {
    batch: null,
    isContradicted: false,
  };
  const scan = await scanBatches(
    { file, clock },
    {
      startPosition: from.position,
      endPosition: segment.writtenBytes,
      minOffset: segment.baseOffset,
      minLeaderEpoch: -1,
      checksCrc: false,
    },
    (bytes, at) => {
      const maxTimestampMs = batchMaxTimestamp(bytes, at);
      const baseOffset = batchBaseOffset(bytes, at);
      const lastOffset = batchLastOffset(bytes, at);
      if (baseOffset >= from.range.endOffset) return "stop";
      if (
        from.entry !== null &&
        baseOffset <= from.entry.offset &&
        from.entry.offset <= lastOffset
      ) {
        found.isContradicted = maxTimestampMs !== from.entry.timestampMs;
        if (found.isContradicted) return "stop";
      }
      if (maxTimestampMs < from.timestampMs || lastOffset < from.range.startOffset) return "go on";
      found.batch = Buffer.from(bytes.subarray(at, at + batchSizeBytes(bytes, at)));
      return "stop";
    },
  );
  if (found.isContradicted) throw new MisleadError("the time index contradicts the batches");
  if (scan.damage !== null) throw new MisleadError(scan.damage);
  return { batch: found.batch, endPosition: scan.endPosition };
}

/** The greatest timestamp of the segment's batches below the end of the range. */
async function greatestBatch(
  { clock }: SearchDependencies,
  segment: Segment,
  { file, indexes }: SegmentView,
  range: SearchRange,
): Promise<TimestampOffset> {
  if (indexes.maxTimestamp.offset < range.endOffset) return indexes.maxTimestamp;
  const entry = indexes.times.lastBelowOffset(range.endOffset);
  let best: TimestampOffset = entry ?? { timestampMs: -1, offset: segment.baseOffset };
  await scanBatches(
    { file, clock },
    {
      startPosition: indexes.offsets.floor(best.offset)?.position ?? 0,
      endPosition: segment.writtenBytes,
      minOffset: segment.baseOffset,
      minLeaderEpoch: -1,
      checksCrc: false,
    },
    (bytes, at) => {
      if (batchBaseOffset(bytes, at) >= range.endOffset) return "stop";
      const timestampMs = batchMaxTimestamp(bytes, at);
      if (timestampMs > best.timestampMs)
        best = { timestampMs, offset: batchLastOffset(bytes, at) };
      return "go on";
    },
  );
  return best;
}
