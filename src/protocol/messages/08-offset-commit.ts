import {
  array,
  exactInt64,
  type Infer,
  int16,
  int32,
  int64,
  request,
  response,
  string,
  uuid,
} from "../schema.ts";

/** Kafka's OffsetCommitRequest. */
export const offsetCommitRequest = request(
  "OffsetCommit",
  8,
  { versions: "2-10", flexible: "8+" },
  {
    groupId: string(),
    generationIdOrMemberEpoch: int32({ default: -1, ignorable: true }),
    memberId: string({ ignorable: true }),
    groupInstanceId: string({ versions: "7+", nullable: true, default: null }),
    retentionTimeMs: exactInt64({ versions: "2-4", default: -1n, ignorable: true }),
    topics: array({
      name: string({ versions: "0-9", ignorable: true }),
      topicId: uuid({ versions: "10+", ignorable: true }),
      partitions: array({
        partitionIndex: int32(),
        committedOffset: int64(),
        committedLeaderEpoch: int32({ versions: "6+", default: -1, ignorable: true }),
        committedMetadata: string({ nullable: true }),
      }),
    }),
  },
);

export type OffsetCommitRequest = Infer<typeof offsetCommitRequest>;

/** Kafka's OffsetCommitResponse. */
export const offsetCommitResponse = response(
  "OffsetCommit",
  8,
  { versions: "2-10", flexible: "8+" },
  {
    throttleTimeMs: int32({ versions: "3+", ignorable: true }),
    topics: array({
      name: string({ versions: "0-9", ignorable: true }),
      topicId: uuid({ versions: "10+", ignorable: true }),
      partitions: array({ partitionIndex: int32(), errorCode: int16() }),
    }),
  },
);

export type OffsetCommitResponse = Infer<typeof offsetCommitResponse>;
