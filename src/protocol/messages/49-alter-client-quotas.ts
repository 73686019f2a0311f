import {
  array,
  bool,
  float64,
  type Infer,
  int16,
  int32,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's AlterClientQuotasRequest. */
export const alterClientQuotasRequest = request(
  "AlterClientQuotas",
  49,
  { versions: "0-1", flexible: "1+" },
  {
    entries: array({
      entity: array({ entityType: string(), entityName: string({ nullable: true }) }),
      ops: array({ key: string(), value: float64(), remove: bool() }),
    }),
    validateOnly: bool(),
  },
);

export type AlterClientQuotasRequest = Infer<typeof alterClientQuotasRequest>;

/** Kafka's AlterClientQuotasResponse. */
export const alterClientQuotasResponse = response(
  "AlterClientQuotas",
  49,
  { versions: "0-1", flexible: "1+" },
  {
    throttleTimeMs: int32(),
    entries: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      entity: array({ entityType: string(), entityName: string({ nullable: true }) }),
    }),
  },
);

export type AlterClientQuotasResponse = Infer<typeof alterClientQuotasResponse>;
