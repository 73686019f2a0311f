import { array, type Infer, int16, int32, int64, request, response, string } from "../schema.ts";

/** Kafka's DeleteRecordsRequest. */
export const deleteRecordsRequest = request(
  "DeleteRecords",
  21,
  { versions: "0-2", flexible: "2+" },
  {
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), offset: int64() }),
    }),
    timeoutMs: int32(),
  },
);

export type DeleteRecordsRequest = Infer<typeof deleteRecordsRequest>;

/** Kafka's DeleteRecordsResponse. */
export const deleteRecordsResponse = response(
  "DeleteRecords",
  21,
  { versions: "0-2", flexible: "2+" },
  {
    throttleTimeMs: int32(),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), lowWatermark: int64(), errorCode: int16() }),
    }),
  },
);

export type DeleteRecordsResponse = Infer<typeof deleteRecordsResponse>;
