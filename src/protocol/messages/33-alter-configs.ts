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

/** Kafka's AlterConfigsRequest. */
export const alterConfigsRequest = request(
  "AlterConfigs",
  33,
  { versions: "0-2", flexible: "2+" },
  {
    resources: array({
      resourceType: int8(),
      resourceName: string(),
      configs: array({ name: string(), value: string({ nullable: true }) }),
    }),
    validateOnly: bool(),
  },
);

export type AlterConfigsRequest = Infer<typeof alterConfigsRequest>;

/** Kafka's AlterConfigsResponse. */
export const alterConfigsResponse = response(
  "AlterConfigs",
  33,
  { versions: "0-2", flexible: "2+" },
  {
    throttleTimeMs: int32(),
    responses: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true }),
      resourceType: int8(),
      resourceName: string(),
    }),
  },
);

export type AlterConfigsResponse = Infer<typeof alterConfigsResponse>;
