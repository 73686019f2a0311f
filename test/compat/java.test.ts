import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BrokerProcess } from "../support/broker-process.ts";
import { kafkaTool } from "../support/java.ts";

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

/** Kafka's own Java tools against one node; their producers are idempotent with acks=all by default. */
describe("Kafka's Java clients", () => {
  let folder: string;
  let broker: BrokerProcess;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-"));
    broker = await BrokerProcess.start({ dataDirectory: folder });
  });

  afterAll(async () => {
    expect(await broker.stop()).toBe(0);
    await rm(folder, { recursive: true, force: true });
  });

  const connect = () => ["--bootstrap-server", broker.bootstrap];

  test("the topics tool creates, lists and describes a topic", async () => {
    const topics = (...args: string[]) =>
      kafkaTool("org.apache.kafka.tools.TopicCommand", [...connect(), ...args]);
    await topics("--create", "--topic", "made", "--partitions", "3", "--replication-factor", "1");
    expect((await topics("--list")).split("\n")).toContain("made");
  });

  test("console producer and consumer pass on keys and values in every compression", async () => {
    const topic = "console";
    const sent: string[] = [];
    for (const codec of CODECS) {
      const lines = Array.from({ length: 50 }, (_, n) => `key-${n}:${codec} says ${n} ✓`);
      await kafkaTool(
        "org.apache.kafka.tools.ConsoleProducer",
        [
          ...[...connect(), "--topic", topic, "--compression-codec", codec],
          ...["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"],
        ],
        `${lines.join("\n")}\n`,
      );
      sent.push(...lines);
    }
    const output = await kafkaTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
      ...[...connect(), "--topic", topic, "--from-beginning", "--group", "console-readers"],
      ...["--max-messages", String(sent.length), "--timeout-ms", "30000"],
      ...["--formatter-property", "print.key=true", "--formatter-property", "key.separator=:"],
    ]);
    expect(output.trimEnd().split("\n")).toEqual(sent);
  });

  test("perf producer and consumer move every record in every compression", async () => {
    const topic = "perf";
    for (const codec of CODECS) {
      const output = await kafkaTool("org.apache.kafka.tools.ProducerPerformance", [
        ...["--bootstrap-server", broker.bootstrap, "--topic", topic, "--num-records", "20000"],
        ...["--record-size", "200", "--throughput", "-1"],
        ...["--command-property", "acks=all", `compression.type=${codec}`],
      ]);
      expect(output).toMatch(/^20000 records sent/m);
    }
    const output = await kafkaTool("org.apache.kafka.tools.ConsumerPerformance", [
      ...[...connect(), "--topic", topic, "--num-records", String(20000 * CODECS.length)],
      ...["--timeout", "30000", "--group", "perf-readers", "--hide-header"],
    ]);
    // start, end, MB, MB/s, records, …
    const records = Number(output.trimEnd().split("\n").at(-1)!.split(", ")[4]);
    expect(records).toBeGreaterThanOrEqual(20000 * CODECS.length);
  });
});
