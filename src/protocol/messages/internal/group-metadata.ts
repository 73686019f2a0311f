import { array, bytes, type Infer, int32, int64, message, string } from "../../schema.ts";

/** Kafka's GroupMetadataKey. */
export const groupMetadataKey = message(
  "GroupMetadataKey",
  { apiKey: 2, versions: "0" },
  { group: string() },
);

export type GroupMetadataKey = Infer<typeof groupMetadataKey>;

const memberMetadata = {
  memberId: string(),
  groupInstanceId: string({ versions: "3+", nullable: true, default: null, ignorable: true }),
  clientId: string(),
  clientHost: string(),
  rebalanceTimeout: int32({ versions: "1+", default: -1, ignorable: true }),
  sessionTimeout: int32(),
  subscription: bytes(),
  assignment: bytes(),
};

/** Kafka's GroupMetadataValue. */
export const groupMetadataValue = message(
  "GroupMetadataValue",
  { apiKey: 2, versions: "0-4", flexible: "4+" },
  {
    protocolType: string(),
    generation: int32(),
    protocol: string({ nullable: true }),
    leader: string({ nullable: true }),
    currentStateTimestamp: int64({ versions: "2+", default: -1, ignorable: true }),
    members: array(memberMetadata),
  },
);

export type GroupMetadataValue = Infer<typeof groupMetadataValue>;
