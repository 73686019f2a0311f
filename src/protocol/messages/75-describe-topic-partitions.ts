import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  request,
  response,
  string,
  struct,
  uuid,
} from "../schema.ts";

/** Kafka's DescribeTopicPartitionsRequest. */
export const describeTopicPartitionsRequest = request(
  "DescribeTopicPartitions",
  75,
  { versions: "0", flexible: "0+" },
  {
    topics: array({ name: string() }),
    responsePartitionLimit: int32({ default: 2000 }),
    cursor: struct(
      { topicName: string(), partitionIndex: int32() },
      { nullable: true, default: null },
    ),
  },
);

export type DescribeTopicPartitionsRequest = Infer<typeof describeTopicPartitionsRequest>;

/** Kafka's DescribeTopicPartitionsResponse. */
export const describeTopicPartitionsResponse = response(
  "DescribeTopicPartitions",
  75,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32({ ignorable: true }),
    topics: array({
      errorCode: int16(),
      name: string({ nullable: true }),
      topicId: uuid({ ignorable: true }),
      isInternal: bool({ default: false, ignorable: true }),
      partitions: array({
        errorCode: int16(),
        partitionIndex: int32(),
        leaderId: int32(),
        leaderEpoch: int32({ default: -1, ignorable: true }),
        replicaNodes: array(int32()),
        isrNodes: array(int32()),
        eligibleLeaderReplicas: array(int32(), { nullable: true, default: null }),
        lastKnownElr: array(int32(), { nullable: true, default: null }),
        offlineReplicas: array(int32(), { ignorable: true }),
      }),
      topicAuthorizedOperations: int32({ default: -2147483648 }),
    }),
    nextCursor: struct(
      { topicName: string(), partitionIndex: int32() },
      { nullable: true, default: null },
    ),
  },
);

export type DescribeTopicPartitionsResponse = Infer<typeof describeTopicPartitionsResponse>;
