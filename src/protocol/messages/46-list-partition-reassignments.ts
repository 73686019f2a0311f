import { array, type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's ListPartitionReassignmentsRequest. */
export const listPartitionReassignmentsRequest = request(
  "ListPartitionReassignments",
  46,
  { versions: "0", flexible: "0+" },
  {
    timeoutMs: int32({ default: 60000 }),
    topics: array(
      { name: string(), partitionIndexes: array(int32()) },
      { nullable: true, default: null },
    ),
  },
);

export type ListPartitionReassignmentsRequest = Infer<typeof listPartitionReassignmentsRequest>;

/** Kafka's ListPartitionReassignmentsResponse. */
export const listPartitionReassignmentsResponse = response(
  "ListPartitionReassignments",
  46,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        replicas: array(int32()),
        addingReplicas: array(int32()),
        removingReplicas: array(int32()),
      }),
    }),
  },
);

export type ListPartitionReassignmentsResponse = Infer<typeof listPartitionReassignmentsResponse>;
