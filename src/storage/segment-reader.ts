import type { BufferPool } from "../base/buffer-pool.ts";
import { KafkaError } from "../protocol/errors.ts";
import { BatchReader, type BatchRange, MisplacedError } from "./batch-reader.ts";
import type { LogReadResult } from "./log-config.ts";
import type { Segment, SegmentView } from "./segment.ts";

/** How much may lie between an index entry and the batch that is looked for, beside its interval. */
const SLACK_BYTES = 16 * 1024;

/** A read of more takes the event loop too long: every checksum is computed. */
const MAX_READ_BYTES = 4 * 1024 * 1024;

export interface SegmentReadOptions {
  readonly offset: number;
  /** Exclusive, and written: all batches below it are in the file. */
  readonly limitOffset: number;
  readonly maxBytes: number;
  readonly minOneBatch: boolean;
}

/** What a reader must know of the log around the segment. */
export interface SegmentReadContext {
  readonly pool: BufferPool;
  /** Where the next segment begins, or the log ends now. */
  readonly endOffset: () => number;
  /** Of the batch that begins at the offset; -1: not known. */
  readonly leaderEpochAt: (offset: number) => number;
}

/**
 * Whole batches of one segment from the one that holds `offset` on (or the first after it), in one
 * large read where the index is right; null: the segment ends before. Every batch has passed its checks
 * (R10). Where something is wrong, the indexes are made anew, once: that tells damaged batches from
 * misleading entries, and the segment remembers what is damaged.
 * Throws KafkaError CORRUPT_MESSAGE for what is, with the batches before and after it served; DiskError.
 */
export async function readSegment(
  segment: Segment,
  options: SegmentReadOptions,
  context: SegmentReadContext,
): Promise<LogReadResult | null> {
  refuseDamaged(segment, options.offset);
  try {
    return await locateAndRead(segment, options, context);
  } catch (error) {
    if (!(error instanceof MisplacedError)) throw error;
  }
  segment.hints.clear();
  const limits = { endOffset: context.endOffset(), epochAt: context.leaderEpochAt };
  await segment.rebuildIndexes(limits);
  refuseDamaged(segment, options.offset);
  try {
    return await locateAndRead(segment, options, context);
  } catch (error) {
    if (!(error instanceof MisplacedError)) throw error;
    const { position, message: reason } = error;
    // So that the next read of it does not look through the whole segment again.
    const { offset } = options;
    segment.damage.add({
      ...{ position, endPosition: position + 1 },
      ...{ offset, endOffset: offset + 1 },
      reason,
    });
    throw corrupt(segment, offset, position, reason, error);
  }
}

function refuseDamaged(segment: Segment, offset: number): void {
  const stretch = segment.damage.at(offset);
  if (stretch !== null) throw corrupt(segment, offset, stretch.position, stretch.reason);
}

function corrupt(
  segment: Segment,
  offset: number,
  position: number,
  reason: string,
  cause?: Error,
): KafkaError {
  const place = `${segment.path(".log")} is damaged at position ${position}`;
  return new KafkaError("CORRUPT_MESSAGE", `${place}, where offset ${offset} belongs: ${reason}`, {
    cause,
  });
}

async function locateAndRead(
  segment: Segment,
  options: SegmentReadOptions,
  context: SegmentReadContext,
): Promise<LogReadResult | null> {
  return await segment.use(async (view) => {
    const { range, entryOffset, slackBytes } = locate(segment, view, options.offset, context);
    const maxBytes = Math.min(Math.max(options.maxBytes, 0), MAX_READ_BYTES);
    const reader = new BatchReader(view.file, context.pool, range);
    try {
      await reader.fill(maxBytes + slackBytes);
      if (entryOffset !== null) reader.expect(entryOffset);
      if (!(await reader.findOffset(options.offset, maxBytes))) return null;
      const result = await takeBatches(reader, { ...options, maxBytes });
      if (result.records.length > 0) segment.hints.put(result.nextOffset, reader.position);
      return result;
    } finally {
      reader.release();
    }
  });
}

async function takeBatches(
  reader: BatchReader,
  options: SegmentReadOptions,
): Promise<LogReadResult> {
  const nothing = { records: Buffer.alloc(0), nextOffset: options.offset };
  if (reader.sizeBytes > options.maxBytes && !options.minOneBatch) return nothing;
  // A batch that is larger than what was asked for is read whole, alone.
  await reader.fill(reader.sizeBytes);
  if (reader.lastOffset >= options.limitOffset) {
    // A reader who is told of nothing comes again; a damaged offset would keep him here for ever.
    reader.checkWhole();
    return nothing;
  }
  return reader.take(options.limitOffset, options.maxBytes);
}

interface Location {
  readonly range: BatchRange;
  /** Last offset of the batch at the range's position, by the index; null: not known. */
  readonly entryOffset: number | null;
  /** Bytes that may lie between there and the batch that is looked for. */
  readonly slackBytes: number;
}

/** Where to begin to read, and where the next damaged stretch, or the file, ends it. */
function locate(
  segment: Segment,
  { indexes }: SegmentView,
  offset: number,
  context: SegmentReadContext,
): Location {
  const range = goodRange(segment, offset, context);
  const hint = segment.hints.get(offset);
  if (hint !== undefined) {
    return { range: { ...range, position: hint, offset }, entryOffset: null, slackBytes: 0 };
  }
  const slackBytes = segment.indexIntervalBytes + SLACK_BYTES;
  const entry = indexes.offsets.floor(offset);
  if (entry === null || entry.position <= range.position) {
    return { range, entryOffset: null, slackBytes };
  }
  const { position, offset: entryOffset } = entry;
  return { range: { ...range, position }, entryOffset, slackBytes };
}

/** What lies between the damaged stretches before and behind the offset. */
function goodRange(
  segment: Segment,
  offset: number,
  { endOffset, leaderEpochAt }: SegmentReadContext,
): BatchRange {
  const before = segment.damage.all.findLast((stretch) => stretch.endOffset <= offset);
  const after = segment.damage.all.find((stretch) => stretch.offset > offset);
  return {
    position: before?.endPosition ?? 0,
    offset: before?.endOffset ?? segment.baseOffset,
    endPosition: after?.position ?? segment.writtenBytes,
    endOffset: after?.offset ?? endOffset(),
    leaderEpochAt,
  };
}
