import kafkajs from "kafkajs";
import { expect, test } from "vitest";
import type { CompressionType } from "../../src/base/offload.ts";
import { deflateSync, inflateSync, loadCodec } from "../../src/protocol/records/compression.ts";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";
import { kafkaClient, readTopic } from "../support/kafkajs-log.ts";
import { runPython } from "../support/python.ts";

const CODECS: readonly (readonly [CompressionType, kafkajs.CompressionTypes])[] = [
  ["none", kafkajs.CompressionTypes.None],
  ["gzip", kafkajs.CompressionTypes.GZIP],
  ["snappy", kafkajs.CompressionTypes.Snappy],
  ["lz4", kafkajs.CompressionTypes.LZ4],
  ["zstd", kafkajs.CompressionTypes.ZSTD],
];

/** kafkajs brings gzip alone; it takes the others as functions of the records' bytes. */
function registerCodec(type: CompressionType, id: kafkajs.CompressionTypes): void {
  const codec = () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => {
      await loadCodec(type);
      return deflateSync(type, buffer);
    },
    decompress: async (buffer: Buffer) => {
      await loadCodec(type);
      return inflateSync(type, buffer, 64 * 1024 * 1024);
    },
  });
  Object.assign(kafkajs.CompressionCodecs, { [id]: codec });
}

test("kafkajs, idempotent, gets back what it sent in every compression; so does librdkafka", async () => {
  for (const [type, id] of CODECS.slice(2)) registerCodec(type, id);
  await withTemporaryFolder(async (dataDirectory) => {
    const broker = await BrokerProcess.start({ dataDirectory });
    try {
      const kafka = kafkaClient(broker.bootstrap);
      const producer = kafka.producer({ idempotent: true });
      await producer.connect();
      const sent: string[] = [];
      for (const [type, compression] of CODECS) {
        const values = Array.from({ length: 100 }, (_, n) => `${type}-${n}-${"ab".repeat(n)}`);
        await producer.send({
          topic: "packed",
          compression,
          messages: values.map((value) => ({ value })),
        });
        sent.push(...values);
      }
      await producer.disconnect();

      const expected = sent.map((value, offset) => ({ offset, value }));
      const byKafkajs = await readTopic(kafka, "packed");
      expect(byKafkajs.map(({ offset, value }) => ({ offset, value }))).toEqual(expected);
      const byLibrdkafka = await runPython(
        "test/support/consume.py",
        broker.bootstrap,
        "packed",
        "0",
      );
      expect(byLibrdkafka.trimEnd().split("\n")).toEqual(
        expected.map(({ offset, value }) => `${offset} ${value}`),
      );
    } finally {
      await broker.stop();
    }
  });
});
