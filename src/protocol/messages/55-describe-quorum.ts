import {
  array,
  type Infer,
  int16,
  int32,
  int64,
  request,
  response,
  string,
  uint16,
  uuid,
} from "../schema.ts";

/** Kafka's DescribeQuorumRequest. */
export const describeQuorumRequest = request(
  "DescribeQuorum",
  55,
  { versions: "0-2", flexible: "0+" },
  { topics: array({ topicName: string(), partitions: array({ partitionIndex: int32() }) }) },
);

export type DescribeQuorumRequest = Infer<typeof describeQuorumRequest>;

const replicaState = {
  replicaId: int32(),
  replicaDirectoryId: uuid({ versions: "2+" }),
  logEndOffset: int64(),
  lastFetchTimestamp: int64({ versions: "1+", default: -1, ignorable: true }),
  lastCaughtUpTimestamp: int64({ versions: "1+", default: -1, ignorable: true }),
};

/** Kafka's DescribeQuorumResponse. */
export const describeQuorumResponse = response(
  "DescribeQuorum",
  55,
  { versions: "0-2", flexible: "0+" },
  {
    errorCode: int16(),
    errorMessage: string({ versions: "2+", nullable: true, ignorable: true }),
    topics: array({
      topicName: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string({ versions: "2+", nullable: true, ignorable: true }),
        leaderId: int32(),
        leaderEpoch: int32(),
        highWatermark: int64(),
        currentVoters: array(replicaState),
        observers: array(replicaState),
      }),
    }),
    nodes: array(
      { nodeId: int32(), listeners: array({ name: string(), host: string(), port: uint16() }) },
      { versions: "2+" },
    ),
  },
);

export type DescribeQuorumResponse = Infer<typeof describeQuorumResponse>;
