import { must } from "../base/assert.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import type { Clock } from "../base/clock.ts";
import { batchLastOffset, batchSizeBytes } from "../protocol/records/batch.ts";
import { scanBatches } from "./batch-scanner.ts";
import { EPOCH_CHECKPOINT, offsetFileName } from "./file-names.ts";
import { removeFile, removeSegmentFiles } from "./log-files.ts";
import type { OffsetPosition } from "./offset-index.ts";
import type { Segment } from "./segment.ts";

/** Where a log is cut: before the first batch that reaches the offset. */
export interface CutPlace {
  readonly segment: Segment;
  readonly position: number;
  /** The offset after the last batch that stays. */
  readonly endOffset: number;
}

/** Finds the place in the segment, by the headers from an index entry on. Throws DiskError. */
export function findCut(clock: Clock, segment: Segment, endOffset: number): Promise<CutPlace> {
  return segment.use(async ({ file, indexes }) => {
    const entry = indexes.offsets.floor(endOffset - 1);
    const found =
      entry === null ? null : await scanToCut({ file, clock }, segment, endOffset, entry);
    // An entry that does not lead to its batch is a bit flip: then the headers say it all (S9).
    return (
      found ?? must(await scanToCut({ file, clock }, segment, endOffset, null), "it begins at 0")
    );
  });
}

/** null: the index entry does not lead to its batch, which stays. */
async function scanToCut(
  dependencies: { readonly file: DiskFile; readonly clock: Clock },
  segment: Segment,
  endOffset: number,
  entry: OffsetPosition | null,
): Promise<CutPlace | null> {
  const startPosition = entry?.position ?? 0;
  const cut = { position: startPosition, endOffset: segment.baseOffset, isRight: entry === null };
  await scanBatches(
    dependencies,
    {
      startPosition,
      endPosition: segment.writtenBytes,
      minOffset: segment.baseOffset,
      checksCrc: false,
    },
    (bytes, at, position) => {
      const lastOffset = batchLastOffset(bytes, at);
      if (position === startPosition) cut.isRight ||= lastOffset === entry?.offset;
      if (!cut.isRight || lastOffset >= endOffset) return "stop";
      cut.position = position + batchSizeBytes(bytes, at);
      cut.endOffset = lastOffset + 1;
      return "go on";
    },
  );
  return cut.isRight ? { segment, position: cut.position, endOffset: cut.endOffset } : null;
}

/**
 * Removes all from the place on: whole segments first, newest first, so that a crash leaves no gap. The
 * recovery that follows makes it durable, so that no power cut brings it back behind new batches (S3, S15).
 * Nobody uses the segments. Throws DiskError.
 */
export async function cutSegments(
  disk: Disk,
  directory: string,
  segments: readonly Segment[],
  cut: CutPlace,
): Promise<void> {
  const gone = segments.filter((segment) => segment.baseOffset > cut.segment.baseOffset);
  for (const { baseOffset } of gone.toReversed()) {
    await removeSegmentFiles(disk, directory, baseOffset);
    await removeFile(disk, `${directory}/${offsetFileName(baseOffset, ".snapshot")}`);
  }
  const file = await disk.open(cut.segment.path(".log"));
  try {
    await file.truncate(cut.position);
  } finally {
    await file.close();
  }
}

/**
 * Removes all there is and leaves an empty log that begins at the offset. A power cut on the way leaves
 * some of the old log's segments, of which recovery keeps those without a gap; the one that follows makes
 * it durable. Throws DiskError.
 */
export async function startAnew(
  disk: Disk,
  directory: string,
  segments: readonly Segment[],
  offset: number,
): Promise<void> {
  for (const { baseOffset } of segments.toReversed()) {
    await removeSegmentFiles(disk, directory, baseOffset);
  }
  for (const name of await disk.list(directory)) {
    if (name.endsWith(".snapshot") || name === EPOCH_CHECKPOINT) {
      await removeFile(disk, `${directory}/${name}`);
    }
  }
  const path = `${directory}/${offsetFileName(offset, ".log")}`;
  const file = await disk.open(path, { create: true, truncate: true });
  await file.close();
}
