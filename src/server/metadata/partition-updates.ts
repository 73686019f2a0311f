import type { MetadataImage, PartitionImage, TopicImage } from "./image.ts";
import {
  type Candidates,
  changePartition,
  partitionChangeRecord,
  type PartitionTarget,
} from "./partition-change.ts";
import { partitionRules } from "./partition-rules.ts";
import type { TopicConfigs } from "./topic-configs.ts";

/** What shall become of one partition; null: it is left alone. */
export type TargetOf = (topic: TopicImage, partition: PartitionImage) => PartitionTarget | null;

/** Looks at every partition, and changes those that have a target. */
export function updatePartitions(
  image: MetadataImage,
  topicConfigs: TopicConfigs,
  targetOf: TargetOf,
  candidates: Candidates = {},
): Buffer[] {
  const rulesOf = partitionRules(image, topicConfigs);
  const records: Buffer[] = [];
  for (const topic of image.topicsById.values()) {
    for (const partition of topic.partitions) {
      const target = targetOf(topic, partition);
      if (target === null) continue;
      const change = changePartition(image, partition, rulesOf(topic), target, candidates);
      if (change !== null) records.push(partitionChangeRecord(topic, partition, change));
    }
  }
  return records;
}
