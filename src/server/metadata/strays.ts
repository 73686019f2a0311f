import type { Uuid } from "../../base/ids.ts";
import type { Logger } from "../../base/logger.ts";
import type { MetadataImage } from "./image.ts";

/** LogManager, as far as directories without a topic are concerned. */
export interface StoredPartitions {
  partitionsOnDisk(): readonly {
    readonly topic: string;
    readonly partitionIndex: number;
    readonly topicId: Uuid;
  }[];
  deleteLog(topic: string, partitionIndex: number): Promise<void>;
}

/**
 * After a crash, directories may lie here that the metadata does not know. Those of a topic that the
 * log says was deleted are deleted now; any other is left and named, since the metadata, not the data,
 * may be what is missing. One whose place a newer topic takes is the log manager's matter (E16).
 */
export async function removeStrays(
  stored: StoredPartitions,
  image: MetadataImage,
  removedTopicIds: ReadonlySet<Uuid>,
  logger: Logger,
): Promise<void> {
  for (const { topic, partitionIndex, topicId } of stored.partitionsOnDisk()) {
    if (image.topicsByName.get(topic)?.partitions[partitionIndex] !== undefined) continue;
    if (removedTopicIds.has(topicId)) {
      await stored.deleteLog(topic, partitionIndex);
      logger.info({ topic, partitionIndex, topicId }, "deleted what was left of a deleted topic");
    } else {
      logger.warn({ topic, partitionIndex, topicId }, "this partition belongs to no known topic");
    }
  }
}
