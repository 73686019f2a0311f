import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { DiskFile } from "../base/disk.ts";
import { BATCH_OVERHEAD, batchSizeBytes, isBatchCrcValid } from "../protocol/records/batch.ts";
import type { DamagedStretch } from "./segment-damage.ts";
import type { SegmentIndexes } from "./segment-indexes.ts";
import type { TxnIndex } from "./txn-index.ts";
import { findZeroTail } from "./zero-tail.ts";

/** Where a log ends before its files do, at or above its durable point. */
export interface Cut {
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
/** How many damaged stretches one line of the log names. */
const MAX_NAMED = 20;

export interface ScannedSegment {
  readonly baseOffset: number;
  readonly file: DiskFile;
  readonly indexes: SegmentIndexes;
  readonly txns: TxnIndex;
  /** Up to where the file is kept. */
  readonly sizeBytes: number;
  readonly fileBytes: number;
  nextOffset: number;
  /** Damage below the durable point, ascending; kept as it is (R10). */
  readonly stretches: DamagedStretch[];
  /** The producers where the segment ends. */
  readonly producers: Buffer;
}

export interface RecoveryFacts {
  readonly directory: string;
  readonly logEndOffset: number;
  readonly recoveryPoint: number;
}

/**
 * Says what is cut off and why, before it is. A torn tail is usual; data behind it is not. Zeros alone are
 * nobody's: where log.preallocate is on there are always some. Returns how many bytes are cut off but for those.
 */
export async function reportCut(
  { logger, clock }: { readonly logger: Logger; readonly clock: Clock },
  { segment, reason }: Cut,
  removedSegments: readonly number[],
  facts: RecoveryFacts,
): Promise<number> {
  const cutBytes = segment === null ? 0 : segment.fileBytes - segment.sizeBytes;
  const zeroBytes = segment === null ? 0 : await countZeros(clock, segment);
  if (removedSegments.length === 0 && zeroBytes === cutBytes) {
    logger.info({ ...facts, zeroBytes }, "recovery cut off the zeros behind the end of the log");
    return 0;
  }
  const isFollowed = segment !== null && (await isFollowedByBatch(segment));
  logger.warn(
    { ...facts, reason, cutBytes, zeroBytes, removedSegments, isFollowedByValidBatch: isFollowed },
    removedSegments.length > 0 || isFollowed
      ? "recovery cut the log, with data behind the cut that was never known to be durable"
      : "recovery cut a torn tail",
  );
  return cutBytes;
}

/** At the end of what is cut off. */
async function countZeros(
  clock: Clock,
  { file, sizeBytes, fileBytes }: ScannedSegment,
): Promise<number> {
  return fileBytes - (await findZeroTail({ file, clock }, sizeBytes, fileBytes));
}

/** Damage below the durable point is nobody's torn tail (S4, S16): it is kept, and said. */
export function reportDamage(
  logger: Logger,
  segments: readonly ScannedSegment[],
  facts: RecoveryFacts,
): void {
  const damaged = segments.flatMap(({ file, stretches }) =>
    stretches.map((stretch) => ({ file: file.path, ...stretch })),
  );
  if (damaged.length === 0) return;
  logger.error(
    { ...facts, damaged: damaged.slice(0, MAX_NAMED), damagedCount: damaged.length },
    "the log is damaged below its durable point: nothing of it was cut, reads of the offsets named " +
      "are answered with CORRUPT_MESSAGE, all others are served; restore the files while the broker " +
      "is stopped to get them back",
  );
}

/** Whether a good batch lies behind the first bad one: then it was no torn tail, or a very odd one. */
async function isFollowedByBatch({ file, sizeBytes, fileBytes }: ScannedSegment): Promise<boolean> {
  const rest = Buffer.alloc(Math.min(fileBytes - sizeBytes, MAX_LOOK_BYTES));
  const bytes = rest.subarray(0, await file.read(rest, sizeBytes));
  if (bytes.length < BATCH_OVERHEAD) return false;
  const at = batchSizeBytes(bytes);
  return at >= BATCH_OVERHEAD && at < bytes.length && isBatchCrcValid(bytes, at);
}
