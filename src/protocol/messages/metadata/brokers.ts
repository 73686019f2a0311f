import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int64,
  int8,
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

/** Kafka's UnregisterBrokerRecord. */
export const unregisterBrokerRecord = message(
  "UnregisterBrokerRecord",
  { apiKey: 1, versions: "0", flexible: "0+" },
  { brokerId: int32(), brokerEpoch: int64() },
);

export type UnregisterBrokerRecord = Infer<typeof unregisterBrokerRecord>;

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

/** Kafka's FenceBrokerRecord. */
export const fenceBrokerRecord = message(
  "FenceBrokerRecord",
  { apiKey: 7, versions: "0", flexible: "0+" },
  { id: int32(), epoch: int64() },
);

export type FenceBrokerRecord = Infer<typeof fenceBrokerRecord>;

/** Kafka's UnfenceBrokerRecord. */
export const unfenceBrokerRecord = message(
  "UnfenceBrokerRecord",
  { apiKey: 8, versions: "0", flexible: "0+" },
  { id: int32(), epoch: int64() },
);

export type UnfenceBrokerRecord = Infer<typeof unfenceBrokerRecord>;

/** Kafka's RegisterControllerRecord. */
export const registerControllerRecord = message(
  "RegisterControllerRecord",
  { apiKey: 27, versions: "0", flexible: "0+" },
  {
    controllerId: int32(),
    incarnationId: uuid(),
    zkMigrationReady: bool(),
    endPoints: array({ name: string(), host: string(), port: uint16(), securityProtocol: int16() }),
    features: array({ name: string(), minSupportedVersion: int16(), maxSupportedVersion: int16() }),
  },
);

export type RegisterControllerRecord = Infer<typeof registerControllerRecord>;
