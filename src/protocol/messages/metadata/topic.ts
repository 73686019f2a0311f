import { type Infer, message, string, uuid } from "../../schema.ts";

/** Kafka's TopicRecord. */
export const topicRecord = message(
  "TopicRecord",
  { apiKey: 2, versions: "0", flexible: "0+" },
  { name: string(), topicId: uuid() },
);

export type TopicRecord = Infer<typeof topicRecord>;
