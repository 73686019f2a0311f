import { KafkaError } from "../protocol/errors.ts";
import type { AlterIsr } from "./isr-changes.ts";
import type { BrokerIncarnations } from "./isr-state.ts";
import type { LeaderStreams } from "./replication-ports.ts";

/** What a node of several has for its partitions. */
export interface Replication {
  readonly streams: Pick<LeaderStreams, "follow" | "unfollow">;
  readonly alterIsr: AlterIsr;
  readonly brokers: BrokerIncarnations;
  /** Read before every ack where another replica could lead (R15). */
  readonly holdsLease: () => boolean;
  /** replica.lag.time.max.ms. */
  readonly lagMaxMs: () => number;
}

/** Of a node that is the whole cluster: there is nobody else. */
export const ALONE: Replication = {
  streams: { follow: () => undefined, unfollow: () => undefined },
  alterIsr: () => Promise.reject(new KafkaError("NOT_CONTROLLER")),
  brokers: { brokerEpoch: () => null, isActive: () => false },
  holdsLease: () => true,
  lagMaxMs: () => Infinity,
};
