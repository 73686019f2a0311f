import type { Clock } from "../base/clock.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Slices } from "./batch-scanner.ts";
import type { Log } from "./log.ts";
import type { LogDirectory, StoredPartition } from "./log-directory.ts";
import type { LogConfig, SegmentSummary } from "./log-config.ts";

/** What retention must know of a log beside its segments and settings. */
export interface RetentionMarks {
  /** By the wall: the clock of record timestamps. */
  readonly nowMs: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  /** For how long we have seen the segment as it is now. */
  readonly unchangedForMs: (segment: SegmentSummary) => number;
}

/** Segments that may go: all below `endOffset`. */
export interface RetentionCut {
  readonly endOffset: number;
  /** All have expired, so that the active one must be rolled first. */
  readonly hasActive: boolean;
  /** For people: why the last of them goes. */
  readonly reason: string;
}

type RetentionConfig = Pick<LogConfig, "cleanupPolicy" | "retentionBytes" | "retentionMs">;

/**
 * Which of the oldest segments go, as Kafka decides it: those below the log's start; with
 * cleanup.policy=delete also those without which the log still has retention.bytes, and those whose newest
 * record is older than retention.ms. Never one that reaches beyond the high watermark (S13). null: none.
 *
 * A stamp from the future says nothing about a segment's age (E8), nor does none at all: such a segment is as
 * old as the time for which we have seen it unchanged. Kafka keeps it until that future has passed.
 */
export function retentionCut(
  segments: readonly SegmentSummary[],
  config: RetentionConfig,
  marks: RetentionMarks,
): RetentionCut | null {
  const sizeBytes = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  let excessBytes = sizeBytes - config.retentionBytes;
  let cut: RetentionCut | null = null;
  for (const segment of segments) {
    if (segment.endOffset > marks.highWatermark) break;
    if (segment.isActive && segment.sizeBytes === 0) break;
    const reason = reasonToGo(segment, excessBytes, config, marks);
    if (reason === null) break;
    excessBytes -= segment.sizeBytes;
    cut = { endOffset: segment.endOffset, hasActive: segment.isActive, reason };
  }
  return cut;
}

function reasonToGo(
  segment: SegmentSummary,
  excessBytes: number,
  config: RetentionConfig,
  marks: RetentionMarks,
): string | null {
  const { logStartOffset } = marks;
  if (!segment.isActive && segment.endOffset <= logStartOffset) {
    return `all of it is below the log's start at ${logStartOffset}`;
  }
  if (!config.cleanupPolicy.deletes) return null;
  if (excessBytes >= segment.sizeBytes) {
    return `the log has retention.bytes=${config.retentionBytes} without it`;
  }
  const { maxTimestampMs } = segment;
  const isTold = maxTimestampMs >= 0 && maxTimestampMs <= marks.nowMs;
  const ageMs = isTold ? marks.nowMs - maxTimestampMs : marks.unchangedForMs(segment);
  if (ageMs <= config.retentionMs) return null;
  const what = isTold
    ? `its newest record is ${ageMs} ms old`
    : `it was written ${Math.floor(ageMs)} ms ago at least (its timestamp, ${maxTimestampMs}, does not tell)`;
  return `${what}, retention.ms=${config.retentionMs}`;
}

/** How a segment looked when it was first seen so, by the monotonic clock. */
interface Sighting {
  readonly endOffset: number;
  readonly sizeBytes: number;
  readonly sinceMs: number;
}

/** A log, and the end of what is committed in it. */
export interface RetainedLog {
  readonly log: Log;
  readonly highWatermark: number;
}

/** The logs in the directories that have not failed, each looked up when its turn comes. */
export function* retainedLogs(
  directories: readonly LogDirectory[],
  highWatermarkOf: (log: Log, partition: StoredPartition) => number,
): IterableIterator<RetainedLog> {
  for (const { logs, partitions } of directories) {
    for (const [key, log] of logs) {
      const partition = partitions.get(key);
      if (log.failure !== null || partition === undefined) continue;
      yield { log, highWatermark: highWatermarkOf(log, partition) };
    }
  }
}

/** Applies retention to logs; whoever owns them calls `apply` every log.retention.check.interval.ms. */
export class Retention {
  readonly #clock: Clock;
  /** By base offset. The next start forgets them: a future stamp may protect once more for retention.ms. */
  readonly #sightings = new WeakMap<Log, ReadonlyMap<number, Sighting>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Removes what may go from all these logs, one after the other. A log that has failed or is closed
   * meanwhile is left alone.
   */
  async apply(logs: Iterable<RetainedLog>): Promise<void> {
    const slices = new Slices(this.#clock);
    for (const each of logs) {
      if (slices.isOver()) await slices.next();
      try {
        await this.#applyTo(each);
      } catch (error) {
        // The log, and the directory that it lies in, have said what is wrong (R9).
        if (!(error instanceof KafkaError)) throw error;
      }
    }
  }

  async #applyTo({ log, highWatermark }: RetainedLog): Promise<void> {
    const segments = await log.segmentSummaries();
    const sightings = this.#look(log, segments);
    const nowMs = this.#clock.nowMs();
    const cut = retentionCut(segments, log.config, {
      nowMs: this.#clock.wallMs(),
      logStartOffset: log.logStartOffset,
      highWatermark,
      unchangedForMs: ({ baseOffset }) => nowMs - (sightings.get(baseOffset)?.sinceMs ?? nowMs),
    });
    if (cut === null) return;
    // What is rolled now may need a sync before it can go; then it goes with the next look.
    if (cut.hasActive && log.rollSegment()) await log.flush();
    await log.removeSegmentsBelow(cut.endOffset, cut.reason);
  }

  #look(log: Log, segments: readonly SegmentSummary[]): ReadonlyMap<number, Sighting> {
    const before = this.#sightings.get(log);
    const sinceMs = this.#clock.nowMs();
    const now = new Map(
      segments.map(({ baseOffset, endOffset, sizeBytes }) => {
        const known = before?.get(baseOffset);
        const isSame = known?.endOffset === endOffset && known.sizeBytes === sizeBytes;
        return [baseOffset, isSame ? known : { endOffset, sizeBytes, sinceMs }];
      }),
    );
    this.#sightings.set(log, now);
    return now;
  }
}
