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
  forgetPeak,
  metric,
  MIB,
  produceAndConsume,
  residentBytes,
  underAttack,
  USED_BYTES,
  WITH_METRICS,
} from "./support.ts";

const ATTACKERS = 150;
/** What all clients together may make the broker hold. */
const BUDGET_BYTES = 64 * MIB;
/** Beside it: answers that are begun with the last of the room, and what waits to be collected. */
const MAX_BESIDE_BYTES = 256 * MIB;
/** Of the topic "large" (attack.mjs): one connection that takes all of it would fill the budget. */
const RECORDS = 64;
const RECORD_BYTES = 1_000_000;
/** What makes the answer to "all topics" large. */
const PARTITIONS = 2_000;

let directory: string;
let broker: BrokerProcess;
let kafka: Kafka;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "holdfast-deaf-"));
  broker = await BrokerProcess.start({
    dataDirectory: join(directory, "data"),
    overrides: { ...WITH_METRICS, "queued.max.request.bytes": BUDGET_BYTES },
  });
  kafka = kafkaClient(broker.bootstrap);
  const [admin, producer] = [kafka.admin(), kafka.producer()];
  await Promise.all([admin.connect(), producer.connect()]);
  const topics = [
    { topic: "large", numPartitions: 1 },
    { topic: "wide", numPartitions: PARTITIONS },
  ];
  await admin.createTopics({ topics });
  const message = { value: Buffer.alloc(RECORD_BYTES, "x") };
  for (let count = 0; count < RECORDS; count += 1) {
    await producer.send({ topic: "large", messages: [message] });
  }
  await Promise.all([admin.disconnect(), producer.disconnect()]);
  await produceAndConsume(kafka, "warm-up");
});

afterAll(async () => {
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

function cutOffSince(position: number): boolean {
  return broker.output.includes("held memory for too long", position);
}

describe(`${ATTACKERS} clients that ask and ask, and read no answer`, () => {
  test.each(["deaf-fetch", "deaf-metadata"])(
    "%s: memory is bounded, they are cut off, and stock clients beside them go on",
    async (kind) => {
      const before = residentBytes(broker);
      const saidBefore = broker.output.length;
      forgetPeak(broker);
      await underAttack(broker, kind, ATTACKERS, async () => {
        await until(
          async () => (await metric(broker, USED_BYTES)) > BUDGET_BYTES / 2,
          "they are at it",
        );
        const startMs = performance.now();
        await produceAndConsume(kafka, `beside-${kind}`);
        const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
        const growth = residentBytes(broker, "VmHWM") - before;
        console.log(`${kind}: at most ${(growth / MIB).toFixed(1)} MiB more; ${seconds} s beside`);
        expect(growth).toBeLessThan(BUDGET_BYTES + MAX_BESIDE_BYTES);
        await until(() => cutOffSince(saidBefore), "some are cut off");
      });
      await until(async () => (await metric(broker, CONNECTIONS)) === 0, "their places are free");
      expect(await metric(broker, USED_BYTES)).toBe(0);
    },
  );
});
