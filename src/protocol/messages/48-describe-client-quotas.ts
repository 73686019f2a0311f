import {
  array,
  bool,
  float64,
  type Infer,
  int16,
  int32,
  int8,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's DescribeClientQuotasRequest. */
export const describeClientQuotasRequest = request(
  "DescribeClientQuotas",
  48,
  { versions: "0-1", flexible: "1+" },
  {
    components: array({
      entityType: string(),
      matchType: int8(),
      match: string({ nullable: true }),
    }),
    strict: bool(),
  },
);

export type DescribeClientQuotasRequest = Infer<typeof describeClientQuotasRequest>;

/** Kafka's DescribeClientQuotasResponse. */
export const describeClientQuotasResponse = response(
  "DescribeClientQuotas",
  48,
  { versions: "0-1", flexible: "1+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    entries: array(
      {
        entity: array({ entityType: string(), entityName: string({ nullable: true }) }),
        values: array({ key: string(), value: float64() }),
      },
      { nullable: true },
    ),
  },
);

export type DescribeClientQuotasResponse = Infer<typeof describeClientQuotasResponse>;
