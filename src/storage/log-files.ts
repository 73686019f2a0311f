import type { Disk } from "../base/disk.ts";
import { isNotFound } from "../base/disk.ts";
import { readSmallFile, TEMPORARY_SUFFIX } from "./atomic-file.ts";
import { DamagedFileError, decodeEpochCheckpoint, hasChecksum } from "./checkpoint.ts";
import {
  EPOCH_CHECKPOINT,
  offsetFileName,
  offsetOfFileName,
  SEGMENT_SUFFIXES,
  type SegmentSuffix,
} from "./file-names.ts";
import { LeaderEpochs } from "./leader-epochs.ts";
import { decodeProducerSnapshot } from "./producer-snapshot.ts";
import { ProducerState } from "./producer-state.ts";

/** What lies in a partition's directory, by name. */
export interface LogFiles {
  /** Ascending. */
  readonly segmentBases: readonly number[];
  /** Offsets of the producer snapshots, newest first. */
  readonly snapshotOffsets: readonly number[];
  /** Left by a crash: temporary files, and indexes without their segment. */
  readonly strayNames: readonly string[];
  /** Where the segments began whose indexes are stray. */
  readonly strayIndexBases: readonly number[];
}

const INDEX_SUFFIXES: readonly SegmentSuffix[] = [".index", ".timeindex", ".txnindex"];

/** null: there is no such directory. Throws DiskError. */
export async function listLogFiles(disk: Disk, directory: string): Promise<LogFiles | null> {
  const names = await listUnlessMissing(disk, directory);
  return names === null ? null : classify(names);
}

/** null: the directory does not exist. Throws DiskError. */
export async function listUnlessMissing(
  disk: Disk,
  directory: string,
): Promise<readonly string[] | null> {
  try {
    return await disk.list(directory);
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

function classify(names: readonly string[]): LogFiles {
  const segmentBases = offsetsOf(names, ".log").sort((a, b) => a - b);
  const bases = new Set(segmentBases);
  const isStray = (name: string): boolean => {
    if (name.endsWith(TEMPORARY_SUFFIX)) return true;
    return INDEX_SUFFIXES.some((suffix) => {
      const offset = offsetOfFileName(name, suffix);
      return offset !== null && !bases.has(offset);
    });
  };
  return {
    segmentBases,
    snapshotOffsets: offsetsOf(names, ".snapshot").sort((a, b) => b - a),
    strayNames: names.filter(isStray),
    strayIndexBases: offsetsOf(names, ".index").filter((offset) => !bases.has(offset)),
  };
}

function offsetsOf(names: readonly string[], suffix: SegmentSuffix): number[] {
  return names.flatMap((name) => offsetOfFileName(name, suffix) ?? []);
}

/** Removes a file that may be missing. Throws DiskError. */
export async function removeFile(disk: Disk, path: string): Promise<void> {
  try {
    await disk.remove(path);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Removes a segment and all that belongs to it, the log first: the rest is stray without it. */
export async function removeSegmentFiles(
  disk: Disk,
  directory: string,
  baseOffset: number,
): Promise<void> {
  for (const suffix of SEGMENT_SUFFIXES) {
    // The snapshot of that name holds the producers *before* the segment.
    if (suffix === ".snapshot") continue;
    await removeFile(disk, `${directory}/${offsetFileName(baseOffset, suffix)}`);
  }
}

export interface StoredEpochs {
  readonly epochs: LeaderEpochs;
  /** The file's checksum is right, so a batch that says otherwise is damaged. Kafka's have none. */
  readonly isCertain: boolean;
}

/** The stored leader epochs, or null when the file is missing or damaged. Throws DiskError. */
export async function loadLeaderEpochs(
  disk: Disk,
  directory: string,
): Promise<StoredEpochs | null> {
  const bytes = await readUnlessMissing(disk, `${directory}/${EPOCH_CHECKPOINT}`);
  if (bytes === null) return null;
  try {
    const epochs = new LeaderEpochs(decodeEpochCheckpoint(bytes));
    return { epochs, isCertain: hasChecksum(bytes) };
  } catch (error) {
    if (error instanceof DamagedFileError) return null;
    throw error;
  }
}

export interface StoredProducers {
  /** The batches from this offset on are not in it. */
  readonly offset: number;
  readonly state: ProducerState;
}

/** Removes the producer snapshots of the offsets; returns whether there were any. Throws DiskError. */
export async function removeSnapshots(
  disk: Disk,
  directory: string,
  offsets: readonly number[],
): Promise<boolean> {
  for (const offset of offsets) {
    await removeFile(disk, `${directory}/${offsetFileName(offset, ".snapshot")}`);
  }
  return offsets.length > 0;
}

/** The newest whole snapshot at or below the offset, or nothing at all, from the log's start. */
export async function loadProducers(
  disk: Disk,
  directory: string,
  files: LogFiles,
  options: { readonly maxOffset: number; readonly nowMs: number },
): Promise<StoredProducers> {
  for (const offset of files.snapshotOffsets) {
    if (offset > options.maxOffset) continue;
    const bytes = await readUnlessMissing(
      disk,
      `${directory}/${offsetFileName(offset, ".snapshot")}`,
    );
    if (bytes === null) continue;
    try {
      const entries = decodeProducerSnapshot(bytes);
      return { offset, state: ProducerState.restore(entries, options.nowMs) };
    } catch (error) {
      // A damaged snapshot costs a longer scan, from the one before.
      if (!(error instanceof DamagedFileError)) throw error;
    }
  }
  return { offset: 0, state: new ProducerState() };
}

/** The content of a small file, or null when it is missing. Throws DiskError. */
export async function readUnlessMissing(disk: Disk, path: string): Promise<Buffer | null> {
  try {
    return await readSmallFile(disk, path);
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}
