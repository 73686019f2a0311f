import type { Clock } from "../../base/clock.ts";
import { type Uuid, ZERO_UUID } from "../../base/ids.ts";
import { APIS } from "../../protocol/apis.ts";
import { errorCode, errorMessage } from "../../protocol/errors.ts";
import type {
  DescribeQuorumRequest,
  DescribeQuorumResponse,
} from "../../protocol/messages/55-describe-quorum.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { CLUSTER_METADATA_TOPIC } from "../metadata/topic-names.ts";

// DescribeQuorum, versions 0-2 (KIP-595): 1 added times (KIP-836), 2 messages, directory ids and where
// the voters listen (KIP-853). The quorum is of one: this node, which opens no port for controllers.

type Partition = DescribeQuorumResponse["topics"][number]["partitions"][number];

const FIRST_VERSION_WITH_DIRECTORIES = 2;

export interface DescribeQuorumDependencies {
  readonly metadata: Pick<MetadataManager, "quorum">;
  readonly clock: Pick<Clock, "wallMs">;
  readonly nodeId: number;
  /** Of the directory that the metadata log lies in. */
  readonly directoryId: Uuid;
}

export function describeQuorumHandler(
  dependencies: DescribeQuorumDependencies,
): TypedApiHandler<typeof APIS.describeQuorum.request, typeof APIS.describeQuorum.response> {
  const { metadata, nodeId } = dependencies;
  return handlerFor(APIS.describeQuorum, (request, { apiVersion }) => {
    const none = { errorCode: errorCode("NONE"), errorMessage: null };
    if (!isOfTheMetadataLog(request)) {
      return { ...none, topics: unknownPartitions(request), nodes: [] };
    }
    if (metadata.quorum.leaderId !== nodeId) {
      const partitions = [refused(0, "NOT_LEADER_OR_FOLLOWER")];
      return { ...none, topics: [{ topicName: CLUSTER_METADATA_TOPIC, partitions }], nodes: [] };
    }
    const hasDirectories = apiVersion >= FIRST_VERSION_WITH_DIRECTORIES;
    return {
      ...none,
      topics: [
        { topicName: CLUSTER_METADATA_TOPIC, partitions: [describe(dependencies, hasDirectories)] },
      ],
      nodes: hasDirectories ? [{ nodeId, listeners: [] }] : [],
    };
  });
}

function describe(
  { metadata, clock, nodeId, directoryId }: DescribeQuorumDependencies,
  hasDirectories: boolean,
): Partition {
  const { leaderEpoch, logEndOffset, highWatermark } = metadata.quorum;
  // A leader has its own log as it is now.
  const nowMs = clock.wallMs();
  const voter = {
    replicaId: nodeId,
    replicaDirectoryId: hasDirectories ? directoryId : ZERO_UUID,
    logEndOffset,
    lastFetchTimestamp: nowMs,
    lastCaughtUpTimestamp: nowMs,
  };
  return {
    partitionIndex: 0,
    errorCode: errorCode("NONE"),
    errorMessage: null,
    leaderId: nodeId,
    leaderEpoch,
    highWatermark,
    currentVoters: [voter],
    observers: [],
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
    partitions: partitions.map(({ partitionIndex }) =>
      refused(partitionIndex, "UNKNOWN_TOPIC_OR_PARTITION"),
    ),
  }));
}

function refused(
  partitionIndex: number,
  error: "NOT_LEADER_OR_FOLLOWER" | "UNKNOWN_TOPIC_OR_PARTITION",
): Partition {
  return {
    partitionIndex,
    errorCode: errorCode(error),
    errorMessage: errorMessage(error),
    leaderId: 0,
    leaderEpoch: 0,
    highWatermark: 0,
    currentVoters: [],
    observers: [],
  };
}
