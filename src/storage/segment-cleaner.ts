import { must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { type Disk, DiskError, type DiskFile, isNotFound } from "../base/disk.ts";
import type { Offload } from "../base/offload.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  BATCH_OVERHEAD,
  batchLastOffset,
  batchMagic,
  batchSizeBytes,
  isBatchCrcValid,
  isControl,
  MAGIC_V2,
} from "../protocol/records/batch.ts";
import type { CleanedTransactions } from "./cleaned-transactions.ts";
import { CleaningAbortedError, type CleaningPace } from "./cleaning-pace.ts";
import { compactBatch, type CompactionRules, followTransactions, visitKeys } from "./compaction.ts";
import { offsetFileName } from "./file-names.ts";
import type { OffsetMap } from "./offset-map.ts";
import { SegmentIndexes } from "./segment-indexes.ts";
import { cleanedPath } from "./segment-swap.ts";
import { encodeTxnIndex } from "./txn-index.ts";

const CHUNK_BYTES = 1024 * 1024;

export interface SegmentCleanerDependencies {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly offload: Offload;
  readonly pace: CleaningPace;
  /** Throws CleaningAbortedError when the cleaning has lost its sense. */
  readonly checkWanted: () => void;
}

/**
 * Notes the newest offset of every key from `startOffset` on, as far as the map has room; returns the
 * offset up to which that went. Aborted data do not count. Throws KafkaError CORRUPT_MESSAGE,
 * CleaningAbortedError, DiskError.
 */
export async function mapKeys(
  dependencies: SegmentCleanerDependencies,
  directory: string,
  options: {
    readonly segments: readonly { readonly baseOffset: number; readonly endOffset: number }[];
    readonly startOffset: number;
    readonly map: OffsetMap;
    readonly transactions: CleanedTransactions;
  },
): Promise<number> {
  const { startOffset, map, transactions } = options;
  let mappedOffset = startOffset;
  for (const { baseOffset, endOffset } of options.segments) {
    if (endOffset <= startOffset) continue;
    const reached = { isFull: false };
    await visitBatches(dependencies, directory, baseOffset, async (bytes, at) => {
      const isAborted = await followTransactions(bytes, at, transactions, dependencies.offload);
      if (batchLastOffset(bytes, at) < startOffset) return "go on";
      if (!isAborted && !isControl(bytes, at)) {
        const end = await visitKeys(bytes, at, dependencies.offload, (key, offset) => {
          if (offset < startOffset) return "go on";
          if (!map.put(key, offset)) return "stop";
          mappedOffset = offset + 1;
          return "go on";
        });
        if (end === "stopped") {
          reached.isFull = true;
          return "stop";
        }
      }
      mappedOffset = batchLastOffset(bytes, at) + 1;
      return "go on";
    });
    if (reached.isFull) break;
    mappedOffset = endOffset;
  }
  return mappedOffset;
}

/** What was written under the names of a cleaned segment. */
export interface CleanedSegment {
  readonly baseOffset: number;
  readonly sizeBytes: number;
  readonly oldSizeBytes: number;
  /** Whether every batch is as it was: then nothing needs to be replaced. */
  readonly isUnchanged: boolean;
}

/**
 * Writes what compaction leaves of segments that follow each other into one segment of files that end
 * in ".cleaned", and syncs them. The last batch always stays, be it empty, so that the segment goes on
 * to say how far it reaches. Throws as `mapKeys` does.
 */
export async function cleanGroup(
  dependencies: SegmentCleanerDependencies,
  directory: string,
  options: {
    /** Ascending. */
    readonly baseOffsets: readonly number[];
    readonly rules: CompactionRules;
    readonly transactions: CleanedTransactions;
    readonly indexIntervalBytes: number;
  },
): Promise<CleanedSegment> {
  const { disk, offload } = dependencies;
  const { rules, transactions, indexIntervalBytes } = options;
  const baseOffset = must(options.baseOffsets[0], "a group has a segment");
  const file = await disk.open(cleanedPath(directory, baseOffset, ".log"), {
    create: true,
    truncate: true,
  });
  try {
    const target = new CleanedFile(dependencies, file, baseOffset, indexIntervalBytes);
    let oldSizeBytes = 0;
    let isUnchanged = options.baseOffsets.length === 1;
    for (const [index, sourceBase] of options.baseOffsets.entries()) {
      const isLastSegment = index === options.baseOffsets.length - 1;
      oldSizeBytes += await visitBatches(
        dependencies,
        directory,
        sourceBase,
        async (bytes, at, isLast) => {
          const keepsPlace = isLast && isLastSegment;
          const left = await compactBatch(bytes, at, { rules, transactions, offload, keepsPlace });
          if (left === null) isUnchanged = false;
          else {
            // What is kept as it was is a slice of what was read.
            if (left.buffer !== bytes.buffer || left.length !== batchSizeBytes(bytes, at)) {
              isUnchanged = false;
            }
            target.add(left);
          }
          return "go on";
        },
        () => target.write(),
      );
    }
    await target.finish(directory, encodeTxnIndex(transactions.takeKept()));
    return { baseOffset, sizeBytes: target.sizeBytes, oldSizeBytes, isUnchanged };
  } finally {
    await file.close();
  }
}

