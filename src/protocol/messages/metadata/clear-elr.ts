import { type Infer, message, string } from "../../schema.ts";

/** Kafka's ClearElrRecord. */
export const clearElrRecord = message(
  "ClearElrRecord",
  { apiKey: 28, versions: "0", flexible: "0+" },
  { topicName: string() },
);

export type ClearElrRecord = Infer<typeof clearElrRecord>;
