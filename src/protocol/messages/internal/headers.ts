import { type Infer, int16, int32, message, string } from "../../schema.ts";

/** Kafka's RequestHeader. */
export const requestHeader = message(
  "RequestHeader",
  { versions: "1-2", flexible: "2+" },
  {
    requestApiKey: int16(),
    requestApiVersion: int16(),
    correlationId: int32(),
    clientId: string({ nullable: true, isClassic: true }),
  },
);

export type RequestHeader = Infer<typeof requestHeader>;

/** Kafka's ResponseHeader. */
export const responseHeader = message(
  "ResponseHeader",
  { versions: "0-1", flexible: "1+" },
  { correlationId: int32() },
);

export type ResponseHeader = Infer<typeof responseHeader>;
