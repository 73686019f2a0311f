import { array, type Infer, int16, int32, int8, request, response, string } from "../schema.ts";

/** Kafka's DescribeUserScramCredentialsRequest. */
export const describeUserScramCredentialsRequest = request(
  "DescribeUserScramCredentials",
  50,
  { versions: "0", flexible: "0+" },
  { users: array({ name: string() }, { nullable: true }) },
);

export type DescribeUserScramCredentialsRequest = Infer<typeof describeUserScramCredentialsRequest>;

/** Kafka's DescribeUserScramCredentialsResponse. */
export const describeUserScramCredentialsResponse = response(
  "DescribeUserScramCredentials",
  50,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    results: array({
      user: string(),
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      credentialInfos: array({ mechanism: int8(), iterations: int32() }),
    }),
  },
);

export type DescribeUserScramCredentialsResponse = Infer<
  typeof describeUserScramCredentialsResponse
>;
