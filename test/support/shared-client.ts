import type { Admin, Kafka } from "kafkajs";
import { afterAll, beforeAll } from "vitest";
import { kafkaClient } from "./kafkajs-log.ts";
import type { SharedBroker } from "./shared-broker.ts";

export interface SharedClient {
  readonly kafka: Kafka;
  /** Connected. */
  readonly admin: Admin;
}

/** A kafkajs client of the broker for all tests of the file, beside the tools that they test. */
export function sharedClient(broker: SharedBroker): SharedClient {
  let kafka: Kafka;
  let admin: Admin;

  beforeAll(async () => {
    kafka = kafkaClient(broker.bootstrap);
    admin = kafka.admin();
    await admin.connect();
  });

  afterAll(() => admin.disconnect());

  return {
    get kafka() {
      return kafka;
    },
    get admin() {
      return admin;
    },
  };
}
