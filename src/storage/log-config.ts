import type { Clock } from "../base/clock.ts";
import type { Disk, DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Random } from "../base/random.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import type { DirectorySync } from "./directory-sync.ts";
import type { RecoveryReport } from "./recovery-report.ts";
import type { SegmentCache } from "./segment-cache.ts";
import type { TailCache } from "./tail-cache.ts";

/** What a topic's settings say to its logs. Kafka's topic keys, in camel case. */
export interface LogConfig {
  readonly segmentBytes: number;
  /** Roll when the segment's first batch is older than this, by the batches' own times. */
  readonly segmentMs: number;
  /** Each segment's age limit is shortened by a random part of this: not all roll at once. */
  readonly segmentJitterMs: number;
  readonly indexIntervalBytes: number;
  readonly segmentIndexBytes: number;
  /** A sync after so many messages; Infinity: off. */
  readonly flushMessages: number;
  /** A sync so long after the first byte that was not synced; Infinity: off. */
  readonly flushMs: number;
  /** Write zeros ahead of the log's end, so that syncs by count cost less. */
  readonly preallocate: boolean;
  readonly maxMessageBytes: number;
  readonly timestampType: "CreateTime" | "LogAppendTime";
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
  readonly compressionType: "producer" | "uncompressed" | "gzip" | "snappy" | "lz4" | "zstd";
  /** null: the codec's own default. */
  readonly compressionLevel: number | null;
  readonly cleanupPolicy: { readonly compacts: boolean; readonly deletes: boolean };
  /** Infinity: for ever. */
  readonly retentionMs: number;
  /** Infinity: any size. */
  readonly retentionBytes: number;
  /** How long compaction leaves a tombstone. */
  readonly deleteRetentionMs: number;
  /** A file that is no longer wanted lies renamed for so long: somebody may still be reading it. */
  readonly fileDeleteDelayMs: number;
  readonly minCleanableDirtyRatio: number;
  readonly minCompactionLagMs: number;
  /** Infinity: none. */
  readonly maxCompactionLagMs: number;
}

/** Kafka's defaults. */
export const DEFAULT_LOG_CONFIG: LogConfig = {
  segmentBytes: 1024 ** 3,
  segmentMs: 604_800_000,
  segmentJitterMs: 0,
  indexIntervalBytes: 4096,
  segmentIndexBytes: 10_485_760,
  flushMessages: Infinity,
  flushMs: Infinity,
  preallocate: false,
  maxMessageBytes: 1_048_588,
  timestampType: "CreateTime",
  timestampBeforeMaxMs: Infinity,
  timestampAfterMaxMs: 3_600_000,
  compressionType: "producer",
  compressionLevel: null,
  cleanupPolicy: { compacts: false, deletes: true },
  retentionMs: 604_800_000,
  retentionBytes: Infinity,
  deleteRetentionMs: 86_400_000,
  fileDeleteDelayMs: 60_000,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Infinity,
};

/** Who wants to know when the marks of a log move. Called synchronously; must not throw. */
export interface LogListener {
  /** The written, flushed or safe mark has moved. */
  onAdvance(): void;
  /** A write or sync has failed (R9): nothing is written any more, for ever. Called once. */
  onFailure(error: DiskError): void;
  /** What `onFailure` has told is over: there was no room, and there is again. */
  onHealed?(): void;
}

/** Where batches come from: a client's are checked against the topic's timestamp settings. */
export type AppendOrigin = "client" | "coordinator" | "raft";

export interface LogAppendOptions {
  readonly leaderEpoch: number;
  readonly origin: AppendOrigin;
}

export interface LogAppendResult {
  /** "duplicate": one of its producer's last five batches came again; the offsets are the old ones. */
  readonly kind: "appended" | "duplicate";
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** -1 unless the topic's type is LogAppendTime. */
  readonly logAppendTimeMs: number;
  readonly logStartOffset: number;
}

export interface LogReadOptions {
  readonly offset: number;
  /** Exclusive; batches that reach beyond it are not returned. */
  readonly endOffset: number;
  readonly maxBytes: number;
  /** Return the first batch whole even when it is larger than `maxBytes`. */
  readonly minOneBatch: boolean;
}

export interface LogReadResult {
  /** Whole batches; the first contains the offset that was asked for. */
  readonly records: Buffer;
  /** The offset after the last batch, or the one that was asked for when there is none. */
  readonly nextOffset: number;
  /**
   * Gives the memory of `records` back for other reads. Called once, when nothing reads them any more;
   * who never calls it leaves them to the garbage collector.
   */
  readonly release?: () => void;
}

export interface TimestampedOffset {
  readonly offset: number;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
}

export interface LogDependencies {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For flush.ms. The log cancels its own timers when it closes. */
  readonly timers: TimerQueue;
  /** Open files of inactive segments, bounded for all logs together. Default: one of its own. */
  readonly segmentCache?: SegmentCache;
  /** Memory for the newest batches, bounded for all logs together. Default: none. */
  readonly tailCache?: TailCache;
  /** Told of what recovery does, for all logs together. */
  readonly recoveryReport?: RecoveryReport;
  /** For segment.jitter.ms. Default: no jitter. */
  readonly random?: Random;
  /** Syncs of the directory above, shared with the other partitions in it. Default: its own. */
  readonly parentSync?: DirectorySync;
}

export interface LogOptions {
  /** The partition's own directory, e.g. /data/topic-0. Created when missing. */
  readonly directory: string;
  readonly config: LogConfig;
  /** Whether the log was closed by `close()`; otherwise what was not flushed is scanned (default). */
  readonly isClean?: boolean;
  /** What is known to be durable: everything below this offset. Default 0. */
  readonly recoveryPoint?: number;
  /** The cleaner has been up to here: segments below it may end before the next one begins. Default 0. */
  readonly cleanedOffset?: number;
  /** The log start offset that was checkpointed. Default 0. */
  readonly logStartOffset?: number;
  /** Nothing of that name is there for certain, so that nobody needs to look. Default false. */
  readonly isNew?: boolean;
  /** Written to partition.metadata when the directory is made, which the first write does. */
  readonly topicId?: Uuid;
  /** Told before the listener when the log fails (R9): the whole directory goes offline. */
  readonly onFailure?: (error: DiskError) => void;
  /**
   * The log is about to be cut. When it resolves, no checkpoint holds a recovery point above
   * `endOffset` or a log start above `logStartOffset`: else a crash would leave a log that looks damaged.
   */
  readonly beforeTruncation?: (limits: TruncationLimits) => Promise<void>;
}

export interface TruncationLimits {
  readonly endOffset: number;
  readonly logStartOffset: number;
}

export interface SegmentSummary {
  readonly baseOffset: number;
  /** Where the next segment begins, or the log ends. */
  readonly endOffset: number;
  readonly sizeBytes: number;
  /** -1: no batch has one. */
  readonly maxTimestampMs: number;
  readonly isActive: boolean;
}
