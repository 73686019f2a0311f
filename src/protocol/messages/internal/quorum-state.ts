import { array, type Infer, int32, int64, message, string, uuid } from "../../schema.ts";

/** Kafka's QuorumStateData. */
export const quorumStateData = message(
  "QuorumStateData",
  { versions: "0-1", flexible: "0+" },
  {
    clusterId: string({ versions: "0" }),
    leaderId: int32({ default: -1 }),
    leaderEpoch: int32({ default: -1 }),
    votedId: int32({ default: -1 }),
    votedDirectoryId: uuid({ versions: "1+" }),
    appliedOffset: int64({ versions: "0" }),
    currentVoters: array({ voterId: int32() }, { versions: "0", nullable: true }),
  },
);

export type QuorumStateData = Infer<typeof quorumStateData>;
