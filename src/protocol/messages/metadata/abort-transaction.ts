import { type Infer, message, string } from "../../schema.ts";

/** Kafka's AbortTransactionRecord. */
export const abortTransactionRecord = message(
  "AbortTransactionRecord",
  { apiKey: 25, versions: "0", flexible: "0+" },
  { reason: string({ nullable: true, default: null, tag: 0 }) },
);

export type AbortTransactionRecord = Infer<typeof abortTransactionRecord>;
