import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  request,
  response,
  string,
  uint16,
  uuid,
} from "../schema.ts";

/** Kafka's AddRaftVoterRequest. */
export const addRaftVoterRequest = request(
  "AddRaftVoter",
  80,
  { versions: "0-1", flexible: "0+" },
  {
    clusterId: string({ nullable: true }),
    timeoutMs: int32(),
    voterId: int32(),
    voterDirectoryId: uuid(),
    listeners: array({ name: string(), host: string(), port: uint16() }),
    ackWhenCommitted: bool({ versions: "1+", default: true }),
  },
);

export type AddRaftVoterRequest = Infer<typeof addRaftVoterRequest>;

/** Kafka's AddRaftVoterResponse. */
export const addRaftVoterResponse = response(
  "AddRaftVoter",
  80,
  { versions: "0-1", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: true, ignorable: true }),
  },
);

export type AddRaftVoterResponse = Infer<typeof addRaftVoterResponse>;
