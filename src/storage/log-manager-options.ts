import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Offload } from "../base/offload.ts";
import type { Random } from "../base/random.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import type { LogCleanerOptions } from "./log-cleaner.ts";

export interface LogManagerDependencies {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly timers: TimerQueue;
  /** For compaction; without it nothing is compacted. */
  readonly offload?: Offload;
}

export interface LogManagerOptions {
  readonly logDirs: readonly string[];
  readonly nodeId: number;
  /** null: keep the directories' own, or make one. */
  readonly clusterId: string | null;
  /** Whether a cluster may begin here, with an id of its own making (R14); default: it may. */
  readonly mayMakeClusterId?: boolean;
  /** log.flush.offset.checkpoint.interval.ms; default 60000. */
  readonly checkpointIntervalMs?: number;
  /** replica.high.watermark.checkpoint.interval.ms; default 5000. */
  readonly highWatermarkCheckpointIntervalMs?: number;
  /** producer.id.expiration.ms, asked for at each use; default 86400000. */
  readonly producerIdExpirationMs?: () => number;
  /** holdfast.tail.cache.bytes; default 0: none. */
  readonly tailCacheBytes?: number;
  /** log.retention.check.interval.ms; default 300000. */
  readonly retentionCheckIntervalMs?: number;
  /** log.initial.task.delay.ms; default 30000. */
  readonly initialTaskDelayMs?: number;
  /** Default: nothing is compacted (log.cleaner.enable). */
  readonly cleaner?: LogCleanerOptions;
  /** How many files this process may open; default: enough. */
  readonly maxOpenFiles?: number;
}

export interface PartitionId {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid;
  /** Where the cluster knows it to lie: that one counts when a crash has left two. */
  readonly directoryId?: Uuid;
}

/** A log that was to be moved to the directory of that path when the last run ended. */
export interface InterruptedMove {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid | null;
  readonly path: string;
}

export interface LogDirectoryState {
  readonly path: string;
  /** null: it could not be read at the start. */
  readonly directoryId: Uuid | null;
  /** Whether its partitions are served. A full one is online: what fits is served. */
  readonly isOnline: boolean;
}
