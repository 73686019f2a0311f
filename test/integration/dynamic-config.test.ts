import kafkajs, { type Kafka } from "kafkajs";
import { describe, expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";
import { kafkaClient, readTopic } from "../support/kafkajs-log.ts";

const { TOPIC, BROKER } = kafkajs.ConfigResourceTypes;

/** kill -9 is a power cut: what was not synced is gone. */
const OVERRIDES = { "holdfast.disk.page.cache": "process", "num.partitions": 1 };

/** Produces and waits for each acknowledgement. */
async function produce(kafka: Kafka, topic: string, values: readonly string[]): Promise<void> {
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  for (const value of values) await producer.send({ topic, messages: [{ value }] });
  await producer.disconnect();
}

function numbered(prefix: string): string[] {
  return Array.from({ length: 5 }, (_, index) => `${prefix}-${index}`);
}

describe("a flush policy that is set while the broker runs is kept by every later acknowledgement", () => {
  test.each([
    ["of a topic", { type: TOPIC, name: "t", key: "flush.messages" }],
    ["of a broker, inherited", { type: BROKER, name: "1", key: "log.flush.interval.messages" }],
  ])("%s", async (_name, { type, name, key }) => {
    await withTemporaryFolder(async (dataDirectory) => {
      let broker = await BrokerProcess.start({ dataDirectory, overrides: OVERRIDES });
      const kafka = kafkaClient(broker.bootstrap);
      const admin = kafka.admin();
      await admin.connect();
      await admin.createTopics({ topics: [{ topic: "t", numPartitions: 1 }] });
      await produce(kafka, "t", numbered("before"));
      await admin.alterConfigs({
        validateOnly: false,
        resources: [{ type, name, configEntries: [{ name: key, value: "1" }] }],
      });
      await produce(kafka, "t", numbered("after"));
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: TOPIC, name: "t", configNames: ["flush.messages"] }],
      });
      expect(resources[0]!.configEntries.map(({ configValue }) => configValue)).toEqual(["1"]);
      await admin.disconnect();
      await broker.kill9();

      broker = await BrokerProcess.start({
        ...{ dataDirectory, port: broker.port },
        overrides: { ...OVERRIDES, "log.flush.interval.messages": "1000" },
      });
      // One sync covers all that came before it: those were acknowledged, too.
      const expected = [...numbered("before"), ...numbered("after")];
      expect((await readTopic(kafka, "t")).map(({ value }) => value)).toEqual(expected);
      const isOverruled = broker.output.includes(
        "log.flush.interval.messages=1 goes before log.flush.interval.messages=1000",
      );
      expect(isOverruled).toBe(type === BROKER);
      expect(await broker.stop()).toBe(0);
    });
  });
});
