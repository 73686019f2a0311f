import { message } from "../../schema.ts";

/** Kafka's EndTransactionRecord. */
export const endTransactionRecord = message(
  "EndTransactionRecord",
  { apiKey: 24, versions: "0", flexible: "0+" },
  {},
);
