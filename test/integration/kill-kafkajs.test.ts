import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";
import { kafkaClient, readTopic } from "../support/kafkajs-log.ts";

const ROUNDS = 5;
const ACKED_PER_ROUND = 200;

test("kill -9 in the middle of a kafkajs producer's work loses and doubles nothing (R1)", async () => {
  await withTemporaryFolder(async (dataDirectory) => {
    let broker = await BrokerProcess.start({ dataDirectory });
    const kafka = kafkaClient(broker.bootstrap);
    const producer = kafka.producer({ idempotent: true });
    await producer.connect();

    const offsetOf = new Map<string, number>();
    const progress = new EventEmitter();
    const stop = new AbortController();
    const work = (async () => {
      for (let n = 0; !stop.signal.aborted; n += 1) {
        const values = Array.from({ length: 5 }, (_, index) => `${n}-${index}`);
        const [answer] = await producer.send({
          topic: "killed",
          messages: values.map((value) => ({ value })),
        });
        const baseOffset = Number(answer!.baseOffset);
        values.forEach((value, index) => offsetOf.set(value, baseOffset + index));
        progress.emit("ack");
      }
    })();
    const acked = (count: number) =>
      new Promise<void>((resolve) => {
        progress.on("ack", () => {
          if (offsetOf.size >= count) resolve();
        });
      });

    for (let round = 0; round < ROUNDS; round += 1) {
      await Promise.race([acked(offsetOf.size + ACKED_PER_ROUND), work]);
      await broker.kill9();
      broker = await BrokerProcess.start({ dataDirectory, port: broker.port });
    }
    await Promise.race([acked(offsetOf.size + ACKED_PER_ROUND), work]);
    stop.abort();
    await work;
    await producer.disconnect();

    const found = await readTopic(kafka, "killed");
    const valueAt = new Map(found.map(({ offset, value }) => [offset, value]));
    const lost = [...offsetOf].filter(([value, offset]) => valueAt.get(offset) !== value);
    expect(lost).toEqual([]);
    expect(new Set(found.map(({ value }) => value)).size).toBe(found.length);
    expect(await broker.stop()).toBe(0);
  });
});
