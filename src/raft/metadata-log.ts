import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { DirectoryError } from "../storage/log-manager.ts";
import { Log } from "../storage/log.ts";
import { DEFAULT_LOG_CONFIG, type LogConfig } from "../storage/log-config.ts";

export interface MetadataLogPorts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly timers: TimerQueue;
}

/** Kafka's name of the partition; its directory lies beside those of the topics. */
export const METADATA_PARTITION = "__cluster_metadata-0";

/** Kafka's fixed id of the topic `__cluster_metadata`. */
const METADATA_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ" as Uuid;

/** Kafka's metadata.log.* defaults; one message makes a sync due (R12), whatever the topics' policy is. */
const METADATA_LOG_CONFIG: LogConfig = {
  ...DEFAULT_LOG_CONFIG,
  flushMessages: 1,
  maxMessageBytes: 2 ** 31 - 1,
  timestampAfterMaxMs: Infinity,
  // Only a snapshot of the metadata may take the place of its records.
  cleanupPolicy: { compacts: false, deletes: false },
};

/**
 * Opens the metadata log in the directory, or makes it. It is scanned whole, as after a crash: it is
 * small, and everything in it was acknowledged to somebody. Throws DiskError, and DirectoryError when
 * it is damaged where it was durable (R10): nobody else has a copy yet.
 */
export async function openMetadataLog(
  ports: MetadataLogPorts,
  logDirectory: string,
): Promise<{ readonly log: Log; readonly directory: string }> {
  const directory = `${logDirectory}/${METADATA_PARTITION}`;
  const log = await Log.open(ports, {
    directory,
    config: METADATA_LOG_CONFIG,
    topicId: METADATA_TOPIC_ID,
  });
  const { failure } = log;
  if (failure !== null) {
    await log.close();
    throw new DirectoryError(
      "DAMAGED_META",
      `${directory} is damaged below what was synced (${failure.message}), and no other node has a ` +
        "copy: restore it from a backup; without it the cluster's topics are unknown",
      { cause: failure },
    );
  }
  return { log, directory };
}
