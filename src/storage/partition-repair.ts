import type { Disk } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { replaceFile } from "./atomic-file.ts";
import { PARTITION_METADATA } from "./file-names.ts";
import { readUnlessMissing } from "./log-files.ts";
import { encodePartitionMetadata, isDamagedMetadataOf } from "./partition-metadata.ts";

/**
 * Whether the partition's directory is the topic's, with a bit of its partition.metadata flipped: then
 * that is put right. Otherwise the directory would be moved aside as another topic's, and the partition
 * led empty (E14). Throws DiskError.
 */
export async function repairPartitionMetadata(
  { disk, logger }: { readonly disk: Disk; readonly logger: Logger },
  directory: string,
  topicId: Uuid,
): Promise<boolean> {
  const path = `${directory}/${PARTITION_METADATA}`;
  const bytes = await readUnlessMissing(disk, path);
  if (bytes === null || !isDamagedMetadataOf(topicId, bytes)) return false;
  // No sync of the name: a power cut that brings the old file back has it put right again.
  await replaceFile(disk, path, encodePartitionMetadata(topicId));
  logger.error({ file: path, topicId }, "a bit of the topic's id was flipped: put right");
  return true;
}
