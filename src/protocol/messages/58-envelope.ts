import { bytes, type Infer, int16, request, response } from "../schema.ts";

/** Kafka's EnvelopeRequest. */
export const envelopeRequest = request(
  "Envelope",
  58,
  { versions: "0", flexible: "0+" },
  {
    requestData: bytes(),
    requestPrincipal: bytes({ nullable: true }),
    clientHostAddress: bytes(),
  },
);

export type EnvelopeRequest = Infer<typeof envelopeRequest>;

/** Kafka's EnvelopeResponse. */
export const envelopeResponse = response(
  "Envelope",
  58,
  { versions: "0", flexible: "0+" },
  {
    responseData: bytes({ nullable: true, default: null }),
    errorCode: int16(),
  },
);

export type EnvelopeResponse = Infer<typeof envelopeResponse>;
