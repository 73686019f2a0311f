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

/** Kafka's IncrementalAlterConfigsRequest. */
export const incrementalAlterConfigsRequest = request(
  "IncrementalAlterConfigs",
  44,
  { versions: "0-1", flexible: "1+" },
  {
    resources: array({
      resourceType: int8(),
      resourceName: string(),
      configs: array({
        name: string(),
        configOperation: int8(),
        value: string({ nullable: true }),
      }),
    }),
    validateOnly: bool(),
  },
);

export type IncrementalAlterConfigsRequest = Infer<typeof incrementalAlterConfigsRequest>;

/** Kafka's IncrementalAlterConfigsResponse. */
export const incrementalAlterConfigsResponse = response(
  "IncrementalAlterConfigs",
  44,
  { versions: "0-1", flexible: "1+" },
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

export type IncrementalAlterConfigsResponse = Infer<typeof incrementalAlterConfigsResponse>;
