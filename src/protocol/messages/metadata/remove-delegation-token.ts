import { type Infer, message, string } from "../../schema.ts";

/** Kafka's RemoveDelegationTokenRecord. */
export const removeDelegationTokenRecord = message(
  "RemoveDelegationTokenRecord",
  { apiKey: 26, versions: "0", flexible: "0+" },
  { tokenId: string() },
);

export type RemoveDelegationTokenRecord = Infer<typeof removeDelegationTokenRecord>;
