import { type Infer, int16, int32, int64, request, response } from "../schema.ts";

/** Kafka's AllocateProducerIdsRequest. */
export const allocateProducerIdsRequest = request(
  "AllocateProducerIds",
  67,
  { versions: "0", flexible: "0+" },
  {
    brokerId: int32(),
    brokerEpoch: int64({ default: -1 }),
  },
);

export type AllocateProducerIdsRequest = Infer<typeof allocateProducerIdsRequest>;

/** Kafka's AllocateProducerIdsResponse. */
export const allocateProducerIdsResponse = response(
  "AllocateProducerIds",
  67,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    producerIdStart: int64(),
    producerIdLen: int32(),
  },
);

export type AllocateProducerIdsResponse = Infer<typeof allocateProducerIdsResponse>;
