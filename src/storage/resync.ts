import type { Clock } from "../base/clock.ts";
import type { DiskFile } from "../base/disk.ts";
import {
  BATCH_OVERHEAD,
  batchBaseOffset,
  batchLastOffset,
  batchLastOffsetDelta,
  batchLeaderEpoch,
  batchMagic,
  batchSizeBytes,
  isBatchCrcValid,
  MAGIC_V2,
} from "../protocol/records/batch.ts";
import { type BatchVisitor, scanBatches, type ScanOptions, Slices } from "./batch-scanner.ts";
import { BatchSource, CHUNK_BYTES } from "./batch-source.ts";
import type { DamagedStretch } from "./segment-damage.ts";
import { findZeroTail } from "./zero-tail.ts";

export interface ResyncOptions {
  /** Of the first byte that is not part of a good batch. */
  readonly position: number;
  readonly endPosition: number;
  /** The batch that is looked for begins at this offset or later. */
  readonly minOffset: number;
  /** … and ends below this one. */
  readonly endOffset?: number;
  readonly epochAt?: (baseOffset: number) => number;
}

/** Where the magic byte lies in a batch. */
const MAGIC_AT = 16;

/**
 * The first good batch behind damage: where the damaged one says that it ends, or else found by looking
 * at every byte. It is whole, its checksum is right, its offsets lie in the range, and where it ends
 * another batch begins, or the file ends: so a batch inside a record's value is not taken for one. null:
 * there is none. Throws DiskError.
 */
export async function findNextBatch(
  { file, clock }: { readonly file: DiskFile; readonly clock: Clock },
  options: ResyncOptions,
): Promise<{ readonly position: number; readonly baseOffset: number } | null> {
  const { endPosition } = options;
  const source = new BatchSource(file, { endPosition, chunkBytes: CHUNK_BYTES, readsAhead: false });
  const slices = new Slices(clock);
  const stated = await statedEnd(source, options);
  if (stated !== null) {
    // The zeros at the file's end are an end too, but only here: those in a record's value look the same.
    const zerosFrom = await findZeroTail({ file, clock }, stated, endPosition);
    if (await isGoodBatch(source, stated, options, zerosFrom)) return found(source, stated);
  }
  let position = options.position + 1;
  while (position + BATCH_OVERHEAD <= endPosition) {
    if (!(await source.moveTo(position, BATCH_OVERHEAD))) return null;
    const at = source.bytes.indexOf(MAGIC_V2, position - source.start + MAGIC_AT);
    if (at < 0) {
      position = source.start + source.bytes.length - MAGIC_AT;
      continue;
    }
    position = source.start + at - MAGIC_AT;
    if (await isGoodBatch(source, position, options)) return found(source, position);
    position += 1;
    if (slices.isOver()) await slices.next();
  }
  return null;
}

function found(source: BatchSource, position: number) {
  return { position, baseOffset: batchBaseOffset(source.bytes, position - source.start) };
}

/** Where the damaged batch ends, if its length is to be believed. */
async function statedEnd(
  source: BatchSource,
  { position, endPosition }: ResyncOptions,
): Promise<number | null> {
  if (!(await source.moveTo(position, BATCH_OVERHEAD))) return null;
  const sizeBytes = batchSizeBytes(source.bytes, position - source.start);
  const end = position + sizeBytes;
  return sizeBytes >= BATCH_OVERHEAD && end < endPosition ? end : null;
}

/** The window holds the batch at `position` afterwards, when it is one. */
async function isGoodBatch(
  source: BatchSource,
  position: number,
  options: ResyncOptions,
  logEndPosition = options.endPosition,
): Promise<boolean> {
  const { endPosition } = options;
  if (position + BATCH_OVERHEAD > endPosition) return false;
  if (!(await source.moveTo(position, BATCH_OVERHEAD))) return false;
  const at = position - source.start;
  if (!isPossible(source.bytes, at, options)) return false;
  const sizeBytes = batchSizeBytes(source.bytes, at);
  const end = position + sizeBytes;
  if (end > endPosition) return false;
  const restBytes = Math.min(BATCH_OVERHEAD, endPosition - end);
  if (!(await source.moveTo(position, sizeBytes + restBytes))) return false;
  const { bytes, start } = source;
  if (!isBatchCrcValid(bytes, position - start)) return false;
  if (end >= logEndPosition) return true;
  if (restBytes < BATCH_OVERHEAD) return false;
  const minOffset = batchLastOffset(bytes, position - start) + 1;
  return isPossible(bytes, end - start, { ...options, minOffset });
}

/** Whether a header lies there that might be a batch's. */
function isPossible(
  bytes: Buffer,
  at: number,
  { minOffset, endOffset = Infinity, epochAt }: ResyncOptions,
): boolean {
  if (batchMagic(bytes, at) !== MAGIC_V2 || batchSizeBytes(bytes, at) < BATCH_OVERHEAD)
    return false;
  const baseOffset = batchBaseOffset(bytes, at);
  if (baseOffset < minOffset || batchLastOffsetDelta(bytes, at) < 0) return false;
  if (batchLastOffset(bytes, at) >= endOffset) return false;
  const knownEpoch = epochAt?.(baseOffset) ?? -1;
  return knownEpoch < 0 || knownEpoch === batchLeaderEpoch(bytes, at);
}

export interface KeepingScanOptions extends ScanOptions {
  /** Damage below this offset is gone over, as it was durable (R10); at or above it the scan ends. */
  readonly durableOffset: number;
}

export interface KeepingScan {
  readonly endPosition: number;
  readonly nextOffset: number;
  readonly damage: string | null;
  /** What was gone over, ascending. */
  readonly stretches: readonly DamagedStretch[];
}

/**
 * As `scanBatches`, but damage below the durable point does not end it: the stretch is noted, and the
 * scan goes on with the next good batch. Where there is none in the file, the stretch reaches to its
 * end, and to the durable point or the next segment. Throws DiskError.
 */
export async function scanOverDamage(
  dependencies: { readonly file: DiskFile; readonly clock: Clock },
  options: KeepingScanOptions,
  visit: BatchVisitor,
): Promise<KeepingScan> {
  const { endPosition, durableOffset, endOffset = Infinity } = options;
  const stretches: DamagedStretch[] = [];
  let from: ScanOptions = options;
  for (;;) {
    const scan = await scanBatches(dependencies, from, visit);
    if (scan.damage === null || scan.nextOffset >= durableOffset) return { ...scan, stretches };
    const { endPosition: position, nextOffset: offset, damage: reason } = scan;
    const next = await findNextBatch(dependencies, {
      ...options,
      position,
      minOffset: offset,
      endOffset,
    });
    // What begins beyond the durable point has lost what lay before it: it is tail.
    if (next === null || next.baseOffset > durableOffset) {
      const end = Math.min(durableOffset, endOffset);
      const tailPosition = next?.position ?? endPosition;
      stretches.push({ position, endPosition: tailPosition, offset, endOffset: end, reason });
      const damage = next === null ? null : "offsets are missing";
      return { endPosition: tailPosition, nextOffset: end, damage, stretches };
    }
    stretches.push({
      position,
      endPosition: next.position,
      offset,
      endOffset: next.baseOffset,
      reason,
    });
    from = { ...options, startPosition: next.position, minOffset: next.baseOffset };
  }
}
