import {
  array,
  bytes,
  type Infer,
  int16,
  int32,
  int8,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's AlterUserScramCredentialsRequest. */
export const alterUserScramCredentialsRequest = request(
  "AlterUserScramCredentials",
  51,
  { versions: "0", flexible: "0+" },
  {
    deletions: array({ name: string(), mechanism: int8() }),
    upsertions: array({
      name: string(),
      mechanism: int8(),
      iterations: int32(),
      salt: bytes(),
      saltedPassword: bytes(),
    }),
  },
);

export type AlterUserScramCredentialsRequest = Infer<typeof alterUserScramCredentialsRequest>;

/** Kafka's AlterUserScramCredentialsResponse. */
export const alterUserScramCredentialsResponse = response(
  "AlterUserScramCredentials",
  51,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    results: array({
      user: string(),
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
    }),
  },
);

export type AlterUserScramCredentialsResponse = Infer<typeof alterUserScramCredentialsResponse>;
