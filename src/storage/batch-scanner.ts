import type { Clock } from "../base/clock.ts";
import type { DiskFile } from "../base/disk.ts";
import { TimeSlice } from "../base/time-slice.ts";
import {
  BATCH_OVERHEAD,
  batchBaseOffset,
  batchLastOffset,
  batchLastOffsetDelta,
  batchLeaderEpoch,
  batchMagic,
  batchNextOffset,
  batchSizeBytes,
  isBatchCrcValid,
  LOG_OVERHEAD,
  MAGIC_V2,
} from "../protocol/records/batch.ts";
import { BatchSource, CHUNK_BYTES } from "./batch-source.ts";

/** How far indexes can reach. */
const MAX_RELATIVE_OFFSET = 0x7fffffff;
/** The clock is looked at once in so many batches. */
const BATCHES_PER_LOOK = 64;

export interface ScanOptions {
  readonly startPosition: number;
  readonly endPosition: number;
  /** The segment's base offset; no batch may begin below it, nor below the end of its predecessor. */
  readonly minOffset: number;
  /** The same for leader epochs, which never fall in a log; default: any. */
  readonly minLeaderEpoch?: number;
  /** Whether checksums are verified, not only headers. */
  readonly checksCrc: boolean;
  /** No batch reaches this offset: the next segment's. It guards the base offset, as do the next two. */
  readonly endOffset?: number;
  /** A batch that begins below this offset ends below it: the durable point is the end of a batch. */
  readonly borderOffset?: number;
  /** A gap before the last batch of the file is damage if it reaches beyond this offset. */
  readonly gaplessFrom?: number;
  /** The leader epoch of a batch that begins there, for certain; -1: not known. */
  readonly epochAt?: (baseOffset: number) => number;
  /** How much is read at a time; default 1 MiB. Less where the scan is expected to end soon. */
  readonly chunkBytes?: number;
  /** Whether the next chunk is read while one is checked: where all of the file will be. */
  readonly readsAhead?: boolean;
}

export interface ScanResult {
  /** Where the first byte lies that was not part of a good batch. */
  readonly endPosition: number;
  /** The offset after the last good batch; `minOffset` when there was none. */
  readonly nextOffset: number;
  /** Why the scan ended before `endPosition`; null when it did not, or when the visitor ended it. */
  readonly damage: string | null;
}

/** Called for each good batch: it begins at `at` in `bytes` (valid during the call only). */
export type BatchVisitor = (bytes: Buffer, at: number, position: number) => "go on" | "stop";

/**
 * Goes through the batches of a segment file in large reads, checking lengths, format and order (S1,
 * S2), and gives the event loop a turn after every 5 ms of work. Zeros never pass as a batch (S17):
 * their length is too short. Throws DiskError.
 */
export async function scanBatches(
  { file, clock }: { readonly file: DiskFile; readonly clock: Clock },
  options: ScanOptions,
  visit: BatchVisitor,
): Promise<ScanResult> {
  const source = new BatchSource(file, {
    endPosition: options.endPosition,
    chunkBytes: options.chunkBytes ?? CHUNK_BYTES,
    readsAhead: options.readsAhead === true,
  });
  try {
    return await scan(source, new Slices(clock), options, visit);
  } finally {
    await source.close();
  }
}

async function scan(
  source: BatchSource,
  slices: Slices,
  options: ScanOptions,
  visit: BatchVisitor,
): Promise<ScanResult> {
  const { endPosition } = options;
  let position = options.startPosition;
  const before = { nextOffset: options.minOffset, leaderEpoch: options.minLeaderEpoch ?? -1 };
  const damaged = (reason: string): ScanResult => ({
    endPosition: position,
    nextOffset: before.nextOffset,
    damage: reason,
  });
  while (position < endPosition) {
    const fit = batchFit(source.bytes, position - source.start, endPosition - position);
    if (fit.kind === "damaged") return damaged(fit.reason);
    if (fit.kind === "more") {
      if (await source.moveTo(position, fit.neededBytes)) continue;
      return damaged("the file ended while it was read");
    }
    const at = position - source.start;
    let damage = batchDamage(source.bytes, at, before, options);
    if (damage === null && batchBaseOffset(source.bytes, at) > before.nextOffset) {
      damage = await gapDamage(source, position, options);
    }
    if (damage !== null) return damaged(damage);
    // The look at the next batch may have moved the window.
    const { bytes, start } = source;
    before.nextOffset = batchNextOffset(bytes, position - start);
    before.leaderEpoch = batchLeaderEpoch(bytes, position - start);
    const isStopped = visit(bytes, position - start, position) === "stop";
    position += fit.sizeBytes;
    if (isStopped) break;
    if (slices.isOver()) await slices.next();
  }
  return { endPosition: position, nextOffset: before.nextOffset, damage: null };
}

