import type { Disk } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import { writeSynced } from "./atomic-file.ts";
import type { DirectorySync } from "./directory-sync.ts";
import { PARTITION_METADATA } from "./file-names.ts";
import { LeaderEpochs } from "./leader-epochs.ts";
import type { LogOptions } from "./log-config.ts";
import { encodePartitionMetadata } from "./partition-metadata.ts";
import { ProducerState } from "./producer-state.ts";
import type { RecoveredLog } from "./recovery.ts";

/** Whose the directory is, and the syncs of the one that it lies in. */
export interface LogOwner {
  readonly topicId: Uuid | undefined;
  readonly parentSync: DirectorySync;
}

/**
 * A log that has no segment. Its directory is made with its first write, so that a thousand empty
 * partitions cost the disk nothing, and a power cut before leaves nothing that is missed.
 */
export function emptyLog(options: LogOptions): RecoveredLog {
  // Offsets below the recovery point were given out once, even if nothing is left of them.
  const startOffset = Math.max(options.logStartOffset ?? 0, options.recoveryPoint ?? 0);
  return {
    segments: [],
    epochs: new LeaderEpochs(),
    producers: new ProducerState(),
    logEndOffset: startOffset,
    flushedEndOffset: startOffset,
  };
}

/**
 * Makes the directory of a log, durably, or goes on with what a crash has left of that: one that cannot
 * say whose it is would be taken for a stray, with all that is in it. Throws DiskError.
 */
export async function makeLogDirectory(
  disk: Disk,
  directory: string,
  { topicId, parentSync }: LogOwner,
): Promise<void> {
  await disk.mkdir(directory);
  if (topicId !== undefined) {
    const content = encodePartitionMetadata(topicId);
    await writeSynced(disk, `${directory}/${PARTITION_METADATA}`, content);
  }
  await Promise.all([disk.syncDir(directory), parentSync.sync()]);
}
