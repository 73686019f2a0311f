import {
  array,
  type Infer,
  int16,
  int32,
  request,
  response,
  string,
  struct,
  uint16,
  uuid,
} from "../schema.ts";

/** Kafka's UpdateRaftVoterRequest. */
export const updateRaftVoterRequest = request(
  "UpdateRaftVoter",
  82,
  { versions: "0", flexible: "0+" },
  {
    clusterId: string({ nullable: true }),
    currentLeaderEpoch: int32(),
    voterId: int32(),
    voterDirectoryId: uuid(),
    listeners: array({ name: string(), host: string(), port: uint16() }),
    kRaftVersionFeature: struct({ minSupportedVersion: int16(), maxSupportedVersion: int16() }),
  },
);

export type UpdateRaftVoterRequest = Infer<typeof updateRaftVoterRequest>;

/** Kafka's UpdateRaftVoterResponse. */
export const updateRaftVoterResponse = response(
  "UpdateRaftVoter",
  82,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    currentLeader: struct(
      {
        leaderId: int32({ default: -1 }),
        leaderEpoch: int32({ default: -1 }),
        host: string(),
        port: int32(),
      },
      { tag: 0 },
    ),
  },
);

export type UpdateRaftVoterResponse = Infer<typeof updateRaftVoterResponse>;
