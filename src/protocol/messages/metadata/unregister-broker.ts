import { type Infer, int32, int64, message } from "../../schema.ts";

/** Kafka's UnregisterBrokerRecord. */
export const unregisterBrokerRecord = message(
  "UnregisterBrokerRecord",
  { apiKey: 1, versions: "0", flexible: "0+" },
  { brokerId: int32(), brokerEpoch: int64() },
);

export type UnregisterBrokerRecord = Infer<typeof unregisterBrokerRecord>;
