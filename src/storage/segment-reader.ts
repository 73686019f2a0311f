import type { DiskFile } from "../base/disk.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  BATCH_OVERHEAD,
  batchBaseOffset,
  batchLastOffset,
  batchLastOffsetDelta,
  batchMagic,
  batchNextOffset,
  batchSizeBytes,
  MAGIC_V2,
} from "../protocol/records/batch.ts";
import type { LogReadResult } from "./log-config.ts";
import type { Segment } from "./segment.ts";

/** How much may lie between an index entry and the batch that is looked for, beside its interval. */
const SLACK_BYTES = 16 * 1024;

export interface SegmentReadOptions {
  readonly offset: number;
  /** Exclusive, and written: all batches below it are in the file. */
  readonly limitOffset: number;
  readonly maxBytes: number;
  readonly minOneBatch: boolean;
}

/** A header that cannot be right, or does not follow from the index: no batch begins there. */
class MisplacedError extends Error {
  override readonly name = "MisplacedError";
}

/**
 * Whole batches of one segment from the one that holds `offset` on (or the first after it), in one
 * large read where the index is right. null: the segment ends before. The headers' sanity is checked,
 * and that an index entry leads to its batch; if not, the index is made anew, once. The checksums of
 * what is read from disk are not checked yet (R10 asks for it; the clients do it meanwhile).
 * Throws KafkaError CORRUPT_MESSAGE, DiskError.
 */
export async function readSegment(
  segment: Segment,
  options: SegmentReadOptions,
): Promise<LogReadResult | null> {
  try {
    return await locateAndRead(segment, options);
  } catch (error) {
    if (!(error instanceof MisplacedError)) throw error;
  }
  await segment.rebuildIndexes();
  try {
    return await locateAndRead(segment, options);
  } catch (error) {
    if (!(error instanceof MisplacedError)) throw error;
    throw new KafkaError("CORRUPT_MESSAGE", `${segment.path(".log")}: ${error.message}`, {
      cause: error,
    });
  }
}

async function locateAndRead(
  segment: Segment,
  options: SegmentReadOptions,
): Promise<LogReadResult | null> {
  return await segment.use(async ({ file, indexes }) => {
    const endPosition = segment.writtenBytes;
    const hint = segment.hints.get(options.offset);
    const entry = hint === undefined ? indexes.offsets.floor(options.offset) : null;
    const reader = new BatchReader(file, hint ?? entry?.position ?? 0, endPosition);
    const slackBytes = hint === undefined ? segment.indexIntervalBytes + SLACK_BYTES : 0;
    await reader.fill(options.maxBytes + slackBytes);
    if (entry !== null) reader.expect(entry.offset);
    if (!(await reader.findOffset(options.offset, options.maxBytes))) return null;
    const result = await takeBatches(reader, options);
    if (result.records.length > 0) {
      segment.hints.put(result.nextOffset, reader.position);
    }
    return result;
  });
}

async function takeBatches(
  reader: BatchReader,
  options: SegmentReadOptions,
): Promise<LogReadResult> {
  const isTooLarge = reader.sizeBytes > options.maxBytes && !options.minOneBatch;
  if (reader.lastOffset >= options.limitOffset || isTooLarge) {
    return { records: Buffer.alloc(0), nextOffset: options.offset };
  }
  // A batch that is larger than what was asked for is read whole, alone.
  await reader.fill(reader.sizeBytes);
  return reader.take(options.limitOffset, options.maxBytes);
}

/** Goes from header to header through a file that is read in large pieces. */
class BatchReader {
  readonly #file: DiskFile;
  readonly #endPosition: number;
  #bytes = Buffer.alloc(0);
  /** Where `#bytes` begins in the file, and where in it the current batch begins. */
  #start: number;
  #at = 0;
  #lastOffset = -1;

  constructor(file: DiskFile, position: number, endPosition: number) {
    this.#file = file;
    this.#start = position;
    this.#endPosition = endPosition;
  }

  /** Of the current batch. */
  get position(): number {
    return this.#start + this.#at;
  }

  get hasBatch(): boolean {
    return this.position < this.#endPosition;
  }

  get sizeBytes(): number {
    return batchSizeBytes(this.#bytes, this.#at);
  }

  get lastOffset(): number {
    return batchLastOffset(this.#bytes, this.#at);
  }

  /** Makes sure that so many bytes from the current batch on are in memory, if the file has them. */
  async fill(byteCount: number): Promise<void> {
    const wantedBytes = Math.min(
      Math.max(byteCount, BATCH_OVERHEAD),
      this.#endPosition - this.position,
    );
    if (this.#bytes.length - this.#at < wantedBytes) {
      const bytes = Buffer.allocUnsafe(wantedBytes);
      const readBytes = await this.#file.read(bytes, this.position);
      this.#start = this.position;
      this.#at = 0;
      this.#bytes = bytes.subarray(0, readBytes);
    }
    if (this.hasBatch) this.#check();
  }

  /** Goes to the next batch; reads so many bytes there when it is not in memory. */
  async next(byteCount: number): Promise<void> {
    this.#lastOffset = this.lastOffset;
    this.#at += this.sizeBytes;
    if (this.#bytes.length - this.#at < BATCH_OVERHEAD) await this.fill(byteCount);
    else if (this.hasBatch) this.#check();
  }

  /** The current batch is the one that an index entry speaks of. */
  expect(lastOffset: number): void {
    if (this.hasBatch && this.lastOffset === lastOffset) return;
    throw new MisplacedError("an index entry does not lead to its batch");
  }

  /** Goes to the batch that holds the offset, or the first one after it; false: there is none. */
  async findOffset(offset: number, byteCount: number): Promise<boolean> {
    while (this.hasBatch && this.lastOffset < offset) await this.next(byteCount);
    return this.hasBatch;
  }

  /** The batches in memory from the current one on, the first in any case; stands after them then. */
  take(limitOffset: number, maxBytes: number): LogReadResult {
    const from = this.#at;
    let nextOffset = batchNextOffset(this.#bytes, from);
    let end = from + this.sizeBytes;
    while (this.#bytes.length - end >= BATCH_OVERHEAD) {
      this.#lastOffset = nextOffset - 1;
      this.#at = end;
      // What follows is the next read's matter: the batches before are good.
      if (this.#damage() !== null) break;
      const nextEnd = end + this.sizeBytes;
      if (nextEnd > this.#bytes.length || nextEnd - from > maxBytes) break;
      if (this.lastOffset >= limitOffset) break;
      nextOffset = batchNextOffset(this.#bytes, end);
      end = nextEnd;
    }
    this.#at = end;
    return { records: this.#bytes.subarray(from, end), nextOffset };
  }

  #check(): void {
    const damage = this.#damage();
    if (damage !== null) throw new MisplacedError(damage);
  }

  #damage(): string | null {
    const bytes = this.#bytes;
    const at = this.#at;
    const sizeBytes = bytes.length - at >= BATCH_OVERHEAD ? batchSizeBytes(bytes, at) : 0;
    if (sizeBytes < BATCH_OVERHEAD || this.position + sizeBytes > this.#endPosition) {
      return `the batch at position ${this.position} has no possible length`;
    }
    const isOrdered =
      batchBaseOffset(bytes, at) > this.#lastOffset && batchLastOffsetDelta(bytes, at) >= 0;
    if (batchMagic(bytes, at) === MAGIC_V2 && isOrdered) return null;
    return `there is no batch at position ${this.position}`;
  }
}
