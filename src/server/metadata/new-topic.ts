import type { CreatableTopic } from "./create-topics.ts";
import { GROUP_METADATA_TOPIC } from "./topic-names.ts";

/** What the broker's offsets.topic.* settings say. */
export interface InternalTopicOptions {
  readonly offsetsPartitions: number;
  readonly offsetsReplicationFactor: number;
  readonly offsetsSegmentBytes: number;
}

/** A topic that nobody described: as the broker's settings say, internal ones as their owner needs. */
export function newTopic(name: string, options: InternalTopicOptions): CreatableTopic {
  if (name !== GROUP_METADATA_TOPIC) {
    return { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] };
  }
  return {
    name,
    numPartitions: options.offsetsPartitions,
    replicationFactor: options.offsetsReplicationFactor,
    assignments: [],
    configs: [
      { name: "cleanup.policy", value: "compact" },
      { name: "compression.type", value: "producer" },
      { name: "segment.bytes", value: String(options.offsetsSegmentBytes) },
    ],
  };
}
