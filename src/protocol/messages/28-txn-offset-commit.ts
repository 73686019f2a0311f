import {
  array,
  type Infer,
  int16,
  int32,
  int64,
  request,
  response,
  string,
  uuid,
} from "../schema.ts";

/** Kafka's TxnOffsetCommitRequest. */
export const txnOffsetCommitRequest = request(
  "TxnOffsetCommit",
  28,
  { versions: "0-6", flexible: "3+" },
  {
    transactionalId: string(),
    groupId: string(),
    producerId: int64(),
    producerEpoch: int16(),
    generationIdOrMemberEpoch: int32({ versions: "3+", default: -1 }),
    memberId: string({ versions: "3+", default: "" }),
    groupInstanceId: string({ versions: "3+", nullable: true, default: null }),
    topics: array({
      name: string({ versions: "0-5", ignorable: true }),
      topicId: uuid({ versions: "6+", ignorable: true }),
      partitions: array({
        partitionIndex: int32(),
        committedOffset: int64(),
        committedLeaderEpoch: int32({ versions: "2+", default: -1, ignorable: true }),
        committedMetadata: string({ nullable: true }),
      }),
    }),
  },
);

export type TxnOffsetCommitRequest = Infer<typeof txnOffsetCommitRequest>;

/** Kafka's TxnOffsetCommitResponse. */
export const txnOffsetCommitResponse = response(
  "TxnOffsetCommit",
  28,
  { versions: "0-6", flexible: "3+" },
  {
    throttleTimeMs: int32(),
    topics: array({
      name: string({ versions: "0-5", ignorable: true }),
      topicId: uuid({ versions: "6+", ignorable: true }),
      partitions: array({ partitionIndex: int32(), errorCode: int16() }),
    }),
  },
);

export type TxnOffsetCommitResponse = Infer<typeof txnOffsetCommitResponse>;
