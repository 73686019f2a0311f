import type { ControllerResult } from "./controller.ts";
import { electionRecord } from "./elect-leaders.ts";
import { type MetadataImage, NO_LEADER } from "./image.ts";
import { changePartition, partitionChangeRecord } from "./partition-change.ts";
import { partitionRules } from "./partition-rules.ts";
import type { TopicConfigs } from "./topic-configs.ts";

/** Kafka's bound on the elections of one look (ReplicationControlManager). */
export const MAX_ELECTIONS_PER_LOOK = 1000;

/** Answers whether there may be more to do at once. */
type Look = ControllerResult<{ readonly hasMore: boolean }>;

/**
 * auto.leader.rebalance.enable: gives partitions back to their first replicas, where those have all that is
 * committed. As in Kafka 4 any imbalance counts, every leader.imbalance.check.interval.seconds.
 */
export function balanceLeaders(
  image: MetadataImage,
  topicConfigs: TopicConfigs,
  maxElections = MAX_ELECTIONS_PER_LOOK,
): Look {
  const rulesOf = partitionRules(image, topicConfigs);
  const records: Buffer[] = [];
  for (const topic of image.topicsById.values()) {
    for (const partition of topic.partitions) {
      const [preferred] = partition.replicas;
      if (partition.leader === preferred) continue;
      if (records.length === maxElections) return { records, answer: { hasMore: true } };
      const target = { election: { kind: "preferred" } } as const;
      const change = changePartition(image, partition, rulesOf(topic), target);
      if (change?.leader !== preferred || change === null) continue;
      records.push(partitionChangeRecord(topic, partition, change));
    }
  }
  return { records, answer: { hasMore: false } };
}

/**
 * Elects where nobody leads and somebody may: what a controller left undone that failed between two
 * batches, and, every unclean.leader.election.interval.ms, what has become allowed since.
 */
export function electWhereLeaderless(
  image: MetadataImage,
  topicConfigs: TopicConfigs,
  maxElections = MAX_ELECTIONS_PER_LOOK,
): Look {
  const rulesOf = partitionRules(image, topicConfigs);
  const records: Buffer[] = [];
  for (const topic of image.topicsById.values()) {
    for (const partition of topic.partitions) {
      if (partition.leader !== NO_LEADER) continue;
      if (records.length === maxElections) return { records, answer: { hasMore: true } };
      const record = electionRecord(image, topic, partition, rulesOf(topic), { kind: "online" });
      if (record !== null) records.push(record);
    }
  }
  return { records, answer: { hasMore: false } };
}
