import {
  array,
  type Infer,
  int16,
  int32,
  int64,
  message,
  string,
  struct,
  uint16,
  uuid,
} from "../../schema.ts";

const voter = { voterId: int32(), voterDirectoryId: uuid({ versions: "1+" }) };

/** Kafka's LeaderChangeMessage. */
export const leaderChangeMessage = message(
  "LeaderChangeMessage",
  { versions: "0-1", flexible: "0+" },
  { version: int16(), leaderId: int32(), voters: array(voter), grantingVoters: array(voter) },
);

export type LeaderChangeMessage = Infer<typeof leaderChangeMessage>;

/** Kafka's SnapshotHeaderRecord. */
export const snapshotHeaderRecord = message(
  "SnapshotHeaderRecord",
  { versions: "0", flexible: "0+" },
  { version: int16(), lastContainedLogTimestamp: int64() },
);

export type SnapshotHeaderRecord = Infer<typeof snapshotHeaderRecord>;

/** Kafka's SnapshotFooterRecord. */
export const snapshotFooterRecord = message(
  "SnapshotFooterRecord",
  { versions: "0", flexible: "0+" },
  { version: int16() },
);

export type SnapshotFooterRecord = Infer<typeof snapshotFooterRecord>;

/** Kafka's KRaftVersionRecord. */
export const kraftVersionRecord = message(
  "KRaftVersionRecord",
  { versions: "0", flexible: "0+" },
  { version: int16(), kRaftVersion: int16() },
);

export type KRaftVersionRecord = Infer<typeof kraftVersionRecord>;

/** Kafka's VotersRecord. */
export const votersRecord = message(
  "VotersRecord",
  { versions: "0", flexible: "0+" },
  {
    version: int16(),
    voters: array({
      voterId: int32(),
      voterDirectoryId: uuid(),
      endpoints: array({ name: string(), host: string(), port: uint16() }),
      kRaftVersionFeature: struct({ minSupportedVersion: int16(), maxSupportedVersion: int16() }),
    }),
  },
);

export type VotersRecord = Infer<typeof votersRecord>;
