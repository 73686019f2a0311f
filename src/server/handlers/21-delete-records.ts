import { APIS } from "../../protocol/apis.ts";
import { KafkaError } from "../../protocol/errors.ts";
import type { DeleteRecordsRequest } from "../../protocol/messages/21-delete-records.ts";
import type { ReplicaManager } from "../../replica/manager.ts";
import { refusalOf } from "../../replica/refusal.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import { isInternalTopic } from "../metadata/topic-names.ts";

// DeleteRecords, versions 0-2 (KIP-107); 2 is flexible. The records are out of sight at once; the answer
// waits until no crash brings them back, which Kafka does not: it notes a log's start once a minute.
// The request's timeout is about replicas, of which there are no others yet.

type PartitionRequest = DeleteRecordsRequest["topics"][number]["partitions"][number];

interface PartitionAnswer {
  readonly partitionIndex: number;
  readonly lowWatermark: number;
  readonly errorCode: number;
}

/** The handler of DeleteRecords. */
export function deleteRecordsHandler(dependencies: {
  readonly replicas: ReplicaManager;
}): TypedApiHandler<typeof APIS.deleteRecords.request, typeof APIS.deleteRecords.response> {
  const { replicas } = dependencies;
  return handlerFor(APIS.deleteRecords, async (request) => {
    // All begin before one is waited for: their partitions' starts are noted together.
    const topics = request.topics.map(async ({ name, partitions }) => ({
      name,
      partitions: await Promise.all(partitions.map((each) => answerOf(replicas, name, each))),
    }));
    return { throttleTimeMs: 0, topics: await Promise.all(topics) };
  });
}

async function answerOf(
  replicas: ReplicaManager,
  topic: string,
  { partitionIndex, offset }: PartitionRequest,
): Promise<PartitionAnswer> {
  try {
    if (isInternalTopic(topic)) throw new KafkaError("INVALID_TOPIC_EXCEPTION");
    const partition = replicas.find(replicas.topicByName(topic), partitionIndex, false);
    if (typeof partition === "string") throw new KafkaError(partition);
    const lowWatermark = await replicas.deleteRecords(partition, offset);
    return { partitionIndex, lowWatermark, errorCode: 0 };
  } catch (error) {
    return { partitionIndex, lowWatermark: -1, errorCode: refusalOf(error).code };
  }
}
