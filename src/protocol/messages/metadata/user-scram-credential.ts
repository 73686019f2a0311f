import { bytes, type Infer, int32, int8, message, string } from "../../schema.ts";

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
