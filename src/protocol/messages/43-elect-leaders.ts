import { array, type Infer, int16, int32, int8, request, response, string } from "../schema.ts";

/** Kafka's ElectLeadersRequest. */
export const electLeadersRequest = request(
  "ElectLeaders",
  43,
  { versions: "0-2", flexible: "2+" },
  {
    electionType: int8({ versions: "1+" }),
    topicPartitions: array({ topic: string(), partitions: array(int32()) }, { nullable: true }),
    timeoutMs: int32({ default: 60000 }),
  },
);

export type ElectLeadersRequest = Infer<typeof electLeadersRequest>;

/** Kafka's ElectLeadersResponse. */
export const electLeadersResponse = response(
  "ElectLeaders",
  43,
  { versions: "0-2", flexible: "2+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16({ versions: "1+" }),
    replicaElectionResults: array({
      topic: string(),
      partitionResult: array({
        partitionId: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true }),
      }),
    }),
  },
);

export type ElectLeadersResponse = Infer<typeof electLeadersResponse>;
