import type { Clock } from "../base/clock.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import { scanBatches } from "./batch-scanner.ts";
import { DamagedFileError } from "./checkpoint.ts";
import { readUnlessMissing } from "./log-files.ts";
import { decodeProducerSnapshot } from "./producer-snapshot.ts";
import { ProducerState } from "./producer-state.ts";
import { type AbortedTransaction, decodeTxnIndex, TxnIndex } from "./txn-index.ts";

/** What is asked of a segment to find its transactions. */
interface SegmentFiles {
  readonly baseOffset: number;
  path(suffix: ".txnindex" | ".snapshot"): string;
}

/**
 * The aborted transactions of a segment that an earlier process has written. Where there is a file, it
 * is derived from the batches and from the producers as they were before them, which have checksums.
 * Only where these are damaged is the file believed. Most segments have none: those are not opened. Throws
 * DiskError.
 */
export async function loadTxnIndex(
  { disk, clock }: { readonly disk: Disk; readonly clock: Clock },
  segment: SegmentFiles,
  openLog: () => Promise<DiskFile>,
): Promise<TxnIndex> {
  const stored = await readUnlessMissing(disk, segment.path(".txnindex"));
  if (stored === null) return new TxnIndex([]);
  const file = await openLog();
  const before = await readUnlessMissing(disk, segment.path(".snapshot"));
  const derived = await derive({ file, clock }, segment.baseOffset, before);
  return new TxnIndex(derived ?? storedEntries(stored));
}

/** null: the producers before the segment, or its batches, cannot be read. */
async function derive(
  { file, clock }: { readonly file: DiskFile; readonly clock: Clock },
  baseOffset: number,
  snapshot: Buffer | null,
): Promise<readonly AbortedTransaction[] | null> {
  const producers = restore(baseOffset, snapshot);
  if (producers === null) return null;
  const aborted: AbortedTransaction[] = [];
  const scan = await scanBatches(
    { file, clock },
    {
      startPosition: 0,
      endPosition: await file.size(),
      minOffset: baseOffset,
      checksCrc: true,
    },
    (bytes, at) => {
      const completed = producers.update(bytes, at, 0);
      if (completed?.isAborted === true) aborted.push(completed);
      return "go on";
    },
  );
  return scan.damage === null ? aborted : null;
}

function restore(baseOffset: number, snapshot: Buffer | null): ProducerState | null {
  if (baseOffset === 0) return new ProducerState();
  if (snapshot === null) return null;
  try {
    return ProducerState.restore(decodeProducerSnapshot(snapshot), 0);
  } catch (error) {
    if (error instanceof DamagedFileError) return null;
    throw error;
  }
}

function storedEntries(stored: Buffer): readonly AbortedTransaction[] {
  try {
    return decodeTxnIndex(stored);
  } catch (error) {
    if (error instanceof DamagedFileError) return [];
    throw error;
  }
}
