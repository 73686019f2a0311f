import { bool, type Infer, message, string } from "../../schema.ts";

/** Kafka's DefaultPrincipalData. */
export const defaultPrincipalData = message(
  "DefaultPrincipalData",
  { versions: "0", flexible: "0+" },
  { type: string(), name: string(), tokenAuthenticated: bool() },
);

export type DefaultPrincipalData = Infer<typeof defaultPrincipalData>;
