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
import { type BatchVisitor, scanBatches } from "./batch-scanner.ts";
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
    const found = await withRebuild(segment, (view) =>
      greatestBatch(dependencies, segment, view, range),
    );
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
  segment.hints.clear();
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
  const { times, offsets } = view.indexes;
  if (view.indexes.maxTimestamp.timestampMs < timestampMs) return null;
  const before = times.lastBefore(timestampMs);
  // An entry beyond the range cannot be held against its batch, which may not be written yet.
  const isInRange = before === null || before.offset < range.endOffset;
  let entry = isInRange ? before : times.lastBelowOffset(range.endOffset);
  let position = offsets.floor(entry?.offset ?? segment.baseOffset)?.position ?? 0;
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
    entry = null;
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

/**
 * The next batch from the position on that may hold such a record. If an entry of the time index led
 * here, its batch must come first, and be as the entry says.
 */
async function nextCandidate(
  dependencies: SearchDependencies,
  segment: Segment,
  view: SegmentView,
  from: {
    readonly position: number;
    readonly entry: TimestampOffset | null;
    readonly range: SearchRange;
    readonly timestampMs: number;
  },
): Promise<{ readonly batch: Buffer | null; readonly endPosition: number }> {
  // In an object, as the compiler does not see assignments that a callback makes.
  const found: { batch: Buffer | null } = { batch: null };
  const claim = new Claim(from.entry);
  const endPosition = await visitGoodBatches(
    dependencies,
    segment,
    view,
    from.position,
    (bytes, at) => {
      if (batchBaseOffset(bytes, at) >= from.range.endOffset) return "stop";
      claim.check(bytes, at);
      const isEarlier = batchMaxTimestamp(bytes, at) < from.timestampMs;
      if (isEarlier || batchLastOffset(bytes, at) < from.range.startOffset) return "go on";
      found.batch = Buffer.from(bytes.subarray(at, at + batchSizeBytes(bytes, at)));
      return "stop";
    },
  );
  claim.checkEnd();
  return { batch: found.batch, endPosition };
}

/** The greatest timestamp of the segment's batches below the end of the range. */
async function greatestBatch(
  dependencies: SearchDependencies,
  segment: Segment,
  view: SegmentView,
  range: SearchRange,
): Promise<TimestampOffset> {
  const { maxTimestamp, times, offsets } = view.indexes;
  if (maxTimestamp.offset < range.endOffset) return maxTimestamp;
  const entry = times.lastBelowOffset(range.endOffset);
  let best: TimestampOffset = entry ?? { timestampMs: -1, offset: segment.baseOffset };
  const claim = new Claim(entry);
  const position = offsets.floor(best.offset)?.position ?? 0;
  await visitGoodBatches(dependencies, segment, view, position, (bytes, at) => {
    if (batchBaseOffset(bytes, at) >= range.endOffset) return "stop";
    claim.check(bytes, at);
    const timestampMs = batchMaxTimestamp(bytes, at);
    if (timestampMs > best.timestampMs) best = { timestampMs, offset: batchLastOffset(bytes, at) };
    return "go on";
  });
  claim.checkEnd();
  return best;
}

/** What an entry of the time index says of a batch: no checksum covers the index. */
class Claim {
  #entry: TimestampOffset | null;

  constructor(entry: TimestampOffset | null) {
    this.#entry = entry;
  }

  /** Holds it against the next batch. */
  check(bytes: Buffer, at: number): void {
    if (this.#entry === null) return;
    const timestampMs = batchMaxTimestamp(bytes, at);
    const holdsOffset = batchLastOffset(bytes, at) >= this.#entry.offset;
    if (timestampMs > this.#entry.timestampMs) contradicted();
    if (!holdsOffset) return;
    const isThere = batchBaseOffset(bytes, at) <= this.#entry.offset;
    if (!isThere || timestampMs !== this.#entry.timestampMs) contradicted();
    this.#entry = null;
  }

  /** There are no more batches. */
  checkEnd(): void {
    if (this.#entry !== null) contradicted();
  }
}

function contradicted(): never {
  throw new MisleadError("the time index contradicts the batches");
}

/**
 * Goes over the batches from the position on, checksums and all, and past what is known to be damaged.
 * Returns where it stopped. Throws MisleadError for damage that is not known.
 */
async function visitGoodBatches(
  { clock }: SearchDependencies,
  segment: Segment,
  { file }: SegmentView,
  startPosition: number,
  visit: BatchVisitor,
): Promise<number> {
  const visited = { isStopped: false };
  let position = startPosition;
  while (position < segment.writtenBytes && !visited.isStopped) {
    const start = position;
    const stretch = segment.damage.all.find(({ endPosition }) => endPosition > start);
    if (stretch !== undefined && stretch.position <= start) {
      position = stretch.endPosition;
      continue;
    }
    const scan = await scanBatches(
      { file, clock },
      {
        startPosition: start,
        endPosition: Math.min(segment.writtenBytes, stretch?.position ?? Infinity),
        minOffset: segment.baseOffset,
        checksCrc: true,
      },
      (bytes, at, batchPosition) => {
        const next = visit(bytes, at, batchPosition);
        visited.isStopped = next === "stop";
        return next;
      },
    );
    if (scan.damage !== null) throw new MisleadError(scan.damage);
    position = scan.endPosition;
  }
  return position;
}
