import { CONTROLLER_APIS } from "../../protocol/apis.ts";
import { errorCode, type ErrorName } from "../../protocol/errors.ts";
import { decodeMetadataRecord } from "../../protocol/metadata-records.ts";
import type { Infer } from "../../protocol/schema.ts";
import { currentIncarnation } from "./broker-fencing.ts";
import type { ControllerResult } from "./controller.ts";
import type { MetadataImage, PartitionImage, TopicImage } from "./image.ts";
import { RECOVERING } from "./leader-election.ts";
import { changePartition, partitionChangeRecord } from "./partition-change.ts";
import { partitionRules, type RulesOf } from "./partition-rules.ts";
import { mergeChange } from "./record-replay.ts";
import { holdsReplica } from "./replica-directories.ts";
import type { TopicConfigs } from "./topic-configs.ts";

export type AlterPartitionCommand = Infer<typeof CONTROLLER_APIS.alterPartition.request>;
type Response = Infer<typeof CONTROLLER_APIS.alterPartition.response>;
export type AlteredTopics = Response["topics"];
type Wanted = AlterPartitionCommand["topics"][number]["partitions"][number];
type Altered = AlteredTopics[number]["partitions"][number];

/** Kafka's LeaderRecoveryState of a leader that has settled what is committed. */
const RECOVERED = 0;

/**
 * AlterPartition: a leader changes the ISR of what it leads, if nothing has changed since it looked: leader
 * epoch and partition epoch are compared, and each member must be the incarnation that the leader has
 * heard, active, and with its directory (R-12, KIP-903). Refusals are Kafka's (ReplicationControlManager).
 * Completes a reassignment that has caught up. Throws KafkaError STALE_BROKER_EPOCH.
 */
export function alterPartition(
  image: MetadataImage,
  { brokerId, brokerEpoch, topics }: AlterPartitionCommand,
  topicConfigs: TopicConfigs,
): ControllerResult<AlteredTopics> {
  currentIncarnation(image, { brokerId, brokerEpoch });
  const rulesOf = partitionRules(image, topicConfigs);
  const records: Buffer[] = [];
  const seen = new Set<PartitionImage>();
  const answer = topics.map(({ topicId, partitions }) => {
    const topic = image.topicsById.get(topicId);
    const altered = partitions.map((wanted) => {
      if (topic === undefined) return refusal(wanted, "UNKNOWN_TOPIC_ID");
      const partition = topic.partitions[wanted.partitionIndex];
      if (partition === undefined) return refusal(wanted, "UNKNOWN_TOPIC_OR_PARTITION");
      // Named twice: the second would be compared with what the first has already changed.
      const error = seen.has(partition)
        ? "INVALID_UPDATE_VERSION"
        : problemOf(image, brokerId, partition, wanted);
      if (error !== null) return refusal(wanted, error);
      seen.add(partition);
      const { record, result } = alter(image, { topic, partition, wanted, rulesOf });
      if (record !== null) records.push(record);
      return result;
    });
    return { topicId, partitions: altered };
  });
  return { records, answer };
}

interface Alteration {
  readonly topic: TopicImage;
  readonly partition: PartitionImage;
  readonly wanted: Wanted;
  readonly rulesOf: RulesOf;
}

function alter(
  image: MetadataImage,
  { topic, partition, wanted, rulesOf }: Alteration,
): { readonly record: Buffer | null; readonly result: Altered } {
  const change = changePartition(image, partition, rulesOf(topic), {
    isr: wanted.newIsrWithEpochs.map(({ brokerId }) => brokerId),
    leaderRecoveryState: wanted.leaderRecoveryState,
    isAskedByLeader: true,
  });
  if (change === null) return { record: null, result: stateOf(partition) };
  const record = partitionChangeRecord(topic, partition, change);
  const next = mergedWith(partition, record);
  // It has completed a reassignment that takes the leader itself away.
  const result =
    next.leader === partition.leader ? stateOf(next) : refusal(wanted, "NEW_LEADER_ELECTED");
  return { record, result };
}

function mergedWith(partition: PartitionImage, value: Buffer): PartitionImage {
  const entry = decodeMetadataRecord(value);
  return entry.kind === "partitionChange" ? mergeChange(partition, entry.record) : partition;
}

function problemOf(
  image: MetadataImage,
  brokerId: number,
  partition: PartitionImage,
  wanted: Wanted,
): ErrorName | null {
  const { leaderEpoch, partitionEpoch } = wanted;
  // The leader knows more than this node: another controller is active.
  if (leaderEpoch > partition.leaderEpoch) return "NOT_CONTROLLER";
  if (partitionEpoch > partition.partitionEpoch) return "NOT_CONTROLLER";
  if (leaderEpoch < partition.leaderEpoch) return "FENCED_LEADER_EPOCH";
  if (brokerId !== partition.leader) return "INVALID_REQUEST";
  if (partitionEpoch < partition.partitionEpoch) return "INVALID_UPDATE_VERSION";
  return isrProblem(image, partition, wanted);
}

function isrProblem(
  image: MetadataImage,
  partition: PartitionImage,
  { newIsrWithEpochs, leaderRecoveryState }: Wanted,
): ErrorName | null {
  const ids = newIsrWithEpochs.map(({ brokerId }) => brokerId);
  const isSet = ids.length > 0 && new Set(ids).size === ids.length;
  if (!isSet || !ids.every((id) => partition.replicas.includes(id))) return "INVALID_REQUEST";
  if (!ids.includes(partition.leader)) return "INVALID_REQUEST";
  if (leaderRecoveryState !== RECOVERED && leaderRecoveryState !== RECOVERING) {
    return "INVALID_REQUEST";
  }
  const isRecovering = leaderRecoveryState === RECOVERING;
  // Until it has settled what is committed, nobody can be in sync with it.
  if (isRecovering && ids.length > 1) return "INVALID_REQUEST";
  if (isRecovering && partition.leaderRecoveryState === RECOVERED) return "INVALID_REQUEST";
  const isEligible = newIsrWithEpochs.every(({ brokerId, brokerEpoch }) => {
    const broker = image.brokers.get(brokerId);
    if (broker?.brokerEpoch !== brokerEpoch) return false;
    return !broker.isFenced && !broker.isInControlledShutdown && holdsReplica(broker, partition);
  });
  return isEligible ? null : "INELIGIBLE_REPLICA";
}

function stateOf(partition: PartitionImage): Altered {
  return {
    partitionIndex: partition.partitionIndex,
    errorCode: 0,
    leaderId: partition.leader,
    leaderEpoch: partition.leaderEpoch,
    isr: [...partition.isr],
    leaderRecoveryState: partition.leaderRecoveryState,
    partitionEpoch: partition.partitionEpoch,
  };
}

function refusal({ partitionIndex }: Wanted, error: ErrorName): Altered {
  return {
    ...{ partitionIndex, errorCode: errorCode(error) },
    ...{ leaderId: 0, leaderEpoch: 0, isr: [], leaderRecoveryState: 0, partitionEpoch: 0 },
  };
}
