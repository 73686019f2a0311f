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
} from "../schema.ts";

const addPartitionsToTxnTopic = { name: string(), partitions: array(int32()) };

/** Kafka's AddPartitionsToTxnRequest. */
export const addPartitionsToTxnRequest = request(
  "AddPartitionsToTxn",
  24,
  { versions: "0-5", flexible: "3+" },
  {
    transactions: array(
      {
        transactionalId: string(),
        producerId: int64(),
        producerEpoch: int16(),
        verifyOnly: bool({ default: false }),
        topics: array(addPartitionsToTxnTopic),
      },
      { versions: "4+" },
    ),
    v3AndBelowTransactionalId: string({ versions: "0-3" }),
    v3AndBelowProducerId: int64({ versions: "0-3" }),
    v3AndBelowProducerEpoch: int16({ versions: "0-3" }),
    v3AndBelowTopics: array(addPartitionsToTxnTopic, { versions: "0-3" }),
  },
);

export type AddPartitionsToTxnRequest = Infer<typeof addPartitionsToTxnRequest>;

const addPartitionsToTxnPartitionResult = { partitionIndex: int32(), partitionErrorCode: int16() };

const addPartitionsToTxnTopicResult = {
  name: string(),
  resultsByPartition: array(addPartitionsToTxnPartitionResult),
};

/** Kafka's AddPartitionsToTxnResponse. */
export const addPartitionsToTxnResponse = response(
  "AddPartitionsToTxn",
  24,
  { versions: "0-5", flexible: "3+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16({ versions: "4+", ignorable: true }),
    resultsByTransaction: array(
      { transactionalId: string(), topicResults: array(addPartitionsToTxnTopicResult) },
      { versions: "4+" },
    ),
    resultsByTopicV3AndBelow: array(addPartitionsToTxnTopicResult, { versions: "0-3" }),
  },
);

export type AddPartitionsToTxnResponse = Infer<typeof addPartitionsToTxnResponse>;
