import type { Uuid } from "../base/ids.ts";
import type { LogConfig } from "../storage/log.ts";
import type { PartitionLog } from "./partition-log.ts";

/** Where partitions' logs live: LogManager, as far as replicas need it. */
export interface LogStore {
  openLog(
    id: {
      readonly topic: string;
      readonly partitionIndex: number;
      readonly topicId: Uuid;
      readonly directoryId?: Uuid;
    },
    config: LogConfig,
  ): Promise<PartitionLog>;
  deleteLog(topic: string, partitionIndex: number): Promise<void>;
  /** Notes the log's start, durably. */
  checkpointLogStart(log: PartitionLog): Promise<void>;
  /** Notes how far the log is durable, durably. */
  checkpointRecoveryPoint(log: PartitionLog): Promise<void>;
  /** What replication-offset-checkpoint held when this process started. */
  checkpointedHighWatermark(topic: string, partitionIndex: number): number | undefined;
  /** Asked for what replication-offset-checkpoint is to hold. */
  setHighWatermarkSource(
    source: (topic: string, partitionIndex: number) => number | undefined,
  ): void;
}
