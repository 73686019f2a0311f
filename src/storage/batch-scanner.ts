import type { Clock } from "../base/clock.ts";
import type { DiskFile } from "../base/disk.ts";
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

const CHUNK_BYTES = 1024 * 1024;
/** How far indexes can reach. */
const MAX_RELATIVE_OFFSET = 0x7fffffff;
/** Long work runs in slices (design.md, section 2); the clock is looked at once in so many batches. */
const SLICE_MS = 5;
const BATCHES_PER_LOOK = 64;

export interface ScanOptions {
  readonly startPosition: number;
  readonly endPosition: number;
  /** The segment's base offset; no batch may begin below it, nor below the end of its predecessor. */
  readonly minOffset: number;
  /** The same for leader epochs, which never fall in a log. */
  readonly minLeaderEpoch: number;
  /** Whether checksums are verified, not only headers. */
  readonly checksCrc: boolean;
  /**
   * A gap between two batches is damage if it reaches beyond this offset: only compaction leaves gaps,
   * and only below the recovery point. It guards the base offset, which no checksum covers.
   */
  readonly gaplessFrom?: number;
  /** How much is read at a time; default 1 MiB. Less where the scan is expected to end soon. */
  readonly chunkBytes?: number;
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
  let position = options.startPosition;
  const { minOffset, checksCrc, gaplessFrom = Infinity } = options;
  let nextOffset = minOffset;
  let leaderEpoch = options.minLeaderEpoch;
  let chunk = Buffer.allocUnsafe(firstChunkBytes(options));
  const slices = new Slices(clock);
  while (position < options.endPosition) {
    const wantedBytes = Math.min(chunk.length, remaining(position, options));
    const readBytes = await file.read(chunk.subarray(0, wantedBytes), position);
    const bytes = chunk.subarray(0, readBytes);
    let at = 0;
    for (;;) {
      const fit = batchFit(bytes, at, options.endPosition - position - at);
      if (fit.kind === "damaged") {
        return { endPosition: position + at, nextOffset, damage: fit.reason };
      }
      if (fit.kind === "more") break;
      const before = { minOffset, nextOffset, leaderEpoch, gaplessFrom };
      const damage = batchDamage(bytes, at, before, checksCrc);
      if (damage !== null) return { endPosition: position + at, nextOffset, damage };
      nextOffset = batchNextOffset(bytes, at);
      leaderEpoch = batchLeaderEpoch(bytes, at);
      const isStopped = visit(bytes, at, position + at) === "stop";
      at += fit.sizeBytes;
      if (isStopped) return { endPosition: position + at, nextOffset, damage: null };
      if (slices.isOver()) await slices.next();
      if (position + at === options.endPosition) break;
    }
    if (at === 0) {
      if (readBytes < wantedBytes) {
        return { endPosition: position, nextOffset, damage: "the file ended while it was read" };
      }
      // One batch that is larger than the chunk: its length is known to fit the file.
      chunk = Buffer.allocUnsafe(Math.max(CHUNK_BYTES, batchSizeBytes(bytes, 0)));
    }
    position += at;
  }
  return { endPosition: position, nextOffset, damage: null };
}

/** What is wrong with a whole batch that lies in `bytes`, or null. */
function batchDamage(
  bytes: Buffer,
  at: number,
  before: {
    readonly minOffset: number;
    readonly nextOffset: number;
    readonly leaderEpoch: number;
    readonly gaplessFrom: number;
  },
  checksCrc: boolean,
): string | null {
  if (batchMagic(bytes, at) !== MAGIC_V2) return "the format of a batch is not 2";
  if (batchLastOffsetDelta(bytes, at) < 0) return "a batch ends before it begins";
  const baseOffset = batchBaseOffset(bytes, at);
  if (baseOffset < before.nextOffset) return "the offsets of batches do not rise";
  if (baseOffset > Math.max(before.nextOffset, before.gaplessFrom)) return "offsets are missing";
  if (batchLastOffset(bytes, at) - before.minOffset > MAX_RELATIVE_OFFSET) {
    return "an offset is too far from the segment's base offset";
  }
  if (batchLeaderEpoch(bytes, at) < before.leaderEpoch) return "the leader epoch of a batch falls";
  if (checksCrc && !isBatchCrcValid(bytes, at)) return "the checksum of a batch is wrong";
  return null;
}

type Fit =
  | { readonly kind: "whole"; readonly sizeBytes: number }
  | { readonly kind: "more" }
  | { readonly kind: "damaged"; readonly reason: string };

const MORE: Fit = { kind: "more" };

/** Whether the batch at `at` lies whole in `bytes`, or would in the `restBytes` of the file. */
function batchFit(bytes: Buffer, at: number, restBytes: number): Fit {
  if (restBytes < BATCH_OVERHEAD) return { kind: "damaged", reason: "a batch is cut off" };
  if (bytes.length - at < LOG_OVERHEAD) return MORE;
  const sizeBytes = batchSizeBytes(bytes, at);
  if (sizeBytes < BATCH_OVERHEAD) {
    return { kind: "damaged", reason: "the length of a batch is impossible" };
  }
  if (sizeBytes > restBytes) return { kind: "damaged", reason: "a batch is cut off" };
  return sizeBytes > bytes.length - at ? MORE : { kind: "whole", sizeBytes };
}

function firstChunkBytes(options: ScanOptions): number {
  return Math.min(options.chunkBytes ?? CHUNK_BYTES, remaining(options.startPosition, options));
}

function remaining(position: number, options: ScanOptions): number {
  return Math.max(0, options.endPosition - position);
}

/** Measures how long we have kept the event loop. */
class Slices {
  readonly #clock: Clock;
  #startMs: number;
  #batchCount = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
  }

  isOver(): boolean {
    this.#batchCount += 1;
    if (this.#batchCount % BATCHES_PER_LOOK !== 0) return false;
    return this.#clock.nowMs() - this.#startMs >= SLICE_MS;
  }

  async next(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.afterPoll(resolve));
    this.#startMs = this.#clock.nowMs();
  }
}
