import { array, type Infer, int16, request, response, string } from "../schema.ts";

/** Kafka's SaslHandshakeRequest. */
export const saslHandshakeRequest = request(
  "SaslHandshake",
  17,
  { versions: "0-1" },
  { mechanism: string() },
);

export type SaslHandshakeRequest = Infer<typeof saslHandshakeRequest>;

/** Kafka's SaslHandshakeResponse. */
export const saslHandshakeResponse = response(
  "SaslHandshake",
  17,
  { versions: "0-1" },
  { errorCode: int16(), mechanisms: array(string()) },
);

export type SaslHandshakeResponse = Infer<typeof saslHandshakeResponse>;
