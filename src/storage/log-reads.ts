import type { Clock } from "../base/clock.ts";
import { DiskError } from "../base/disk.ts";
import type { Offload } from "../base/offload.ts";
import { KafkaError } from "../protocol/errors.ts";
import type {
  LogReadOptions,
  LogReadResult,
  SegmentSummary,
  TimestampedOffset,
} from "./log-config.ts";
import type { LogSegments } from "./log-segments.ts";
import { readSegment } from "./segment-reader.ts";
import type { LogTail } from "./tail-cache.ts";
import { findFirstAtOrAfter, findGreatest, type SearchRange } from "./timestamp-search.ts";
import type { AbortedTransaction } from "./txn-index.ts";

const NO_BYTES = Buffer.alloc(0);

/** What a log's readers see of it: looked up anew for each read. */
export interface ReadableLog {
  readonly segments: LogSegments;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly writtenEndOffset: number;
  leaderEpochAt(offset: number): number;
  /** Throws KafkaError KAFKA_STORAGE_ERROR, NOT_LEADER_OR_FOLLOWER. */
  refuseUnlessUsable(): void;
}

/** Reading and searching a log; `Log` says what each promises. */
export class LogReads {
  readonly #clock: Clock;
  readonly #log: ReadableLog;
  readonly #tail: LogTail;

  constructor(clock: Clock, log: ReadableLog, tail: LogTail) {
    this.#clock = clock;
    this.#log = log;
    this.#tail = tail;
  }

  async read(options: LogReadOptions): Promise<LogReadResult> {
    const { offset, maxBytes, minOneBatch } = options;
    return await this.#reading(async () => {
      const { logStartOffset, logEndOffset } = this.#log;
      if (offset < logStartOffset || offset > logEndOffset) {
        const range = `${logStartOffset} to ${logEndOffset}`;
        throw new KafkaError("OFFSET_OUT_OF_RANGE", `offset ${offset} is not within ${range}`);
      }
      const limitOffset = Math.min(options.endOffset, this.#log.writtenEndOffset);
      const isEmpty = offset >= limitOffset || (maxBytes <= 0 && !minOneBatch);
      if (isEmpty) return { records: NO_BYTES, nextOffset: offset };
      const cached = this.#tail.read({ offset, limitOffset, maxBytes, minOneBatch });
      if (cached !== null) return cached;
      const segments = this.#log.segments.from(offset);
      for (const [index, segment] of segments.entries()) {
        if (segment.baseOffset >= limitOffset) break;
        const found = await readSegment(
          segment,
          { offset, limitOffset, maxBytes, minOneBatch },
          {
            pool: this.#tail.readPool,
            endOffset: () => segments[index + 1]?.baseOffset ?? this.#log.logEndOffset,
            leaderEpochAt: (baseOffset) => this.#log.leaderEpochAt(baseOffset),
          },
        );
        if (found !== null) return found;
      }
      return { records: NO_BYTES, nextOffset: offset };
    });
  }

  async findByTimestamp(
    timestampMs: bigint,
    endOffset: number,
    offload: Offload,
  ): Promise<TimestampedOffset | null> {
    // Record timestamps are clamped to the safe range as well.
    const target = Math.min(Math.max(Number(timestampMs), -1), Number.MAX_SAFE_INTEGER);
    const dependencies = { clock: this.#clock, offload };
    return await this.#reading(() =>
      findFirstAtOrAfter(dependencies, this.#log.segments.list, target, this.#range(endOffset)),
    );
  }

  async findMaxTimestamp(endOffset: number, offload: Offload): Promise<TimestampedOffset | null> {
    const dependencies = { clock: this.#clock, offload };
    return await this.#reading(() =>
      findGreatest(dependencies, this.#log.segments.list, this.#range(endOffset)),
    );
  }

  async abortedTransactions(
    startOffset: number,
    endOffset: number,
  ): Promise<readonly AbortedTransaction[]> {
    return await this.#reading(async () => {
      const found: AbortedTransaction[] = [];
      for (const segment of this.#log.segments.from(startOffset)) {
        for (const aborted of await segment.abortedTransactions()) {
          const { firstOffset, lastOffset, lastStableOffset } = aborted;
          if (lastOffset >= startOffset && firstOffset < endOffset) found.push(aborted);
          // No later marker ends a transaction that began before the end of the range.
          if (lastStableOffset >= endOffset) return found;
        }
      }
      return found;
    });
  }

  async segmentSummaries(): Promise<readonly SegmentSummary[]> {
    return await this.#reading(async () => {
      const { list } = this.#log.segments;
      const summaries: SegmentSummary[] = [];
      for (const segment of list) {
        const maxTimestampMs = await segment.maxTimestampMs();
        const next = list[list.indexOf(segment) + 1];
        const { baseOffset, sizeBytes, state } = segment;
        const endOffset = next?.baseOffset ?? this.#log.logEndOffset;
        summaries.push({
          baseOffset,
          endOffset,
          sizeBytes,
          maxTimestampMs,
          isActive: state !== "inactive",
        });
      }
      return summaries;
    });
  }

  #range(endOffset: number): SearchRange {
    return {
      startOffset: this.#log.logStartOffset,
      endOffset: Math.min(endOffset, this.#log.writtenEndOffset),
    };
  }

  async #reading<T>(task: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#log.refuseUnlessUsable();
      const { list } = this.#log.segments;
      try {
        return await task();
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        // A segment may have left the log while it was read: what is there now has the answer.
        if (list !== this.#log.segments.list) continue;
        this.#log.refuseUnlessUsable();
        throw new KafkaError("KAFKA_STORAGE_ERROR", `cannot read: ${error.message}`, {
          cause: error,
        });
      }
    }
  }
}
