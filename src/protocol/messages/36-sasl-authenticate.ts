import { bytes, exactInt64, type Infer, int16, request, response, string } from "../schema.ts";

/** Kafka's SaslAuthenticateRequest. */
export const saslAuthenticateRequest = request(
  "SaslAuthenticate",
  36,
  { versions: "0-2", flexible: "2+" },
  { authBytes: bytes() },
);

export type SaslAuthenticateRequest = Infer<typeof saslAuthenticateRequest>;

/** Kafka's SaslAuthenticateResponse. */
export const saslAuthenticateResponse = response(
  "SaslAuthenticate",
  36,
  { versions: "0-2", flexible: "2+" },
  {
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    authBytes: bytes(),
    sessionLifetimeMs: exactInt64({ versions: "1+", default: 0n, ignorable: true }),
  },
);

export type SaslAuthenticateResponse = Infer<typeof saslAuthenticateResponse>;
