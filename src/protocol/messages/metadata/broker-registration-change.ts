import { array, type Infer, int32, int64, int8, message, uuid } from "../../schema.ts";

/** Kafka's BrokerRegistrationChangeRecord. */
export const brokerRegistrationChangeRecord = message(
  "BrokerRegistrationChangeRecord",
  { apiKey: 17, versions: "0-3", flexible: "0+" },
  {
    brokerId: int32(),
    brokerEpoch: int64(),
    fenced: int8({ tag: 0 }),
    inControlledShutdown: int8({ versions: "1+", tag: 1 }),
    logDirs: array(uuid(), { versions: "2+", tag: 2 }),
    cordonedLogDirs: array(uuid(), { versions: "3+", nullable: true, default: null, tag: 3 }),
  },
);

export type BrokerRegistrationChangeRecord = Infer<typeof brokerRegistrationChangeRecord>;
