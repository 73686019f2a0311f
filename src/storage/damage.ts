import { DiskError, type DiskFile } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import { BATCH_OVERHEAD, batchSizeBytes, isBatchCrcValid } from "../protocol/records/batch.ts";
import type { SegmentIndexes } from "./segment-indexes.ts";
import type { TxnIndex } from "./txn-index.ts";

/** Where the good part of a log ends before its files do. */
export interface Damage {
  /** The offset that should have come next. */
  readonly offset: number;
  readonly reason: string;
  /** The file in which it is, and up to where that is good; null: a whole segment is missing. */
  readonly segment: ScannedSegment | null;
  /** The first of the segments that lie wholly behind it. */
  readonly nextIndex: number;
}

/** How far behind a damaged batch another one is looked for. */
const MAX_LOOK_BYTES = 8 * 1024 * 1024;

export interface ScannedSegment {
  readonly baseOffset: number;
  readonly file: DiskFile;
  readonly indexes: SegmentIndexes;
  readonly txns: TxnIndex;
  /** Of the good batches. */
  readonly sizeBytes: number;
  readonly fileBytes: number;
  readonly nextOffset: number;
}

export interface RecoveryFacts {
  readonly directory: string;
  readonly logEndOffset: number;
  readonly recoveryPoint: number;
}

/** Says what is cut off and why, before it is. A torn tail is usual; data behind it is not. */
export async function reportCut(
  logger: Logger,
  damage: Damage,
  removedSegments: readonly number[],
  facts: RecoveryFacts,
): Promise<void> {
  const { segment, reason } = damage;
  const cutBytes = segment === null ? 0 : segment.fileBytes - segment.sizeBytes;
  const isFollowed = segment !== null && (await isFollowedByBatch(segment));
  logger.warn(
    { ...facts, reason, cutBytes, removedSegments, isFollowedByValidBatch: isFollowed },
    removedSegments.length > 0 || isFollowed
      ? "recovery cut the log, with data behind the cut that was never known to be durable"
      : "recovery cut a torn tail",
  );
}

/** Damage below the durable point is nobody's torn tail (S4, S16): says what to do, changes nothing. */
export function reportDamage(
  logger: Logger,
  damage: Damage | null,
  facts: RecoveryFacts,
): DiskError {
  const place =
    damage === null || damage.segment === null
      ? {}
      : { segment: damage.segment.file.path, position: damage.segment.sizeBytes };
  const reason = damage?.reason ?? "the log is shorter than what was flushed";
  logger.error(
    { ...facts, ...place, reason },
    "the log is damaged below its durable point and stays offline, nothing was changed; restore the " +
      "files, or remove the partition's line from recovery-point-offset-checkpoint to accept the " +
      "loss of all from the damage on",
  );
  return new DiskError("EUCLEAN", facts.directory, "recover");
}

/** Whether a good batch lies behind the first bad one: then it was no torn tail, or a very odd one. */
async function isFollowedByBatch({ file, sizeBytes, fileBytes }: ScannedSegment): Promise<boolean> {
  const rest = Buffer.alloc(Math.min(fileBytes - sizeBytes, MAX_LOOK_BYTES));
  const bytes = rest.subarray(0, await file.read(rest, sizeBytes));
  if (bytes.length < BATCH_OVERHEAD) return false;
  const at = batchSizeBytes(bytes);
  return at >= BATCH_OVERHEAD && at < bytes.length && isBatchCrcValid(bytes, at);
}
