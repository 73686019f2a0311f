import { array, bool, type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's AlterPartitionReassignmentsRequest. */
export const alterPartitionReassignmentsRequest = request(
  "AlterPartitionReassignments",
  45,
  { versions: "0-1", flexible: "0+" },
  {
    timeoutMs: int32({ default: 60000 }),
    allowReplicationFactorChange: bool({ versions: "1+", default: true }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        replicas: array(int32(), { nullable: true, default: null }),
      }),
    }),
  },
);

export type AlterPartitionReassignmentsRequest = Infer<typeof alterPartitionReassignmentsRequest>;

/** Kafka's AlterPartitionReassignmentsResponse. */
export const alterPartitionReassignmentsResponse = response(
  "AlterPartitionReassignments",
  45,
  { versions: "0-1", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    allowReplicationFactorChange: bool({ versions: "1+", default: true, ignorable: true }),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    responses: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true }),
      }),
    }),
  },
);

export type AlterPartitionReassignmentsResponse = Infer<typeof alterPartitionReassignmentsResponse>;
