import type { DiskError } from "../base/disk.ts";
import { InvariantError } from "../base/assert.ts";
import type { Offload } from "../base/offload.ts";
import type {
  LogAppendOptions,
  LogAppendResult,
  LogConfig,
  LogDependencies,
  LogListener,
  LogOptions,
  LogReadOptions,
  LogReadResult,
  TimestampedOffset,
} from "./log-config.ts";

export type {
  LogAppendOptions,
  LogAppendResult,
  LogConfig,
  LogDependencies,
  LogListener,
  LogOptions,
  LogReadOptions,
  LogReadResult,
  TimestampedOffset,
} from "./log-config.ts";

/* eslint-disable @typescript-eslint/no-unused-vars -- the shape only; the body follows in the next commit */
export class Log {
  static open(dependencies: LogDependencies, options: LogOptions): Promise<Log> {
    throw new InvariantError("not built yet");
  }

  readonly directory: string = "";
  get logStartOffset(): number {
    return 0;
  }
  /** Assigned. */
  get logEndOffset(): number {
    return 0;
  }
  get writtenEndOffset(): number {
    return 0;
  }
  get flushedEndOffset(): number {
    return 0;
  }
  get safeEndOffset(): number {
    return 0;
  }
  get latestLeaderEpoch(): number {
    return -1;
  }
  get failure(): DiskError | null {
    return null;
  }
  setListener(listener: LogListener): void {}
  updateConfig(config: LogConfig): void {}
  append(batch: Buffer, options: LogAppendOptions): LogAppendResult {
    throw new InvariantError("not built yet");
  }
  read(options: LogReadOptions): Promise<LogReadResult> {
    throw new InvariantError("not built yet");
  }
  findByTimestamp(
    timestampMs: bigint,
    endOffset: number,
    offload: Offload,
  ): Promise<TimestampedOffset | null> {
    throw new InvariantError("not built yet");
  }
  findMaxTimestamp(endOffset: number, offload: Offload): Promise<TimestampedOffset | null> {
    throw new InvariantError("not built yet");
  }
  /** The epoch of the batch at the offset (or of the next one to come there); -1 when none is known. */
  leaderEpochAt(offset: number): number {
    return -1;
  }
  endOffsetForEpoch(epoch: number): { leaderEpoch: number; endOffset: number } {
    throw new InvariantError("not built yet");
  }
  flush(): Promise<void> {
    throw new InvariantError("not built yet");
  }
  close(): Promise<void> {
    throw new InvariantError("not built yet");
  }
}
