import { array, exactInt64, type Infer, message, string } from "../../schema.ts";

/** Kafka's DelegationTokenRecord. */
export const delegationTokenRecord = message(
  "DelegationTokenRecord",
  { apiKey: 10, versions: "0", flexible: "0+" },
  {
    owner: string(),
    requester: string(),
    renewers: array(string()),
    issueTimestamp: exactInt64(),
    maxTimestamp: exactInt64(),
    expirationTimestamp: exactInt64(),
    tokenId: string(),
  },
);

export type DelegationTokenRecord = Infer<typeof delegationTokenRecord>;
