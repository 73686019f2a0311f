import { writeUnsynced } from "./atomic-file.ts";
import { encodePartitionMetadata } from "./partition-metadata.ts";
import { PARTITION_METADATA } from "./file-names.ts";
import { LeaderEpochs } from "./leader-epochs.ts";
import type { LogOptions } from "./log-config.ts";
import { ProducerState } from "./producer-state.ts";
import type { RecoveredLog } from "./recovery.ts";
import type { SegmentDependencies } from "./segment.ts";

/**
 * Makes the directory of a log that has no segment. It survives the process; that it survives the power
 * is seen to before the first segment's file is made, which the first write does, so that a thousand
 * empty partitions cost no sync. Until then a power cut leaves nothing that a new one lacks. Throws
 * DiskError.
 */
export async function createLog(
  { disk }: SegmentDependencies,
  options: LogOptions,
): Promise<RecoveredLog> {
  const { directory } = options;
  await disk.mkdir(directory);
  if (options.topicId !== undefined) {
    const content = encodePartitionMetadata(options.topicId);
    await writeUnsynced(disk, `${directory}/${PARTITION_METADATA}`, content);
  }
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
