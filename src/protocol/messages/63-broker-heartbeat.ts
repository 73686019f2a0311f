import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int64,
  request,
  response,
  uuid,
} from "../schema.ts";

/** Kafka's BrokerHeartbeatRequest. */
export const brokerHeartbeatRequest = request(
  "BrokerHeartbeat",
  63,
  { versions: "0-2", flexible: "0+" },
  {
    brokerId: int32(),
    brokerEpoch: int64({ default: -1 }),
    currentMetadataOffset: int64(),
    wantFence: bool(),
    wantShutDown: bool(),
    offlineLogDirs: array(uuid(), { versions: "1+", tag: 0 }),
    cordonedLogDirs: array(uuid(), { versions: "2+", nullable: true, default: null, tag: 1 }),
  },
);

export type BrokerHeartbeatRequest = Infer<typeof brokerHeartbeatRequest>;

/** Kafka's BrokerHeartbeatResponse. */
export const brokerHeartbeatResponse = response(
  "BrokerHeartbeat",
  63,
  { versions: "0-2", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    isCaughtUp: bool({ default: false }),
    isFenced: bool({ default: true }),
    shouldShutDown: bool(),
  },
);

export type BrokerHeartbeatResponse = Infer<typeof brokerHeartbeatResponse>;
