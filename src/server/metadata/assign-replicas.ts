import type { CONTROLLER_APIS } from "../../protocol/apis.ts";
import type { Uuid } from "../../base/ids.ts";
import { errorCode, type ErrorName } from "../../protocol/errors.ts";
import type { Infer } from "../../protocol/schema.ts";
import { currentIncarnation, isSafeMember } from "./broker-fencing.ts";
import type { ControllerResult } from "./controller.ts";
import type { MetadataImage } from "./image.ts";
import { changePartition, partitionChangeRecord } from "./partition-change.ts";
import { partitionRules } from "./partition-rules.ts";
import type { TopicConfigs } from "./topic-configs.ts";

export type AssignReplicasCommand = Infer<typeof CONTROLLER_APIS.assignReplicasToDirs.request>;
export type AssignedDirectories = Infer<
  typeof CONTROLLER_APIS.assignReplicasToDirs.response
>["directories"];

/**
 * AssignReplicasToDirs: where a broker's replicas lie, so that a wiped directory is noticed (R5). A replica
 * that lies in a directory that has failed since leaves ISR and ELR, as all that were in it did (R9).
 * Throws KafkaError STALE_BROKER_EPOCH.
 */
export function assignReplicasToDirs(
  image: MetadataImage,
  { brokerId, brokerEpoch, directories }: AssignReplicasCommand,
  topicConfigs: TopicConfigs,
): ControllerResult<AssignedDirectories> {
  const broker = currentIncarnation(image, { brokerId, brokerEpoch });
  const rulesOf = partitionRules(image, topicConfigs);
  const records: Buffer[] = [];
  const assign = (directoryId: Uuid, topicId: Uuid, index: number): ErrorName => {
    const topic = image.topicsById.get(topicId);
    if (topic === undefined) return "UNKNOWN_TOPIC_ID";
    const partition = topic.partitions[index];
    if (partition === undefined) return "UNKNOWN_TOPIC_OR_PARTITION";
    if (!partition.replicas.includes(brokerId)) return "NOT_LEADER_OR_FOLLOWER";
    const isLost = !broker.logDirs.includes(directoryId) && isSafeMember(partition, brokerId);
    const change = changePartition(image, partition, rulesOf(topic), {
      directory: { brokerId, directoryId },
      ...(isLost ? { uncleanReplica: brokerId } : {}),
    });
    if (change !== null) records.push(partitionChangeRecord(topic, partition, change));
    return "NONE";
  };
  const answer = directories.map(({ id, topics }) => ({
    id,
    topics: topics.map(({ topicId, partitions }) => ({
      topicId,
      partitions: partitions.map(({ partitionIndex }) => {
        const error = assign(id, topicId, partitionIndex);
        return { partitionIndex, errorCode: errorCode(error) };
      }),
    })),
  }));
  return { records, answer };
}
