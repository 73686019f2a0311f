import {
  array,
  type Infer,
  int16,
  int32,
  int64,
  int8,
  request,
  response,
  uuid,
} from "../schema.ts";

/** Kafka's AlterPartitionRequest. */
export const alterPartitionRequest = request(
  "AlterPartition",
  56,
  { versions: "2-3", flexible: "0+" },
  {
    brokerId: int32(),
    brokerEpoch: int64({ default: -1 }),
    topics: array({
      topicId: uuid({ ignorable: true }),
      partitions: array({
        partitionIndex: int32(),
        leaderEpoch: int32(),
        newIsr: array(int32(), { versions: "0-2" }),
        newIsrWithEpochs: array(
          {
            brokerId: int32({ versions: "3+" }),
            brokerEpoch: int64({ versions: "3+", default: -1 }),
          },
          { versions: "3+" },
        ),
        leaderRecoveryState: int8({ default: 0 }),
        partitionEpoch: int32(),
      }),
    }),
  },
);

export type AlterPartitionRequest = Infer<typeof alterPartitionRequest>;

/** Kafka's AlterPartitionResponse. */
export const alterPartitionResponse = response(
  "AlterPartition",
  56,
  { versions: "2-3", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    topics: array({
      topicId: uuid({ ignorable: true }),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        leaderId: int32(),
        leaderEpoch: int32(),
        isr: array(int32()),
        leaderRecoveryState: int8({ default: 0, ignorable: true }),
        partitionEpoch: int32(),
      }),
    }),
  },
);

export type AlterPartitionResponse = Infer<typeof alterPartitionResponse>;
