import { type Infer, int16, int32, int64, request, response, string } from "../schema.ts";

/** Kafka's AddOffsetsToTxnRequest. */
export const addOffsetsToTxnRequest = request(
  "AddOffsetsToTxn",
  25,
  { versions: "0-4", flexible: "3+" },
  { transactionalId: string(), producerId: int64(), producerEpoch: int16(), groupId: string() },
);

export type AddOffsetsToTxnRequest = Infer<typeof addOffsetsToTxnRequest>;

/** Kafka's AddOffsetsToTxnResponse. */
export const addOffsetsToTxnResponse = response(
  "AddOffsetsToTxn",
  25,
  { versions: "0-4", flexible: "3+" },
  { throttleTimeMs: int32(), errorCode: int16() },
);

export type AddOffsetsToTxnResponse = Infer<typeof addOffsetsToTxnResponse>;
