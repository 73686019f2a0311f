import { type Infer, int32, int64, message } from "../../schema.ts";

/** Kafka's UnfenceBrokerRecord. */
export const unfenceBrokerRecord = message(
  "UnfenceBrokerRecord",
  { apiKey: 8, versions: "0", flexible: "0+" },
  { id: int32(), epoch: int64() },
);

export type UnfenceBrokerRecord = Infer<typeof unfenceBrokerRecord>;
