import { type Infer, message, string } from "../../schema.ts";

/** Kafka's BeginTransactionRecord. */
export const beginTransactionRecord = message(
  "BeginTransactionRecord",
  { apiKey: 23, versions: "0", flexible: "0+" },
  { name: string({ nullable: true, default: null, tag: 0 }) },
);

export type BeginTransactionRecord = Infer<typeof beginTransactionRecord>;