interface Before {
  readonly nextOffset: number;
  readonly leaderEpoch: number;
}

/** What is wrong with a whole batch that lies in `bytes`, or null. */
function batchDamage(
  bytes: Buffer,
  at: number,
  before: Before,
  options: ScanOptions,
): string | null {
  if (batchMagic(bytes, at) !== MAGIC_V2) return "the format of a batch is not 2";
  if (batchLastOffsetDelta(bytes, at) < 0) return "a batch ends before it begins";
  const baseOffset = batchBaseOffset(bytes, at);
  if (baseOffset < before.nextOffset) return "the offsets of batches do not rise";
  const lastOffset = batchLastOffset(bytes, at);
  if (isBeyond(baseOffset, lastOffset, options)) return "a batch reaches beyond its place";
  if (options.checksCrc && !isBatchCrcValid(bytes, at)) return "the checksum of a batch is wrong";
  return epochDamage(batchLeaderEpoch(bytes, at), baseOffset, before, options);
}

function epochDamage(
  leaderEpoch: number,
  baseOffset: number,
  before: Before,
  { epochAt }: ScanOptions,
): string | null {
  if (leaderEpoch < before.leaderEpoch) return "the leader epoch of a batch falls";
  const knownEpoch = epochAt?.(baseOffset) ?? -1;
  const isWrong = knownEpoch >= 0 && leaderEpoch !== knownEpoch;
  return isWrong ? "the leader epoch of a batch is wrong" : null;
}

function isBeyond(baseOffset: number, lastOffset: number, options: ScanOptions): boolean {
  const { minOffset, endOffset = Infinity, borderOffset = Infinity } = options;
  return (
    lastOffset - minOffset > MAX_RELATIVE_OFFSET ||
    lastOffset >= endOffset ||
    (baseOffset < borderOffset && lastOffset >= borderOffset)
  );
}

/**
 * Only compaction leaves a gap before a batch. Otherwise its base offset has been changed, which no
 * checksum covers: the next batch contradicts it.
 */
async function gapDamage(
  source: BatchSource,
  position: number,
  { endPosition, gaplessFrom = Infinity }: ScanOptions,
): Promise<string | null> {
  const sizeBytes = batchSizeBytes(source.bytes, position - source.start);
  const isRead =
    position + sizeBytes + BATCH_OVERHEAD <= endPosition &&
    (await source.moveTo(position, sizeBytes + BATCH_OVERHEAD));
  const { bytes } = source;
  const at = position - source.start;
  const nextAt = at + sizeBytes;
  // Behind the last batch there may be zeros, which are none.
  if (!isRead || isZero(bytes, nextAt)) {
    return batchBaseOffset(bytes, at) > gaplessFrom ? "offsets are missing" : null;
  }
  const isBatch = batchMagic(bytes, nextAt) === MAGIC_V2 && batchSizeBytes(bytes, nextAt) > 0;
  return isBatch && batchBaseOffset(bytes, nextAt) <= batchLastOffset(bytes, at)
    ? "the base offset of a batch is that of a later one"
    : null;
}

function isZero(bytes: Buffer, at: number): boolean {
  return bytes.subarray(at, at + BATCH_OVERHEAD).every((byte) => byte === 0);
}

type Fit =
  | { readonly kind: "whole"; readonly sizeBytes: number }
  | { readonly kind: "more"; readonly neededBytes: number }
  | { readonly kind: "damaged"; readonly reason: string };

/** Whether the batch at `at` lies whole in `bytes`, or would in the `restBytes` of the file. */
function batchFit(bytes: Buffer, at: number, restBytes: number): Fit {
  if (restBytes < BATCH_OVERHEAD) return { kind: "damaged", reason: "a batch is cut off" };
  if (bytes.length - at < LOG_OVERHEAD) return { kind: "more", neededBytes: BATCH_OVERHEAD };
  const sizeBytes = batchSizeBytes(bytes, at);
  if (sizeBytes < BATCH_OVERHEAD) {
    return { kind: "damaged", reason: "the length of a batch is impossible" };
  }
  if (sizeBytes > restBytes) return { kind: "damaged", reason: "a batch is cut off" };
  const isWhole = sizeBytes <= bytes.length - at;
  return isWhole ? { kind: "whole", sizeBytes } : { kind: "more", neededBytes: sizeBytes };
}

/** A time slice for work of which a batch is so small a part that looking at the clock would show. */
export class Slices {
  readonly #slice: TimeSlice;
  #batchCount = 0;

  constructor(clock: Clock) {
    this.#slice = new TimeSlice(clock);
  }

  /** To be asked once a batch. */
  isOver(): boolean {
    this.#batchCount += 1;
    return this.#batchCount % BATCHES_PER_LOOK === 0 && this.#slice.isOver;
  }

  next(): Promise<void> {
    return this.#slice.next();
  }
}
