import { type Infer, int16, int32, request, response, string, uuid } from "../schema.ts";

/** Kafka's RemoveRaftVoterRequest. */
export const removeRaftVoterRequest = request(
  "RemoveRaftVoter",
  81,
  { versions: "0", flexible: "0+" },
  {
    clusterId: string({ nullable: true }),
    voterId: int32(),
    voterDirectoryId: uuid(),
  },
);

export type RemoveRaftVoterRequest = Infer<typeof removeRaftVoterRequest>;

/** Kafka's RemoveRaftVoterResponse. */
export const removeRaftVoterResponse = response(
  "RemoveRaftVoter",
  81,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: true, ignorable: true }),
  },
);

export type RemoveRaftVoterResponse = Infer<typeof removeRaftVoterResponse>;
