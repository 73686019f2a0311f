import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int8,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's DescribeConfigsRequest. */
export const describeConfigsRequest = request(
  "DescribeConfigs",
  32,
  { versions: "1-4", flexible: "4+" },
  {
    resources: array({
      resourceType: int8(),
      resourceName: string(),
      configurationKeys: array(string(), { nullable: true }),
    }),
    includeSynonyms: bool({ default: false }),
    includeDocumentation: bool({ versions: "3+", default: false }),
  },
);

export type DescribeConfigsRequest = Infer<typeof describeConfigsRequest>;

/** Kafka's DescribeConfigsResponse. */
export const describeConfigsResponse = response(
  "DescribeConfigs",
  32,
  { versions: "1-4", flexible: "4+" },
  {
    throttleTimeMs: int32(),
    results: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      resourceType: int8(),
      resourceName: string(),
      configs: array({
        name: string(),
        value: string({ nullable: true }),
        readOnly: bool(),
        configSource: int8({ default: -1, ignorable: true }),
        isSensitive: bool(),
        synonyms: array(
          { name: string(), value: string({ nullable: true }), source: int8() },
          { ignorable: true },
        ),
        configType: int8({ versions: "3+", default: 0, ignorable: true }),
        documentation: string({ versions: "3+", nullable: true, ignorable: true }),
      }),
    }),
  },
);

export type DescribeConfigsResponse = Infer<typeof describeConfigsResponse>;
