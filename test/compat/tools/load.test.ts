import { describe, expect, test } from "vitest";
import { KafkaTools, type ToolEvent } from "../../support/kafka-tools.ts";
import { kafkaClient } from "../../support/kafkajs-log.ts";
import { sharedBroker } from "../../support/shared-broker.ts";

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

describe("Kafka's tools that produce and consume in bulk", () => {
  const broker = sharedBroker({ "num.partitions": 3 });
  const tools = new KafkaTools(broker);

  test("kafka-producer-perf-test and kafka-consumer-perf-test move every record in every compression", async () => {
    const produce = async (codec: string) => {
      const output = await tools.run("kafka-producer-perf-test", [
        ...["--topic", "perf", "--num-records", "20000", "--record-size", "200"],
        ...["--throughput", "-1", "--command-property", "acks=all", `compression.type=${codec}`],
      ]);
      expect(output).toMatch(/^20000 records sent, [1-9]/m);
    };
    await produce(CODECS[0]);
    await Promise.all([produce(CODECS[1]), produce(CODECS[2])]);
    await Promise.all([produce(CODECS[3]), produce(CODECS[4])]);

    const count = 20000 * CODECS.length;
    const output = await tools.run("kafka-consumer-perf-test", [
      ...["--topic", "perf", "--num-records", String(count)],
      ...["--timeout", "30000", "--group", "perf-readers", "--hide-header"],
    ]);
    // start, end, MB, MB/s, records, …
    const [, , megabytes, , records] = output.trimEnd().split("\n").at(-1)!.split(", ");
    expect(Number(records)).toBe(count);
    expect(Number(megabytes)).toBeCloseTo((count * 200) / 1024 ** 2, 2);
  });

  test("what kafka-verifiable-producer has acknowledged kafka-verifiable-consumer receives, once and as it was sent", async () => {
    const topic = "verified";
    const count = 5000;
    const admin = kafkaClient(broker.bootstrap).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] });
    const limit = ["--topic", topic, "--max-messages", String(count)];
    const consumer = tools.start(
      "kafka-verifiable-consumer",
      [...limit, "--group-id", "verifiers", "--verbose"],
      broker.folder,
    );
    const producer = tools.start(
      "kafka-verifiable-producer",
      [...limit, "--acks", "-1", "--repeating-keys", "100"],
      broker.folder,
    );
    await Promise.all([producer.ended(), consumer.ended()]);

    const acked = producer.named("producer_send_success");
    expect(producer.named("producer_send_error")).toEqual([]);
    expect(producer.named("tool_data")).toMatchObject([{ sent: count, acked: count }]);
    expect(byValue(acked).map(({ value }) => value)).toEqual(
      Array.from({ length: count }, (_, n) => String(n)),
    );
    const where = ({ value, key, partition, offset }: ToolEvent) =>
      `${value} of ${key} at ${partition}:${offset}`;
    expect(byValue(consumer.named("record_data")).map(where)).toEqual(byValue(acked).map(where));

    const commits = consumer.named("offsets_committed");
    expect(commits.filter(({ success }) => success !== true)).toEqual([]);
    const ends = await admin.fetchTopicOffsets(topic);
    await admin.disconnect();
    const last = commits.flatMap(({ offsets = [] }) => offsets);
    expect(new Map(last.map(({ partition, offset }) => [partition, offset]))).toEqual(
      new Map(ends.map(({ partition, high }) => [partition, Number(high)])),
    );
  });
});

function byValue(events: readonly ToolEvent[]): ToolEvent[] {
  return [...events].sort((a, b) => Number(a.value) - Number(b.value));
}
