import { type Infer, int8, message, string } from "../../schema.ts";

/** Kafka's RemoveUserScramCredentialRecord. */
export const removeUserScramCredentialRecord = message(
  "RemoveUserScramCredentialRecord",
  { apiKey: 22, versions: "0", flexible: "0+" },
  { name: string(), mechanism: int8() },
);

export type RemoveUserScramCredentialRecord = Infer<typeof removeUserScramCredentialRecord>;
