import { expect, test } from "vitest";
import { resolveConfig } from "../../src/server/config.ts";
import { describeDurability, durabilityOf } from "../../src/server/durability.ts";

const OFF = "an ack does not wait for fsync (log.flush.interval.messages is off)";

test.each([
  [{}, `acks=all needs 1 replica; ${OFF}`],
  [
    { "log.flush.interval.messages": 1 },
    "acks=all needs 1 replica; every ack waits for fsync (log.flush.interval.messages=1)",
  ],
  [
    { "log.flush.interval.messages": 1, "log.flush.interval.ms": 5 },
    "acks=all needs 1 replica; every ack waits for fsync (log.flush.interval.messages=1)",
  ],
  [
    { "log.flush.interval.messages": 100 },
    "acks=all needs 1 replica; at most 99 acknowledged records of a partition are not yet synced " +
      "(log.flush.interval.messages=100)",
  ],
  [
    { "log.flush.interval.ms": 1000 },
    `acks=all needs 1 replica; ${OFF}; ` +
      "what is acknowledged is synced within 1000 ms (log.flush.interval.ms)",
  ],
  [
    { "log.flush.scheduler.interval.ms": 2000 },
    `acks=all needs 1 replica; ${OFF}; ` +
      "what is acknowledged is synced within 2000 ms (log.flush.interval.ms)",
  ],
  [
    { "min.insync.replicas": 2 },
    `acks=all needs 2 replicas (all of them where a topic has fewer); ${OFF}`,
  ],
  [
    { "holdfast.disk.page.cache": "process" },
    `acks=all needs 1 replica; ${OFF}; kill -9 is a power cut: it loses what was not synced ` +
      "(holdfast.disk.page.cache=process)",
  ],
])("with %j an acknowledgement is described as it is", (values, said) => {
  const settings = Object.entries({ "node.id": 1, ...values });
  const { config } = resolveConfig(
    settings.map(([key, value]) => ({ key, value: String(value), where: "test" })),
  );
  expect(describeDurability(durabilityOf(config))).toBe(`durability: ${said}`);
});
