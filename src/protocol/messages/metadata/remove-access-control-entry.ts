import { type Infer, message, uuid } from "../../schema.ts";

/** Kafka's RemoveAccessControlEntryRecord. */
export const removeAccessControlEntryRecord = message(
  "RemoveAccessControlEntryRecord",
  { apiKey: 19, versions: "0", flexible: "0+" },
  { id: uuid() },
);

export type RemoveAccessControlEntryRecord = Infer<typeof removeAccessControlEntryRecord>;
