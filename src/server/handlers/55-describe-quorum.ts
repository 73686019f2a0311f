import { ZERO_UUID } from "../../base/ids.ts";
import { APIS } from "../../protocol/apis.ts";
import { errorCode, errorMessage } from "../../protocol/errors.ts";
import type {
  DescribeQuorumRequest,
  DescribeQuorumResponse,
} from "../../protocol/messages/55-describe-quorum.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { DESCRIBE_QUORUM } from "../metadata/quorum-commands.ts";
import { CLUSTER_METADATA_TOPIC } from "../metadata/topic-names.ts";
import { QUORUM_TIMEOUT_MS } from "./raft-voters.ts";

// DescribeQuorum, versions 0-2 (KIP-595): 1 added times (KIP-836), 2 messages, directory ids and where
// the voters listen (KIP-853). Any node answers: it asks the active controller.

type Partition = DescribeQuorumResponse["topics"][number]["partitions"][number];

const FIRST_VERSION_WITH_DIRECTORIES = 2;

export function describeQuorumHandler({
  metadata,
}: {
  readonly metadata: Pick<MetadataManager, "execute">;
}): TypedApiHandler<typeof APIS.describeQuorum.request, typeof APIS.describeQuorum.response> {
  return handlerFor(APIS.describeQuorum, async (request, { apiVersion }) => {
    if (!isOfTheMetadataLog(request)) {
      const none = { errorCode: errorCode("NONE"), errorMessage: null };
      return { ...none, topics: unknownPartitions(request), nodes: [] };
    }
    const answer = await metadata.execute(DESCRIBE_QUORUM, request, QUORUM_TIMEOUT_MS);
    return apiVersion >= FIRST_VERSION_WITH_DIRECTORIES ? answer : withoutDirectories(answer);
  });
}

function withoutDirectories(answer: DescribeQuorumResponse): DescribeQuorumResponse {
  const bare = (replicas: Partition["currentVoters"]) =>
    replicas.map((each) => ({ ...each, replicaDirectoryId: ZERO_UUID }));
  return {
    ...answer,
    topics: answer.topics.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.map((partition) => ({
        ...partition,
        currentVoters: bare(partition.currentVoters),
        observers: bare(partition.observers),
      })),
    })),
    nodes: [],
  };
}

function isOfTheMetadataLog({ topics }: DescribeQuorumRequest): boolean {
  const [topic, ...otherTopics] = topics;
  const [partition, ...otherPartitions] = topic?.partitions ?? [];
  return (
    topic?.topicName === CLUSTER_METADATA_TOPIC &&
    partition?.partitionIndex === 0 &&
    otherTopics.length + otherPartitions.length === 0
  );
}

function unknownPartitions({ topics }: DescribeQuorumRequest): DescribeQuorumResponse["topics"] {
  return topics.map(({ topicName, partitions }) => ({
    topicName,
    partitions: partitions.map(({ partitionIndex }) => unknownPartition(partitionIndex)),
  }));
}

function unknownPartition(partitionIndex: number): Partition {
  return {
    partitionIndex,
    errorCode: errorCode("UNKNOWN_TOPIC_OR_PARTITION"),
    errorMessage: errorMessage("UNKNOWN_TOPIC_OR_PARTITION"),
    leaderId: 0,
    leaderEpoch: 0,
    highWatermark: 0,
    currentVoters: [],
    observers: [],
  };
}
