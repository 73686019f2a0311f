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
} from "../schema.ts";

/** Kafka's DescribeProducersRequest. */
export const describeProducersRequest = request(
  "DescribeProducers",
  61,
  { versions: "0", flexible: "0+" },
  { topics: array({ name: string(), partitionIndexes: array(int32()) }) },
);

export type DescribeProducersRequest = Infer<typeof describeProducersRequest>;

/** Kafka's DescribeProducersResponse. */
export const describeProducersResponse = response(
  "DescribeProducers",
  61,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true, default: null }),
        activeProducers: array({
          producerId: int64(),
          producerEpoch: int32(),
          lastSequence: int32({ default: -1 }),
          lastTimestamp: exactInt64({ default: -1n }),
          coordinatorEpoch: int32(),
          currentTxnStartOffset: int64({ default: -1 }),
        }),
      }),
    }),
  },
);

export type DescribeProducersResponse = Infer<typeof describeProducersResponse>;
