import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int64,
  message,
  string,
  uint16,
  uuid,
} from "../../schema.ts";

/** Kafka's RegisterBrokerRecord. */
export const registerBrokerRecord = message(
  "RegisterBrokerRecord",
  { apiKey: 0, versions: "0-4", flexible: "0+" },
  {
    brokerId: int32(),
    isMigratingZkBroker: bool({ versions: "2+", default: false }),
    incarnationId: uuid(),
    brokerEpoch: int64(),
    endPoints: array({ name: string(), host: string(), port: uint16(), securityProtocol: int16() }),
    features: array({ name: string(), minSupportedVersion: int16(), maxSupportedVersion: int16() }),
    rack: string({ nullable: true }),
    fenced: bool({ default: true }),
    inControlledShutdown: bool({ versions: "1+", default: false }),
    logDirs: array(uuid(), { versions: "3+", tag: 0 }),
    cordonedLogDirs: array(uuid(), { versions: "4+", nullable: true, default: null, tag: 1 }),
  },
);

export type RegisterBrokerRecord = Infer<typeof registerBrokerRecord>;
