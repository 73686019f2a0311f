import {
  array,
  bytes,
  exactInt64,
  type Infer,
  int32,
  int8,
  message,
  string,
  uuid,
} from "../../schema.ts";

/** Kafka's AccessControlEntryRecord. */
export const accessControlEntryRecord = message(
  "AccessControlEntryRecord",
  { apiKey: 18, versions: "0", flexible: "0+" },
  {
    id: uuid(),
    resourceType: int8(),
    resourceName: string(),
    patternType: int8(),
    principal: string(),
    host: string(),
    operation: int8(),
    permissionType: int8(),
  },
);

export type AccessControlEntryRecord = Infer<typeof accessControlEntryRecord>;

/** Kafka's RemoveAccessControlEntryRecord. */
export const removeAccessControlEntryRecord = message(
  "RemoveAccessControlEntryRecord",
  { apiKey: 19, versions: "0", flexible: "0+" },
  { id: uuid() },
);

export type RemoveAccessControlEntryRecord = Infer<typeof removeAccessControlEntryRecord>;

/** Kafka's UserScramCredentialRecord. */
export const userScramCredentialRecord = message(
  "UserScramCredentialRecord",
  { apiKey: 11, versions: "0", flexible: "0+" },
  {
    name: string(),
    mechanism: int8(),
    salt: bytes(),
    storedKey: bytes(),
    serverKey: bytes(),
    iterations: int32(),
  },
);

export type UserScramCredentialRecord = Infer<typeof userScramCredentialRecord>;

/** Kafka's RemoveUserScramCredentialRecord. */
export const removeUserScramCredentialRecord = message(
  "RemoveUserScramCredentialRecord",
  { apiKey: 22, versions: "0", flexible: "0+" },
  { name: string(), mechanism: int8() },
);

export type RemoveUserScramCredentialRecord = Infer<typeof removeUserScramCredentialRecord>;

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

/** Kafka's RemoveDelegationTokenRecord. */
export const removeDelegationTokenRecord = message(
  "RemoveDelegationTokenRecord",
  { apiKey: 26, versions: "0", flexible: "0+" },
  { tokenId: string() },
);

export type RemoveDelegationTokenRecord = Infer<typeof removeDelegationTokenRecord>;
