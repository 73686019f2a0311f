import { writeSynced } from "./atomic-file.ts";
import type { DirectorySync } from "./directory-sync.ts";
import { encodePartitionMetadata } from "./partition-metadata.ts";
import { PARTITION_METADATA } from "./file-names.ts";
import { LeaderEpochs } from "./leader-epochs.ts";
import type { LogOptions } from "./log-config.ts";
import { ProducerState } from "./producer-state.ts";
import type { RecoveredLog } from "./recovery.ts";
import type { SegmentDependencies } from "./segment.ts";

/**
 * Makes the directory of a log that has no segment, durably: a directory that cannot say whose it is
 * would be taken for a stray. The first segment's file is made with the first write, so that hundreds
 * of empty partitions cost little. Throws DiskError.
 */
export async function createLog(
  { disk }: SegmentDependencies,
  options: LogOptions,
  parentSync: DirectorySync,
): Promise<RecoveredLog> {
  const { directory } = options;
  await disk.mkdir(directory);
  if (options.topicId !== undefined) {
    const content = encodePartitionMetadata(options.topicId);
    await writeSynced(disk, `${directory}/${PARTITION_METADATA}`, content);
    await disk.syncDir(directory);
  }
  await parentSync.sync();
  // Offsets below the recovery point were given out once, even if nothing is left of them.
  const startOffset = Math.max(options.logStartOffset ?? 0, options.recoveryPoint ?? 0);
  return {
    isNew: true,
    segments: [],
    epochs: new LeaderEpochs(),
    producers: new ProducerState(),
    logEndOffset: startOffset,
    flushedEndOffset: startOffset,
  };
}
