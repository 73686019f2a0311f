import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kafka } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BrokerProcess } from "../support/broker-process.ts";
import { kafkaClient } from "../support/kafkajs-log.ts";
import { until } from "../support/until.ts";
import {
  CONNECTIONS,
  metric,
  MIB,
  needOpenFiles,
  produceAndConsume,
  residentBytes,
  underAttack,
  USED_BYTES,
  WITH_METRICS,
} from "./support.ts";

/** Besides the clients'. */
const ATTACKERS = 10_000;
/** Resident memory that an attacker may cost, the sockets' objects included. */
const MAX_BYTES_EACH = 24 * 1024;

let directory: string;
let broker: BrokerProcess;
let kafka: Kafka;

beforeAll(async () => {
  // Half of what the broker may open is for connections, so that with no more the node is full.
  needOpenFiles(2 * ATTACKERS);
  directory = await mkdtemp(join(tmpdir(), "holdfast-hostile-"));
  broker = await BrokerProcess.start({
    dataDirectory: join(directory, "data"),
    overrides: { ...WITH_METRICS, "num.partitions": 4 },
  });
  kafka = kafkaClient(broker.bootstrap);
  // What only grows once: code, pools, the clients' topic.
  await produceAndConsume(kafka, "warm-up");
});

afterAll(async () => {
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

describe(`${ATTACKERS} connections that nobody asked for`, () => {
  test.each(["silent", "garbage", "trickle"])(
    "%s: bounded memory, and a stock client beside them loses nothing",
    async (kind) => {
      const before = residentBytes(broker);
      await underAttack(broker, kind, ATTACKERS, async () => {
        await produceAndConsume(kafka, `beside-${kind}`);
        const growth = residentBytes(broker) - before;
        console.log(`${kind}: ${(growth / MIB).toFixed(1)} MiB for ${ATTACKERS} connections`);
        expect(growth).toBeLessThan(ATTACKERS * MAX_BYTES_EACH);
        if (kind !== "garbage") {
          expect(await metric(broker, CONNECTIONS)).toBeGreaterThan(ATTACKERS / 2);
        }
      });
      await until(async () => (await metric(broker, CONNECTIONS)) === 0, "their places are free");
      expect(await metric(broker, USED_BYTES)).toBe(0);
    },
  );

  test("a flood of refusals is no flood of log lines", () => {
    const lines = broker.output.split("\n").filter((line) => line.includes('"level":"warn"'));
    expect(lines.length).toBeLessThan(2_000);
  });
});
