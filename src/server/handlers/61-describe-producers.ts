import { APIS } from "../../protocol/apis.ts";
import { errorCode, errorMessage, type ErrorName } from "../../protocol/errors.ts";
import type { DescribeProducersResponse } from "../../protocol/messages/61-describe-producers.ts";
import type { ReplicaManager } from "../../replica/manager.ts";
import type { Partition } from "../../replica/partition.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import { topicNameProblem } from "../metadata/topic-names.ts";

// DescribeProducers, version 0 (KIP-664): the idempotent and transactional producers that a partition
// knows, as its leader does.

type PartitionAnswer = DescribeProducersResponse["topics"][number]["partitions"][number];
type ActiveProducer = PartitionAnswer["activeProducers"][number];

export function describeProducersHandler({
  replicas,
}: {
  readonly replicas: ReplicaManager;
}): TypedApiHandler<typeof APIS.describeProducers.request, typeof APIS.describeProducers.response> {
  return handlerFor(APIS.describeProducers, ({ topics }) => ({
    throttleTimeMs: 0,
    topics: topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((index) => answerOf(replicas, name, index)),
    })),
  }));
}

function answerOf(
  replicas: ReplicaManager,
  topic: string,
  partitionIndex: number,
): PartitionAnswer {
  const problem = topicNameProblem(topic);
  if (problem !== null) return refused(partitionIndex, "INVALID_TOPIC_EXCEPTION", problem);
  const partition = replicas.find(replicas.topicByName(topic), partitionIndex, false);
  if (typeof partition === "string") return refused(partitionIndex, partition);
  const refusal = partition.refusal(-1);
  if (refusal !== null) return refused(partitionIndex, refusal);
  return {
    partitionIndex,
    errorCode: errorCode("NONE"),
    errorMessage: null,
    activeProducers: activeProducers(partition),
  };
}

/** Of each producer the newest batch: its entries come oldest first. */
function activeProducers({ log }: Partition): ActiveProducer[] {
  const newest = new Map<number, ActiveProducer>();
  for (const entry of log.producerEntries()) {
    newest.set(entry.producerId, {
      producerId: entry.producerId,
      producerEpoch: entry.epoch,
      lastSequence: entry.lastSequence,
      lastTimestamp: entry.timestamp,
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTxnStartOffset: entry.currentTxnFirstOffset,
    });
  }
  return [...newest.values()];
}

function refused(
  partitionIndex: number,
  error: ErrorName,
  message = errorMessage(error),
): PartitionAnswer {
  return {
    partitionIndex,
    errorCode: errorCode(error),
    errorMessage: message,
    activeProducers: [],
  };
}
