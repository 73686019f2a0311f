import { array, type Infer, int16, int32, int64, int8, message, string } from "../../schema.ts";

/** Kafka's TransactionLogKey. */
export const transactionLogKey = message(
  "TransactionLogKey",
  { apiKey: 0, versions: "0" },
  { transactionalId: string() },
);

export type TransactionLogKey = Infer<typeof transactionLogKey>;

/** Kafka's TransactionLogValue. */
export const transactionLogValue = message(
  "TransactionLogValue",
  { apiKey: 0, versions: "0-1", flexible: "1+" },
  {
    producerId: int64(),
    previousProducerId: int64({ versions: "1+", default: -1, tag: 0 }),
    nextProducerId: int64({ versions: "1+", default: -1, tag: 1 }),
    producerEpoch: int16(),
    nextProducerEpoch: int16({ versions: "1+", default: -1, tag: 3 }),
    transactionTimeoutMs: int32(),
    transactionStatus: int8(),
    transactionPartitions: array(
      { topic: string(), partitionIds: array(int32()) },
      { nullable: true },
    ),
    transactionLastUpdateTimestampMs: int64(),
    transactionStartTimestampMs: int64(),
    clientTransactionVersion: int16({ versions: "1+", default: 0, tag: 2 }),
  },
);

export type TransactionLogValue = Infer<typeof transactionLogValue>;
