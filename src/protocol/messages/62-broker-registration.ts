import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int64,
  request,
  response,
  string,
  uint16,
  uuid,
} from "../schema.ts";

/** Kafka's BrokerRegistrationRequest. */
export const brokerRegistrationRequest = request(
  "BrokerRegistration",
  62,
  { versions: "0-4", flexible: "0+" },
  {
    brokerId: int32(),
    clusterId: string(),
    incarnationId: uuid(),
    listeners: array({ name: string(), host: string(), port: uint16(), securityProtocol: int16() }),
    features: array({ name: string(), minSupportedVersion: int16(), maxSupportedVersion: int16() }),
    rack: string({ nullable: true }),
    isMigratingZkBroker: bool({ versions: "1+", default: false }),
    logDirs: array(uuid(), { versions: "2+", ignorable: true }),
    previousBrokerEpoch: int64({ versions: "3+", default: -1, ignorable: true }),
  },
);

export type BrokerRegistrationRequest = Infer<typeof brokerRegistrationRequest>;

/** Kafka's BrokerRegistrationResponse. */
export const brokerRegistrationResponse = response(
  "BrokerRegistration",
  62,
  { versions: "0-4", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    brokerEpoch: int64({ default: -1 }),
  },
);

export type BrokerRegistrationResponse = Infer<typeof brokerRegistrationResponse>;
