import { array, type Infer, int16, int32, int64, request, response, string } from "../schema.ts";

/** Kafka's OffsetForLeaderEpochRequest. */
export const offsetForLeaderEpochRequest = request(
  "OffsetForLeaderEpoch",
  23,
  { versions: "2-4", flexible: "4+" },
  {
    replicaId: int32({ versions: "3+", default: -2, ignorable: true }),
    topics: array({
      topic: string(),
      partitions: array({
        partition: int32(),
        currentLeaderEpoch: int32({ default: -1, ignorable: true }),
        leaderEpoch: int32(),
      }),
    }),
  },
);

export type OffsetForLeaderEpochRequest = Infer<typeof offsetForLeaderEpochRequest>;

/** Kafka's OffsetForLeaderEpochResponse. */
export const offsetForLeaderEpochResponse = response(
  "OffsetForLeaderEpoch",
  23,
  { versions: "2-4", flexible: "4+" },
  {
    throttleTimeMs: int32({ ignorable: true }),
    topics: array({
      topic: string(),
      partitions: array({
        errorCode: int16(),
        partition: int32(),
        leaderEpoch: int32({ default: -1, ignorable: true }),
        endOffset: int64({ default: -1 }),
      }),
    }),
  },
);

export type OffsetForLeaderEpochResponse = Infer<typeof offsetForLeaderEpochResponse>;
