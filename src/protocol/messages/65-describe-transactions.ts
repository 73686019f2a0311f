import { array, type Infer, int16, int32, int64, request, response, string } from "../schema.ts";

/** Kafka's DescribeTransactionsRequest. */
export const describeTransactionsRequest = request(
  "DescribeTransactions",
  65,
  { versions: "0", flexible: "0+" },
  { transactionalIds: array(string()) },
);

export type DescribeTransactionsRequest = Infer<typeof describeTransactionsRequest>;

/** Kafka's DescribeTransactionsResponse. */
export const describeTransactionsResponse = response(
  "DescribeTransactions",
  65,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    transactionStates: array({
      errorCode: int16(),
      transactionalId: string(),
      transactionState: string(),
      transactionTimeoutMs: int32(),
      transactionStartTimeMs: int64(),
      producerId: int64(),
      producerEpoch: int16(),
      topics: array({ topic: string(), partitions: array(int32()) }),
    }),
  },
);

export type DescribeTransactionsResponse = Infer<typeof describeTransactionsResponse>;
