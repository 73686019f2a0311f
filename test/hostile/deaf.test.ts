import type { Kafka } from "kafkajs";
import { describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { MIB, Target } from "./support.ts";

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

async function makeLargeAnswers(kafka: Kafka): Promise<void> {
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
}

describe(`${ATTACKERS} clients that ask and ask, and read no answer`, () => {
  const target = new Target({ "queued.max.request.bytes": BUDGET_BYTES }, makeLargeAnswers);
  const cutOffSince = (position: number) =>
    target.output.includes("held memory for too long", position);

  test.each(["deaf-fetch", "deaf-metadata"])(
    "%s: memory is bounded, they are cut off, and stock clients beside them go on",
    async (kind) => {
      const before = target.residentBytes();
      const saidBefore = target.output.length;
      target.forgetPeak();
      await target.underAttack(kind, ATTACKERS, async () => {
        const isAtIt = async () => (await target.usedBytes()) > BUDGET_BYTES / 2;
        await until(isAtIt, "they are at it");
        const startMs = performance.now();
        await target.produceAndConsume(`beside-${kind}`);
        const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
        const growth = target.residentBytes("VmHWM") - before;
        console.log(`${kind}: at most ${(growth / MIB).toFixed(1)} MiB more; ${seconds} s beside`);
        expect(growth).toBeLessThan(BUDGET_BYTES + MAX_BESIDE_BYTES);
        await until(() => cutOffSince(saidBefore), "some are cut off");
      });
    },
  );
});
