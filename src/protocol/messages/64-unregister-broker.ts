import { type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's UnregisterBrokerRequest. */
export const unregisterBrokerRequest = request(
  "UnregisterBroker",
  64,
  { versions: "0", flexible: "0+" },
  {
    brokerId: int32(),
  },
);

export type UnregisterBrokerRequest = Infer<typeof unregisterBrokerRequest>;

/** Kafka's UnregisterBrokerResponse. */
export const unregisterBrokerResponse = response(
  "UnregisterBroker",
  64,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
  },
);

export type UnregisterBrokerResponse = Infer<typeof unregisterBrokerResponse>;
