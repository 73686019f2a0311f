import { type Infer, int32, int64, message } from "../../schema.ts";

/** Kafka's FenceBrokerRecord. */
export const fenceBrokerRecord = message(
  "FenceBrokerRecord",
  { apiKey: 7, versions: "0", flexible: "0+" },
  { id: int32(), epoch: int64() },
);

export type FenceBrokerRecord = Infer<typeof fenceBrokerRecord>;
