import { type Infer, message, uuid } from "../../schema.ts";

/** Kafka's RemoveTopicRecord. */
export const removeTopicRecord = message(
  "RemoveTopicRecord",
  { apiKey: 9, versions: "0", flexible: "0+" },
  { topicId: uuid() },
);

export type RemoveTopicRecord = Infer<typeof removeTopicRecord>;