/** A segment while it is written. */
class CleanedFile {
  readonly #dependencies: SegmentCleanerDependencies;
  readonly #file: DiskFile;
  readonly #baseOffset: number;
  readonly #indexes: SegmentIndexes;
  readonly #indexIntervalBytes: number;
  #pending: Buffer[] = [];
  #writtenBytes = 0;
  #sizeBytes = 0;

  constructor(
    dependencies: SegmentCleanerDependencies,
    file: DiskFile,
    baseOffset: number,
    indexIntervalBytes: number,
  ) {
    this.#dependencies = dependencies;
    this.#file = file;
    this.#baseOffset = baseOffset;
    this.#indexes = SegmentIndexes.empty(baseOffset);
    this.#indexIntervalBytes = indexIntervalBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  add(batch: Buffer): void {
    this.#indexes.note(batch, 0, this.#sizeBytes, this.#indexIntervalBytes);
    this.#pending.push(batch);
    this.#sizeBytes += batch.length;
  }

  async write(): Promise<void> {
    const pending = this.#pending;
    if (pending.length === 0) return;
    this.#pending = [];
    const position = this.#writtenBytes;
    this.#writtenBytes = this.#sizeBytes;
    await this.#file.writev(pending, position);
    await this.#dependencies.pace.spend(this.#writtenBytes - position);
  }

  async finish(directory: string, txnIndex: Buffer): Promise<void> {
    const { disk } = this.#dependencies;
    await this.#file.datasync();
    this.#indexes.noteEnd();
    const pathOf = (suffix: ".index" | ".timeindex" | ".txnindex"): string =>
      cleanedPath(directory, this.#baseOffset, suffix);
    const paths = { offsets: pathOf(".index"), times: pathOf(".timeindex") };
    await this.#indexes.store(disk, paths, true, true);
    // Also when it is empty: a swap that finds none knows that it is in place already.
    const file = await disk.open(pathOf(".txnindex"), { create: true, truncate: true });
    try {
      if (txnIndex.length > 0) await file.writev([txnIndex], 0);
      await file.datasync();
    } finally {
      await file.close();
    }
  }
}

type AsyncBatchVisitor = (bytes: Buffer, at: number, isLast: boolean) => Promise<"go on" | "stop">;

/**
 * Reads a segment that is complete, batch by batch, each with its checksum right: a rewritten batch
 * gets a new checksum, which must never hide damage (S2). `afterChunk` is called before the memory of
 * the batches is used again. Returns the size of the segment.
 */
async function visitBatches(
  dependencies: SegmentCleanerDependencies,
  directory: string,
  baseOffset: number,
  visit: AsyncBatchVisitor,
  afterChunk: () => Promise<void> = () => Promise.resolve(),
): Promise<number> {
  const { disk, pace } = dependencies;
  const path = `${directory}/${offsetFileName(baseOffset, ".log")}`;
  const file = await openSource(disk, path);
  try {
    const endPosition = await file.size();
    let position = 0;
    let chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, endPosition));
    while (position < endPosition) {
      dependencies.checkWanted();
      const wantedBytes = Math.min(chunk.length, endPosition - position);
      const readBytes = await readSource(file, chunk.subarray(0, wantedBytes), position);
      await pace.spend(readBytes);
      const bytes = chunk.subarray(0, readBytes);
      let at = 0;
      for (; isBatchWhole(bytes, at); at += batchSizeBytes(bytes, at)) {
        await pace.breathe();
        if (!isBatchCrcValid(bytes, at)) throw damaged(path, position + at);
        const isLast = position + at + batchSizeBytes(bytes, at) === endPosition;
        if ((await visit(bytes, at, isLast)) === "stop") return endPosition;
      }
      await afterChunk();
      if (at === 0) chunk = Buffer.allocUnsafe(largerChunk(bytes, endPosition, position, path));
      position += at;
    }
    return endPosition;
  } finally {
    await file.close();
  }
}

async function openSource(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw new CleaningAbortedError(`${path} has gone`, { cause: error });
  }
}

/** What cannot be read cannot be cleaned; it does not stop anybody from writing (R10). */
async function readSource(file: DiskFile, target: Buffer, position: number): Promise<number> {
  try {
    return await file.read(target, position);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    throw new KafkaError("CORRUPT_MESSAGE", error.message, { cause: error });
  }
}

function isBatchWhole(bytes: Buffer, at: number): boolean {
  if (bytes.length - at < BATCH_OVERHEAD) return false;
  const sizeBytes = batchSizeBytes(bytes, at);
  return sizeBytes >= BATCH_OVERHEAD && sizeBytes <= bytes.length - at;
}

/** How large a chunk must be to hold the batch at its start, which is larger than the chunk was. */
function largerChunk(bytes: Buffer, endPosition: number, position: number, path: string): number {
  const sizeBytes = bytes.length < BATCH_OVERHEAD ? 0 : batchSizeBytes(bytes);
  const isPossible = sizeBytes > bytes.length && sizeBytes <= endPosition - position;
  if (!isPossible || batchMagic(bytes) !== MAGIC_V2) throw damaged(path, position);
  return sizeBytes;
}

function damaged(path: string, position: number): KafkaError {
  return new KafkaError("CORRUPT_MESSAGE", `${path}: no good batch begins at position ${position}`);
}
