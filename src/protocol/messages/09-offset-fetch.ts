import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int64,
  request,
  response,
  string,
  uuid,
} from "../schema.ts";

/** Kafka's OffsetFetchRequest. */
export const offsetFetchRequest = request(
  "OffsetFetch",
  9,
  { versions: "1-10", flexible: "6+" },
  {
    groupId: string({ versions: "0-7" }),
    topics: array(
      { name: string(), partitionIndexes: array(int32()) },
      { versions: "0-7", nullable: "2-7" },
    ),
    groups: array(
      {
        groupId: string(),
        memberId: string({ versions: "9+", nullable: true, default: null, ignorable: true }),
        memberEpoch: int32({ versions: "9+", default: -1, ignorable: true }),
        topics: array(
          {
            name: string({ versions: "8-9", ignorable: true }),
            topicId: uuid({ versions: "10+", ignorable: true }),
            partitionIndexes: array(int32()),
          },
          { nullable: true },
        ),
      },
      { versions: "8+" },
    ),
    requireStable: bool({ versions: "7+", default: false }),
  },
);

export type OffsetFetchRequest = Infer<typeof offsetFetchRequest>;

/** Kafka's OffsetFetchResponse. */
export const offsetFetchResponse = response(
  "OffsetFetch",
  9,
  { versions: "1-10", flexible: "6+" },
  {
    throttleTimeMs: int32({ versions: "3+", ignorable: true }),
    topics: array(
      {
        name: string(),
        partitions: array({
          partitionIndex: int32(),
          committedOffset: int64(),
          committedLeaderEpoch: int32({ versions: "5-7", default: -1, ignorable: true }),
          metadata: string({ nullable: true }),
          errorCode: int16(),
        }),
      },
      { versions: "0-7" },
    ),
    errorCode: int16({ versions: "2-7", default: 0, ignorable: true }),
    groups: array(
      {
        groupId: string(),
        topics: array({
          name: string({ versions: "8-9", ignorable: true }),
          topicId: uuid({ versions: "10+", ignorable: true }),
          partitions: array({
            partitionIndex: int32(),
            committedOffset: int64(),
            committedLeaderEpoch: int32({ default: -1, ignorable: true }),
            metadata: string({ nullable: true }),
            errorCode: int16(),
          }),
        }),
        errorCode: int16({ default: 0 }),
      },
      { versions: "8+" },
    ),
  },
);

export type OffsetFetchResponse = Infer<typeof offsetFetchResponse>;
