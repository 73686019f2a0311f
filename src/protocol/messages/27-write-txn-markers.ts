import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int64,
  int8,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's WriteTxnMarkersRequest. */
export const writeTxnMarkersRequest = request(
  "WriteTxnMarkers",
  27,
  { versions: "1-2", flexible: "1+" },
  {
    markers: array({
      producerId: int64(),
      producerEpoch: int16(),
      transactionResult: bool(),
      topics: array({ name: string(), partitionIndexes: array(int32()) }),
      coordinatorEpoch: int32(),
      transactionVersion: int8({ versions: "2+", default: 0, ignorable: true }),
    }),
  },
);

export type WriteTxnMarkersRequest = Infer<typeof writeTxnMarkersRequest>;

/** Kafka's WriteTxnMarkersResponse. */
export const writeTxnMarkersResponse = response(
  "WriteTxnMarkers",
  27,
  { versions: "1-2", flexible: "1+" },
  {
    markers: array({
      producerId: int64(),
      topics: array({
        name: string(),
        partitions: array({ partitionIndex: int32(), errorCode: int16() }),
      }),
    }),
  },
);

export type WriteTxnMarkersResponse = Infer<typeof writeTxnMarkersResponse>;
