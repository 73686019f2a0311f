import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { readdir } from "node:fs/promises";
import { expect, test } from "vitest";
import { createBroker, KafkaError } from "../src/index.ts";
import { withTemporaryFolder } from "./support/broker-process.ts";
import { kafkaClient } from "./support/kafkajs-log.ts";

function settings(folder: string, listeners = "PLAINTEXT://127.0.0.1:0") {
  return { "log.dirs": folder, listeners, "offsets.topic.num.partitions": 1 };
}

test("a broker runs inside another program, stops twice, and starts again on what it left", async () => {
  await withTemporaryFolder(async (folder) => {
    for (const expected of [["mine"], ["mine"]]) {
      const broker = await createBroker({ settings: settings(folder) });
      const [listener] = broker.listeners;
      const admin = kafkaClient(`${listener!.host}:${listener!.port}`).admin();
      await admin.connect();
      await admin.createTopics({ topics: [{ topic: "mine" }] });
      expect(await admin.listTopics()).toEqual(expected);
      await admin.disconnect();
      await Promise.all([broker.close(), broker.close()]);
      expect(await readdir(folder)).toContain(".kafka_cleanshutdown");
    }
  });
});

test("a start that fails says why and leaves the directory free", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  try {
    await withTemporaryFolder(async (folder) => {
      const failed = createBroker({ settings: settings(folder, `PLAINTEXT://127.0.0.1:${port}`) });
      await expect(failed).rejects.toThrow(`127.0.0.1:${port} is in use`);
      const broker = await createBroker({ settings: settings(folder) });
      await broker.close();
    });
  } finally {
    taken.close();
  }
});

test("settings that cannot be taken are refused with key and range", async () => {
  await expect(createBroker({ settings: { "num.partitions": 0 } })).rejects.toThrow(
    "num.partitions=0 (createBroker): must be a whole number from 1 to 2147483647",
  );
  expect(new KafkaError("NOT_LEADER_OR_FOLLOWER").retriable).toBe(true);
});
