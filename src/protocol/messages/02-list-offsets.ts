import {
  array,
  exactInt64,
  type Infer,
  int16,
  int32,
  int64,
  int8,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's ListOffsetsRequest. */
export const listOffsetsRequest = request(
  "ListOffsets",
  2,
  { versions: "1-11", flexible: "6+" },
  {
    replicaId: int32(),
    isolationLevel: int8({ versions: "2+" }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        currentLeaderEpoch: int32({ versions: "4+", default: -1, ignorable: true }),
        timestamp: exactInt64(),
      }),
    }),
    timeoutMs: int32({ versions: "10+", ignorable: true }),
  },
);

export type ListOffsetsRequest = Infer<typeof listOffsetsRequest>;

/** Kafka's ListOffsetsResponse. */
export const listOffsetsResponse = response(
  "ListOffsets",
  2,
  { versions: "1-11", flexible: "6+" },
  {
    throttleTimeMs: int32({ versions: "2+", ignorable: true }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        timestamp: exactInt64({ default: -1n }),
        offset: int64({ default: -1 }),
        leaderEpoch: int32({ versions: "4+", default: -1 }),
      }),
    }),
  },
);

export type ListOffsetsResponse = Infer<typeof listOffsetsResponse>;
