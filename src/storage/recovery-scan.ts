import { must } from "../base/assert.ts";
import { batchBaseOffset, batchLeaderEpoch, batchSizeBytes } from "../protocol/records/batch.ts";
import type { Cut, ScannedSegment } from "./damage.ts";
import { offsetFileName, parentDirectory } from "./file-names.ts";
import type { LeaderEpochs } from "./leader-epochs.ts";
import type { LogOptions } from "./log-config.ts";
import type { StoredProducers } from "./log-files.ts";
import { encodeProducerSnapshot } from "./producer-snapshot.ts";
import type { SegmentDependencies } from "./segment.ts";
import { scanIndexes } from "./segment-indexes.ts";
import { TxnIndex } from "./txn-index.ts";

export interface ScanStart {
  readonly segmentBases: readonly number[];
  readonly firstIndex: number;
  /** Completed by the scan, as are the producers. */
  readonly epochs: LeaderEpochs;
  /** A batch below the durable point that says otherwise than the epochs is damaged. */
  readonly areEpochsCertain: boolean;
  readonly producers: StoredProducers;
}

export interface LogScan {
  readonly segments: readonly ScannedSegment[];
  /** null: the files end where the log ends. */
  readonly cut: Cut | null;
}

/**
 * Checks all batches from a segment on. Below the durable point nothing ends the log: what is damaged
 * there, or missing, is noted and gone over (R10, S16). Above it the first batch that is not whole does,
 * even if good ones follow: a power cut leaves such holes (S3). The files stay open. Throws DiskError.
 */
export async function scanSegments(
  dependencies: SegmentDependencies,
  options: LogOptions,
  start: ScanStart,
): Promise<LogScan> {
  const { segmentBases } = start;
  const durableOffset = options.recoveryPoint ?? 0;
  const segments: ScannedSegment[] = [];
  for (let index = start.firstIndex; index < segmentBases.length; index += 1) {
    const baseOffset = must(segmentBases[index], "the index is in range");
    const before = segments.at(-1);
    if (before !== undefined && before.nextOffset !== baseOffset) {
      const cut = goOverGap(before, baseOffset, index, options);
      if (cut !== null) return { segments, cut };
    }
    const { segment, damage } = await scanSegment(dependencies, options, start, index);
    segments.push(segment);
    if (damage !== null) {
      const cut = { offset: segment.nextOffset, reason: damage, segment, nextIndex: index + 1 };
      return { segments, cut };
    }
  }
  const last = must(segments.at(-1), "one segment at least was scanned");
  if (last.nextOffset < durableOffset) addMissing(last, durableOffset, "the end of the log");
  return { segments, cut: null };
}

/** A segment does not begin where the one before ends: because of compaction, or something is missing. */
function goOverGap(
  before: ScannedSegment,
  baseOffset: number,
  index: number,
  { config, recoveryPoint = 0, cleanedOffset = 0 }: LogOptions,
): Cut | null {
  const isCompacted =
    baseOffset <= cleanedOffset || (config.cleanupPolicy.compacts && baseOffset <= recoveryPoint);
  if (isCompacted) return null;
  const missingEnd = Math.min(baseOffset, recoveryPoint);
  if (before.nextOffset < missingEnd) addMissing(before, missingEnd, "a segment");
  if (baseOffset <= recoveryPoint) return null;
  const reason = "the next segment begins at another offset";
  return { offset: before.nextOffset, reason, segment: null, nextIndex: index };
}

/** No bytes are left of these offsets, but they must not be passed over in silence, or used again. */
function addMissing(segment: ScannedSegment, endOffset: number, what: string): void {
  const { sizeBytes: position, nextOffset: offset } = segment;
  const reason = `${what} is missing`;
  segment.stretches.push({ position, endPosition: position, offset, endOffset, reason });
  segment.nextOffset = endOffset;
}

async function scanSegment(
  { disk, clock, report }: SegmentDependencies,
  options: LogOptions,
  start: ScanStart,
  index: number,
): Promise<{ readonly segment: ScannedSegment; readonly damage: string | null }> {
  const { directory, config, recoveryPoint: durableOffset = 0 } = options;
  const { epochs, areEpochsCertain, producers } = start;
  const logDirectory = parentDirectory(directory);
  const baseOffset = must(start.segmentBases[index], "the index is in range");
  const nextBase = start.segmentBases[index + 1];
  const file = await disk.open(`${directory}/${offsetFileName(baseOffset, ".log")}`);
  const fileBytes = await file.size();
  const nowMs = clock.nowMs();
  const txns = new TxnIndex([]);
  const { indexes, scan } = await scanIndexes(
    { file, clock },
    {
      baseOffset,
      endPosition: fileBytes,
      intervalBytes: config.indexIntervalBytes,
      minLeaderEpoch: areEpochsCertain && baseOffset < durableOffset ? -1 : epochs.latestEpoch,
      epochAt: (offset) =>
        areEpochsCertain && offset < durableOffset ? epochs.epochAt(offset) : -1,
      // The active segment is never compacted; the others may be, before that is known here.
      gaplessFrom:
        config.cleanupPolicy.compacts && nextBase !== undefined ? Infinity : durableOffset,
      borderOffset: durableOffset,
      durableOffset,
      checksCrc: true,
      ...(nextBase === undefined ? {} : { endOffset: nextBase }),
    },
    (bytes, at) => {
      report?.scanned(logDirectory, batchSizeBytes(bytes, at));
      const offset = batchBaseOffset(bytes, at);
      const leaderEpoch = batchLeaderEpoch(bytes, at);
      if (leaderEpoch > epochs.latestEpoch) epochs.assign(leaderEpoch, offset);
      if (offset < producers.offset) return "go on";
      const completed = producers.state.update(bytes, at, nowMs);
      if (completed?.isAborted === true) txns.add(completed);
      return "go on";
    },
  );
  const { endPosition: sizeBytes, nextOffset, damage } = scan;
  const stretches = [...scan.stretches];
  const snapshot = encodeProducerSnapshot(producers.state.snapshot());
  return {
    segment: {
      producers: snapshot,
      baseOffset,
      file,
      indexes,
      txns,
      sizeBytes,
      fileBytes,
      nextOffset,
      stretches,
    },
    damage,
  };
}
