import type { Consumer, Kafka } from "kafkajs";
import { expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";
import { kafkaClient } from "../support/kafkajs-log.ts";

const TOPIC = "smoke";
const GROUP = "smokers";

/** Runs a consumer of the group until it has handled `count` records and committed; gives the values. */
async function consume(kafka: Kafka, groupId: string, count: number): Promise<string[]> {
  const consumer: Consumer = kafka.consumer({ groupId });
  await consumer.connect();
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
  const values: string[] = [];
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    consumer
      .run({
        eachMessage: ({ message }) => {
          values.push(message.value!.toString());
          if (values.length === count) resolve();
          return Promise.resolve();
        },
      })
      .catch(reject);
  });
  // Commits what was handled, then leaves the group.
  await consumer.disconnect();
  return values;
}

async function produce(kafka: Kafka, values: readonly string[]): Promise<void> {
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  const messages = values.map((value) => ({ key: value, value }));
  await producer.send({ topic: TOPIC, messages });
  await producer.disconnect();
}

test("kafkajs creates a topic, produces and consumes in a group, across a kill -9", async () => {
  await withTemporaryFolder(async (dataDirectory) => {
    let broker = await BrokerProcess.start({ dataDirectory });
    const kafka = kafkaClient(broker.bootstrap);
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3 }] });
    expect(await admin.listTopics()).toContain(TOPIC);
    const { topics } = await admin.fetchTopicMetadata({ topics: [TOPIC] });
    expect(topics[0]!.partitions.map(({ leader }) => leader)).toEqual([1, 1, 1]);
    await admin.disconnect();

    const first = Array.from({ length: 100 }, (_, index) => `first-${index}`);
    await produce(kafka, first);
    expect((await consume(kafka, GROUP, 100)).toSorted()).toEqual(first.toSorted());

    await broker.kill9();
    broker = await BrokerProcess.start({ dataDirectory, port: broker.port });

    // The group goes on behind what it had committed; another group finds all there ever was.
    const second = Array.from({ length: 50 }, (_, index) => `second-${index}`);
    await produce(kafka, second);
    expect((await consume(kafka, GROUP, 50)).toSorted()).toEqual(second.toSorted());
    expect((await consume(kafka, "others", 150)).toSorted()).toEqual(
      [...first, ...second].toSorted(),
    );
    expect(await broker.stop()).toBe(0);
    expect(broker.output).not.toMatch(/"level":"(warn|error|fatal)"/);
  });
});
