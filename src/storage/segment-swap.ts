import { must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { type Disk, isNotFound } from "../base/disk.ts";
import { scanBatches } from "./batch-scanner.ts";
import {
  offsetFileName,
  offsetOfFileName,
  SEGMENT_SUFFIXES,
  type SegmentSuffix,
} from "./file-names.ts";
import { removeFile } from "./log-files.ts";

/** A file that a cleaner is still writing, or had written when it was killed. */
const CLEANED_SUFFIX = ".cleaned";
/** A file that takes the place of others: from its log's renaming on the swap is decided. */
const SWAP_SUFFIX = ".swap";
/** A file that nobody may open any more; whoever has it open reads on. */
export const DELETED_SUFFIX = ".deleted";

const INDEX_SUFFIXES: readonly SegmentSuffix[] = [".index", ".timeindex", ".txnindex"];

/** The names under which a cleaner writes a segment. All four files must be written, and synced. */
export function cleanedPath(directory: string, baseOffset: number, suffix: SegmentSuffix): string {
  return `${directory}/${offsetFileName(baseOffset, suffix)}${CLEANED_SUFFIX}`;
}

/**
 * Puts a cleaned segment in the place of segments that follow each other, the first of which has its
 * base offset, so that a crash at any moment leaves the one or the others (S15). A sync of the directory
 * stands between any two steps whose order matters, as names may become durable in any order:
 * indexes renamed | log renamed: decided | others out of the way, indexes in place | log in place.
 * Nobody may open the files by their names meanwhile. Returns the files that wait for their removal.
 * Throws DiskError.
 */
export async function swapSegments(
  disk: Disk,
  directory: string,
  oldBaseOffsets: readonly number[],
): Promise<readonly string[]> {
  const baseOffset = must(oldBaseOffsets[0], "a segment is replaced");
  for (const suffix of INDEX_SUFFIXES) await renameToSwap(disk, directory, baseOffset, suffix);
  // A segment without a .txnindex is believed to have no aborted transactions (X6).
  await disk.syncDir(directory);
  await renameToSwap(disk, directory, baseOffset, ".log");
  await keepDecision(disk, directory);
  const others = oldBaseOffsets.slice(1);
  const deletedPaths: string[] = [];
  for (const other of others.toReversed()) {
    const renames = ([".log", ...INDEX_SUFFIXES] as const).map(async (suffix) => {
      const path = `${directory}/${offsetFileName(other, suffix)}`;
      const deletedPath = `${path}${DELETED_SUFFIX}`;
      if (await renameIfThere(disk, path, deletedPath)) deletedPaths.push(deletedPath);
    });
    // Snapshots stand at the borders of segments, and this is no border any more.
    const snapshot = removeFile(disk, `${directory}/${offsetFileName(other, ".snapshot")}`);
    const done = [...renames, snapshot];
    // A refusal is told when nothing runs any more.
    await Promise.allSettled(done);
    await Promise.all(done);
  }
  await putInPlace(disk, directory, baseOffset);
  return deletedPaths;
}

/** Removes what a cleaner has left that stopped half-way. Throws DiskError. */
export async function removeCleaned(
  disk: Disk,
  directory: string,
  baseOffset: number,
): Promise<void> {
  for (const suffix of [".log", ...INDEX_SUFFIXES] as const) {
    await removeFile(disk, cleanedPath(directory, baseOffset, suffix));
  }
}

/**
 * First step of a recovery: completes the swap that a crash has interrupted, if it was decided, and
 * removes all that is left of it otherwise, and of segments that retention has removed. May be interrupted itself (S6). Afterwards no file
 * ends in .cleaned, .swap or .deleted. Throws DiskError.
 */
export async function completeSwaps(
  { disk, clock }: { readonly disk: Disk; readonly clock: Clock },
  directory: string,
): Promise<void> {
  const names = await disk.list(directory);
  const remove = async (isGone: (name: string) => boolean): Promise<void> => {
    for (const name of names.filter(isGone)) await removeFile(disk, `${directory}/${name}`);
  };
  const decided = names.flatMap((name) => offsetOfLog(name, SWAP_SUFFIX) ?? []);
  // Nor may a segment come back whose removal is gone on with here: it would lack what went first.
  const isRemoving = names.some((name) => offsetOfLog(name, DELETED_SUFFIX) !== null);
  if (decided.length > 0 || isRemoving) await keepDecision(disk, directory);
  await remove((name) => name.endsWith(CLEANED_SUFFIX) || name.endsWith(DELETED_SUFFIX));
  for (const baseOffset of decided) {
    const endOffset = await findEnd({ disk, clock }, directory, baseOffset);
    await remove((name) => {
      const other = offsetOfName(name);
      // Those of the cleaned segment itself are replaced, not removed: some may be in place already.
      return other !== null && other > baseOffset && other < endOffset;
    });
    await putInPlace(disk, directory, baseOffset);
  }
  // An undecided swap's indexes, or those of a decided one, which are in place now.
  await remove((name) => name.endsWith(SWAP_SUFFIX));
}

/** Makes the decision durable, also that of a process that was killed right after it: the rest builds on it. */
async function keepDecision(disk: Disk, directory: string): Promise<void> {
  await disk.syncDir(directory);
}

/** Indexes first: while the log has its old name they are known to belong to a swap. */
async function putInPlace(disk: Disk, directory: string, baseOffset: number): Promise<void> {
  for (const suffix of INDEX_SUFFIXES) {
    const path = `${directory}/${offsetFileName(baseOffset, suffix)}`;
    await renameIfThere(disk, `${path}${SWAP_SUFFIX}`, path);
  }
  await disk.syncDir(directory);
  const path = `${directory}/${offsetFileName(baseOffset, ".log")}`;
  // Not synced: a power cut that takes it back leaves a swap to complete again, and who removes or cuts
  // the log's files afterwards syncs the directory before anything builds upon that.
  await disk.rename(`${path}${SWAP_SUFFIX}`, path);
}

async function renameToSwap(
  disk: Disk,
  directory: string,
  baseOffset: number,
  suffix: SegmentSuffix,
): Promise<void> {
  const path = `${directory}/${offsetFileName(baseOffset, suffix)}`;
  await disk.rename(`${path}${CLEANED_SUFFIX}`, `${path}${SWAP_SUFFIX}`);
}

/** Returns whether there was one. */
async function renameIfThere(disk: Disk, from: string, to: string): Promise<boolean> {
  try {
    await disk.rename(from, to);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** The offset after the last batch of a segment that waits to be put in place. */
async function findEnd(
  { disk, clock }: { readonly disk: Disk; readonly clock: Clock },
  directory: string,
  baseOffset: number,
): Promise<number> {
  const path = `${directory}/${offsetFileName(baseOffset, ".log")}${SWAP_SUFFIX}`;
  const file = await disk.open(path);
  try {
    const scan = await scanBatches(
      { file, clock },
      {
        startPosition: 0,
        endPosition: await file.size(),
        minOffset: baseOffset,
        checksCrc: false,
      },
      () => "go on",
    );
    return scan.nextOffset;
  } finally {
    await file.close();
  }
}

/** Of a segment's `.log` that has the suffix behind its name. */
function offsetOfLog(name: string, suffix: string): number | null {
  if (!name.endsWith(suffix)) return null;
  return offsetOfFileName(name.slice(0, -suffix.length), ".log");
}

function offsetOfName(name: string): number | null {
  for (const suffix of SEGMENT_SUFFIXES) {
    const offset = offsetOfFileName(name, suffix);
    if (offset !== null) return offset;
  }
  return null;
}
