import { bool, type Infer, int16, int32, int64, request, response, string } from "../schema.ts";

/** Kafka's EndTxnRequest. */
export const endTxnRequest = request(
  "EndTxn",
  26,
  { versions: "0-5", flexible: "3+" },
  { transactionalId: string(), producerId: int64(), producerEpoch: int16(), committed: bool() },
);

export type EndTxnRequest = Infer<typeof endTxnRequest>;

/** Kafka's EndTxnResponse. */
export const endTxnResponse = response(
  "EndTxn",
  26,
  { versions: "0-5", flexible: "3+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    producerId: int64({ versions: "5+", default: -1, ignorable: true }),
    producerEpoch: int16({ versions: "5+", default: -1, ignorable: true }),
  },
);

export type EndTxnResponse = Infer<typeof endTxnResponse>;
