import { must } from "../base/assert.ts";

const MAX_RELATIVE_OFFSET = 0x7fffffff;
/**
 * Segments that a round begins with, and that become one. What a round has done counts when a group is in
 * place: where the process dies often, one that goes over thousands of small segments would never get so far.
 */
const MAX_DIRTY_SEGMENTS = 128;
const MAX_GROUP_SEGMENTS = 64;

/** What must be known of a segment to say what is cleaned. */
export interface CleanableSegment {
  readonly baseOffset: number;
  /** Where the next one begins. */
  readonly endOffset: number;
  readonly sizeBytes: number;
  /** -1: none of its records has one. */
  readonly maxTimestampMs: number;
  readonly isActive: boolean;
}

export interface CleaningLimits {
  /** Nothing at or above it is cleaned: high watermark, last stable offset, recovery point. */
  readonly endOffset: number;
  /** What was cleaned before ends here. */
  readonly cleanedOffset: number;
  readonly logStartOffset: number;
  readonly minCompactionLagMs: number;
  readonly nowMs: number;
}

/** What a round of cleaning would do to a log. */
export interface CleaningPlan {
  readonly firstDirtyOffset: number;
  /** Where the round ends at the latest: the base offset of a segment. */
  readonly firstUncleanableOffset: number;
  readonly dirtyBytes: number;
  /** Of what may be cleaned, how much is dirty. */
  readonly dirtyRatio: number;
  /** All that a round goes through, clean and dirty. */
  readonly segments: readonly CleanableSegment[];
}

/** Kafka's LogCleanerManager.cleanableOffsets: whole segments only, below all limits. */
export function planCleaning(
  segments: readonly CleanableSegment[],
  limits: CleaningLimits,
): CleaningPlan {
  const lastBase = must(segments.at(-1), "a log has a segment").baseOffset;
  // A checkpoint beyond the log, or below its start, speaks of what is not there any more.
  const isUsable =
    limits.cleanedOffset >= limits.logStartOffset && limits.cleanedOffset <= lastBase;
  const firstBase = must(segments[0], "a log has a segment").baseOffset;
  const firstDirtyOffset = isUsable
    ? limits.cleanedOffset
    : Math.max(firstBase, Math.min(limits.logStartOffset, lastBase));
  const firstUncleanable = segments.find(
    (segment) =>
      segment.isActive ||
      segment.endOffset > limits.endOffset ||
      // Records that somebody may still want to see before a newer one takes their place.
      (segment.endOffset > firstDirtyOffset &&
        limits.minCompactionLagMs > 0 &&
        segment.maxTimestampMs > limits.nowMs - limits.minCompactionLagMs),
  );
  const firstUncleanableOffset = Math.max(
    firstUncleanable?.baseOffset ?? firstDirtyOffset,
    firstDirtyOffset,
  );
  const cleanable = segments.filter((segment) => segment.endOffset <= firstUncleanableOffset);
  const sizeOf = (some: readonly CleanableSegment[]): number =>
    some.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  const dirty = cleanable.filter((segment) => segment.endOffset > firstDirtyOffset);
  const dirtyBytes = sizeOf(dirty);
  const totalBytes = sizeOf(cleanable);
  const endOffset = dirty[MAX_DIRTY_SEGMENTS]?.baseOffset ?? firstUncleanableOffset;
  return {
    firstDirtyOffset,
    firstUncleanableOffset: endOffset,
    dirtyBytes,
    dirtyRatio: totalBytes === 0 ? 0 : dirtyBytes / totalBytes,
    segments: cleanable.filter((segment) => segment.endOffset <= endOffset),
  };
}

/** A segment with the sizes of its indexes. */
export interface GroupableSegment {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly sizeBytes: number;
  readonly indexBytes: number;
  readonly timeIndexBytes: number;
}

/**
 * Neighbours that go into one cleaned segment: together they are within the limits of a segment even
 * if nothing is dropped, so that segments do not get ever smaller (Cleaner.groupSegmentsBySize).
 */
export function groupSegments<T extends GroupableSegment>(
  segments: readonly T[],
  limits: { readonly segmentBytes: number; readonly segmentIndexBytes: number },
): T[][] {
  const groups: T[][] = [];
  let sizes = NO_SIZES;
  for (const segment of segments) {
    const group = groups.at(-1) ?? [];
    const sum = plus(sizes, segment);
    const fits =
      group.length > 0 &&
      group.length < MAX_GROUP_SEGMENTS &&
      sum.log <= limits.segmentBytes &&
      sum.index <= limits.segmentIndexBytes &&
      sum.timeIndex <= limits.segmentIndexBytes &&
      segment.endOffset - 1 - (group[0]?.baseOffset ?? 0) <= MAX_RELATIVE_OFFSET;
    if (fits) group.push(segment);
    else groups.push([segment]);
    sizes = fits ? sum : plus(NO_SIZES, segment);
  }
  return groups;
}

const NO_SIZES = { log: 0, index: 0, timeIndex: 0 };

function plus(sizes: typeof NO_SIZES, segment: GroupableSegment): typeof NO_SIZES {
  return {
    log: sizes.log + segment.sizeBytes,
    index: sizes.index + segment.indexBytes,
    timeIndex: sizes.timeIndex + segment.timeIndexBytes,
  };
}
