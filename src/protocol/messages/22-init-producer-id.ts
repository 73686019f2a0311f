import { bool, type Infer, int16, int32, int64, request, response, string } from "../schema.ts";

/** Kafka's InitProducerIdRequest. */
export const initProducerIdRequest = request(
  "InitProducerId",
  22,
  { versions: "0-6", flexible: "2+" },
  {
    transactionalId: string({ nullable: true }),
    transactionTimeoutMs: int32(),
    producerId: int64({ versions: "3+", default: -1 }),
    producerEpoch: int16({ versions: "3+", default: -1 }),
    enable2Pc: bool({ versions: "6+", default: false }),
    keepPreparedTxn: bool({ versions: "6+", default: false }),
  },
);

export type InitProducerIdRequest = Infer<typeof initProducerIdRequest>;

/** Kafka's InitProducerIdResponse. */
export const initProducerIdResponse = response(
  "InitProducerId",
  22,
  { versions: "0-6", flexible: "2+" },
  {
    throttleTimeMs: int32({ ignorable: true }),
    errorCode: int16(),
    producerId: int64({ default: -1 }),
    producerEpoch: int16(),
    ongoingTxnProducerId: int64({ versions: "6+", default: -1 }),
    ongoingTxnProducerEpoch: int16({ versions: "6+", default: -1 }),
  },
);

export type InitProducerIdResponse = Infer<typeof initProducerIdResponse>;
