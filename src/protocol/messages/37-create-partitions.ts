import { array, bool, type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's CreatePartitionsRequest. */
export const createPartitionsRequest = request(
  "CreatePartitions",
  37,
  { versions: "0-3", flexible: "2+" },
  {
    topics: array({
      name: string(),
      count: int32(),
      assignments: array({ brokerIds: array(int32()) }, { nullable: true }),
    }),
    timeoutMs: int32(),
    validateOnly: bool(),
  },
);

export type CreatePartitionsRequest = Infer<typeof createPartitionsRequest>;

/** Kafka's CreatePartitionsResponse. */
export const createPartitionsResponse = response(
  "CreatePartitions",
  37,
  { versions: "0-3", flexible: "2+" },
  {
    throttleTimeMs: int32(),
    results: array({
      name: string(),
      errorCode: int16(),
      errorMessage: string({ nullable: true, default: null }),
    }),
  },
);

export type CreatePartitionsResponse = Infer<typeof createPartitionsResponse>;
