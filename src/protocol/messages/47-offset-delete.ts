import { array, type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's OffsetDeleteRequest. */
export const offsetDeleteRequest = request(
  "OffsetDelete",
  47,
  { versions: "0" },
  {
    groupId: string(),
    topics: array({ name: string(), partitions: array({ partitionIndex: int32() }) }),
  },
);

export type OffsetDeleteRequest = Infer<typeof offsetDeleteRequest>;

/** Kafka's OffsetDeleteResponse. */
export const offsetDeleteResponse = response(
  "OffsetDelete",
  47,
  { versions: "0" },
  {
    errorCode: int16(),
    throttleTimeMs: int32({ ignorable: true }),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), errorCode: int16() }),
    }),
  },
);

export type OffsetDeleteResponse = Infer<typeof offsetDeleteResponse>;
