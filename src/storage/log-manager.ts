import { InvariantError } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Disk, DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Random } from "../base/random.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import type { Log, LogConfig } from "./log.ts";

export interface LogManagerDependencies {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly timers: TimerQueue;
}

export interface LogManagerOptions {
  readonly logDirs: readonly string[];
  readonly nodeId: number;
  /** null: keep the directories' own, or make one. */
  readonly clusterId: string | null;
  /** log.flush.offset.checkpoint.interval.ms; default 60000. */
  readonly checkpointIntervalMs?: number;
  /** replica.high.watermark.checkpoint.interval.ms; default 5000. */
  readonly highWatermarkCheckpointIntervalMs?: number;
  /** producer.id.expiration.ms; default 86400000. */
  readonly producerIdExpirationMs?: number;
}

export interface PartitionId {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid;
}

export interface LogDirectoryState {
  readonly path: string;
  readonly directoryId: Uuid;
  readonly isOnline: boolean;
}

/** A log directory that cannot be used as it is; the message names it and the way out. */
export class DirectoryError extends Error {
  override readonly name = "DirectoryError";
  readonly code: "LOCKED" | "OTHER_NODE" | "OTHER_CLUSTER" | "NOT_WRITABLE" | "DAMAGED_META";

  constructor(code: DirectoryError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/* eslint-disable @typescript-eslint/no-unused-vars -- the shape only; the body follows in the next commit */
export class LogManager {
  static open(
    dependencies: LogManagerDependencies,
    options: LogManagerOptions,
  ): Promise<LogManager> {
    throw new InvariantError("not built yet");
  }
  readonly clusterId: string = "";
  readonly previousBrokerEpoch: number | null = null;
  get directories(): readonly LogDirectoryState[] {
    return [];
  }
  /** Called when a directory goes offline (R9), after its logs were told. */
  setDirectoryListener(onOffline: (path: string, error: DiskError) => void): void {}
  /** What replication-offset-checkpoint holds; without one, each log's safe end (one replica). */
  setHighWatermarkSource(
    source: (topic: string, partitionIndex: number) => number | undefined,
  ): void {}
  openLog(id: PartitionId, config: LogConfig): Promise<Log> {
    throw new InvariantError("not built yet");
  }
  log(topic: string, partitionIndex: number): Log | undefined {
    return undefined;
  }
  deleteLog(topic: string, partitionIndex: number): Promise<void> {
    throw new InvariantError("not built yet");
  }
  partitionsOnDisk(): readonly PartitionId[] {
    return [];
  }
  close(brokerEpoch: number | null): Promise<void> {
    throw new InvariantError("not built yet");
  }
}
