import type { Clock } from "../base/clock.ts";
import { type Disk, DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { DirectoryError } from "../storage/log-manager.ts";
import { Log } from "../storage/log.ts";
import { DEFAULT_LOG_CONFIG, type LogConfig } from "../storage/log-config.ts";
import { TailCache } from "../storage/tail-cache.ts";
import { LOG_BEGINNING } from "./core/log-view.ts";
import type { SnapshotId } from "./core/messages.ts";
import { DurablePoint } from "./durable-point.ts";
import { Snapshots } from "./snapshots.ts";

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

export interface MetadataLogOptions {
  readonly logDirectory: string;
  /** Whether this node is the only one that has, or had, a part in the quorum. */
  readonly isLone: boolean;
  readonly onDiskFailure: (error: DiskError) => void;
}

/** For followers, which are at the end of the log nearly always, and for what they have just fetched. */
const TAIL_CACHE_BYTES = 4 * 1024 * 1024;

export interface MetadataLog {
  readonly log: Log;
  readonly directory: string;
  readonly durablePoint: DurablePoint;
  readonly snapshots: Snapshots;
}

/**
 * Opens the metadata log in the directory, or makes it. It is checked whole, as after a crash. What is
 * not whole at its end was not synced, so nobody was told of it, and is cut. What is damaged or missing
 * below the durable point was promised: the node must not go on without it (R10, R12). Throws
 * DirectoryError then, DiskError.
 */
export async function openMetadataLog(
  ports: MetadataLogPorts,
  { logDirectory, isLone, onDiskFailure }: MetadataLogOptions,
): Promise<MetadataLog> {
  const directory = `${logDirectory}/${METADATA_PARTITION}`;
  await ports.disk.mkdir(directory);
  try {
    // What is kept in it beside the log is promised before anything is appended (K6).
    await ports.disk.syncDir(logDirectory);
  } catch (error) {
    // Nobody may sync it again (R9).
    if (error instanceof DiskError) onDiskFailure(error);
    throw error;
  }
  const durablePoint = await DurablePoint.open({ ...ports, onDiskFailure }, directory);
  const tailCache = new TailCache({ capacityBytes: isLone ? 0 : TAIL_CACHE_BYTES });
  const log = await Log.open(
    { ...ports, tailCache },
    {
      directory,
      config: METADATA_LOG_CONFIG,
      topicId: METADATA_TOPIC_ID,
      recoveryPoint: durablePoint.offset,
      onFailure: onDiskFailure,
      beforeTruncation: ({ endOffset }) => durablePoint.retreat(endOffset),
    },
  );
  const snapshots = await Snapshots.open(ports, directory);
  const newest = snapshots.newest?.id ?? LOG_BEGINNING;
  const damage = damageOf(log, newest);
  if (damage !== null) {
    await log.abandon();
    throw new DirectoryError(
      "DAMAGED_META",
      `${directory} is damaged below what was synced (${damage}), ` +
        (isLone ? WAY_OUT_ALONE : WAY_OUT_WITH_OTHERS),
    );
  }
  // A crash came after a leader's snapshot had got its name, and before the log began at it.
  if (!holds(log, newest)) await log.truncateFullyAndStartAt(newest.endOffset);
  return { log, directory, durablePoint, snapshots };
}

function holds(log: Log, { endOffset, epoch }: SnapshotId): boolean {
  if (endOffset <= log.logStartOffset) return true;
  return endOffset <= log.logEndOffset && log.leaderEpochAt(endOffset - 1) === epoch;
}

const WAY_OUT_ALONE =
  "and no other node has a copy: restore it from a backup; without it the cluster's topics are unknown";
/** What this node had promised to keep may be what a majority rests on: it must not go on with less. */
const WAY_OUT_WITH_OTHERS =
  "and what it has promised is not known any more: give this node an empty log directory; " +
  "as a controller it has to be removed from the quorum and added again (kafka-metadata-quorum)";

function damageOf(log: Log, newestSnapshot: SnapshotId): string | null {
  if (log.logStartOffset > newestSnapshot.endOffset) {
    return `it begins at offset ${log.logStartOffset}, and no sound snapshot reaches that far`;
  }
  for (const segment of log.segments.list) {
    const [stretch] = segment.damage.all;
    if (stretch === undefined) continue;
    const { position, offset, reason } = stretch;
    return `${segment.path(".log")}, position ${position}, offset ${offset}: ${reason}`;
  }
  return null;
}
