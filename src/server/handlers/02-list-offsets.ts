import type { Offload } from "../../base/offload.ts";
import { APIS } from "../../protocol/apis.ts";
import { errorCode, KafkaError } from "../../protocol/errors.ts";
import type { ListOffsetsRequest } from "../../protocol/messages/02-list-offsets.ts";
import type { HostedTopic } from "../../replica/hosted-topic.ts";
import {
  EARLIEST_LOCAL_TIMESTAMP,
  EARLIEST_PENDING_UPLOAD_TIMESTAMP,
  EARLIEST_TIMESTAMP,
  findOffset,
  type FoundOffset,
  LATEST_TIERED_TIMESTAMP,
  LATEST_TIMESTAMP,
  MAX_TIMESTAMP,
} from "../../replica/list-offsets.ts";
import type { ReplicaManager } from "../../replica/manager.ts";
import { refusalOf } from "../../replica/refusal.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

// ListOffsets, versions 1-11: the offset of a time, or of a place in the log. 2 added the isolation level,
// 4 leader epochs, 5 OFFSET_NOT_AVAILABLE (KIP-207), 6 is flexible, 7 -3 (KIP-734), 8 -4 (KIP-405),
// 9 -5 (KIP-1005), 10 a timeout for tiered storage (which is not here), 11 -6 (KIP-1023). As in Fetch,
// everybody is a consumer, whatever replica id it claims.

type PartitionRequest = ListOffsetsRequest["topics"][number]["partitions"][number];

interface PartitionAnswer {
  readonly partitionIndex: number;
  readonly errorCode: number;
  readonly timestamp?: bigint;
  readonly offset?: number;
  readonly leaderEpoch?: number;
}

/** The version from which on a client may send a timestamp below zero. */
const FIRST_VERSION_BY_TIMESTAMP: ReadonlyMap<bigint, number> = new Map([
  [LATEST_TIMESTAMP, 1],
  [EARLIEST_TIMESTAMP, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL_TIMESTAMP, 8],
  [LATEST_TIERED_TIMESTAMP, 9],
  [EARLIEST_PENDING_UPLOAD_TIMESTAMP, 11],
]);

const FIRST_VERSION_WITH_LEADER_EPOCH = 4;
const FIRST_VERSION_WITH_OFFSET_NOT_AVAILABLE = 5;

interface Dependencies {
  readonly replicas: ReplicaManager;
  readonly offload: Offload;
}

/** The handler of ListOffsets. */
export function listOffsetsHandler(
  dependencies: Dependencies,
): TypedApiHandler<typeof APIS.listOffsets.request, typeof APIS.listOffsets.response> {
  return handlerFor(APIS.listOffsets, async (request, { apiVersion }) => {
    const repeated = repeatedPartitions(request);
    const isReadCommitted = request.isolationLevel !== 0;
    const topics: { name: string; partitions: PartitionAnswer[] }[] = [];
    for (const { name, partitions } of request.topics) {
      const answers: PartitionAnswer[] = [];
      topics.push({ name, partitions: answers });
      for (const partition of partitions) {
        try {
          if (repeated.has(`${name}-${partition.partitionIndex}`)) {
            throw new KafkaError("INVALID_REQUEST", "the partition is asked for twice");
          }
          // Looked up for each partition: the topic may end while an earlier one is searched.
          const topic = dependencies.replicas.topicByName(name);
          const query = { apiVersion, isReadCommitted };
          answers.push(await answer(dependencies, topic, partition, query));
        } catch (error) {
          answers.push(refusedAnswer(partition, refusalOf(error), apiVersion));
        }
      }
    }
    return { topics };
  });
}

async function answer(
  { replicas, offload }: Dependencies,
  topic: HostedTopic | undefined,
  request: PartitionRequest,
  query: { readonly apiVersion: number; readonly isReadCommitted: boolean },
): Promise<PartitionAnswer> {
  const { timestamp, partitionIndex } = request;
  if (timestamp < 0n) {
    const firstVersion = FIRST_VERSION_BY_TIMESTAMP.get(timestamp);
    if (firstVersion === undefined || query.apiVersion < firstVersion) {
      throw new KafkaError("UNSUPPORTED_VERSION");
    }
  }
  const partition = replicas.find(topic, partitionIndex, false);
  if (typeof partition === "string") throw new KafkaError(partition);
  const refusal = partition.refusal(request.currentLeaderEpoch);
  if (refusal !== null) throw new KafkaError(refusal);
  const { isReadCommitted } = query;
  const found: FoundOffset = await findOffset(partition, { timestamp, isReadCommitted }, offload);
  // What was found in a log that is not ours any more is nobody's answer.
  if (!partition.isLeader) throw new KafkaError("NOT_LEADER_OR_FOLLOWER");
  const hasEpoch = query.apiVersion >= FIRST_VERSION_WITH_LEADER_EPOCH;
  return {
    partitionIndex,
    errorCode: 0,
    timestamp: BigInt(found.timestampMs),
    offset: found.offset,
    leaderEpoch: hasEpoch ? found.leaderEpoch : -1,
  };
}

function refusedAnswer(
  { partitionIndex }: PartitionRequest,
  refusal: KafkaError,
  apiVersion: number,
): PartitionAnswer {
  const isTooNew =
    refusal.errorName === "OFFSET_NOT_AVAILABLE" &&
    apiVersion < FIRST_VERSION_WITH_OFFSET_NOT_AVAILABLE;
  return {
    partitionIndex,
    errorCode: isTooNew ? errorCode("LEADER_NOT_AVAILABLE") : refusal.code,
  };
}

/** Kafka refuses a partition that is named twice in one request, both times. */
function repeatedPartitions(request: ListOffsetsRequest): ReadonlySet<string> {
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const { name, partitions } of request.topics) {
    for (const { partitionIndex } of partitions) {
      const key = `${name}-${partitionIndex}`;
      if (seen.has(key)) repeated.add(key);
      seen.add(key);
    }
  }
  return repeated;
}
