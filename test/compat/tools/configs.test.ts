import { describe, expect, test } from "vitest";
import { KafkaTools } from "../../support/kafka-tools.ts";
import { readTopic } from "../../support/kafkajs-log.ts";
import { sharedBroker } from "../../support/shared-broker.ts";
import { sharedClient } from "../../support/shared-client.ts";
import { until } from "../../support/until.ts";

const HOUR_MS = 3_600_000;

/** Lines of --describe: the setting's name to its value and where that comes from, the nearest first. */
function describedSettings(output: string): Map<string, string> {
  const line = /^ {2}(\S+?)=(.*) sensitive=\w+ synonyms=\{(.*)\}$/gm;
  return new Map(
    [...output.matchAll(line)].map(([, name, value, synonyms]) => [
      name!,
      `${value} (${synonyms})`,
    ]),
  );
}

describe("kafka-configs", () => {
  const broker = sharedBroker({
    "log.initial.task.delay.ms": 0,
    "log.retention.check.interval.ms": 100,
  });
  const client = sharedClient(broker);
  const tools = new KafkaTools(broker);
  const configs = (...args: string[]) => tools.run("kafka-configs", args);
  const settings = async (...entity: string[]) =>
    describedSettings(await configs("--describe", ...entity));

  /** Sends one record by itself; what kafkajs calls the error, or "taken". */
  const send = async (topic: string, value: string, timestampMs = Date.now()) => {
    const producer = client.kafka.producer({ idempotent: true });
    await producer.connect();
    try {
      await producer.send({ topic, messages: [{ value, timestamp: String(timestampMs) }] });
      return "taken";
    } catch (error) {
      return (error as { type?: string }).type;
    } finally {
      await producer.disconnect();
    }
  };

  test("a logger's level changes what the broker logs", async () => {
    const logger = ["--entity-type", "broker-loggers", "--entity-name", "1"];
    const debugged = () => broker.output.includes('"level":"debug"');
    expect([...(await settings(...logger))]).toEqual([["root", "INFO ()"]]);

    const refused = await tools.result("kafka-configs", [
      ...["--alter", ...logger, "--add-config", "root=LOUD"],
    ]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain("Cannot set the log level of root to LOUD");
    expect(debugged()).toBe(false);

    await configs("--alter", ...logger, "--add-config", "root=DEBUG");
    expect([...(await settings(...logger))]).toEqual([["root", "DEBUG ()"]]);
    // This broker's first group, and the first test: the coordinators are loaded for it.
    await client.admin.createTopics({ topics: [{ topic: "logged", numPartitions: 1 }] });
    await client.admin.setOffsets({
      groupId: "g",
      topic: "logged",
      partitions: [{ partition: 0, offset: "1" }],
    });
    await until(debugged, "the broker logs what is for debugging");
  });

  test("a topic's max.message.bytes refuses what is larger until it is taken back", async () => {
    const entity = ["--entity-type", "topics", "--entity-name", "limited"];
    await client.admin.createTopics({ topics: [{ topic: "limited", numPartitions: 1 }] });
    const output = await configs("--alter", ...entity, "--add-config", "max.message.bytes=2000");
    expect(output).toContain("Completed updating config for topic limited.");

    const large = "x".repeat(3000);
    const produce = (...lines: string[]) =>
      tools.result(
        "kafka-console-producer",
        ["--topic", "limited", "--sync"],
        lines.map((line) => `${line}\n`).join(""),
      );
    const [limited, refused] = await Promise.all([settings(...entity), produce("small", large)]);
    expect([...limited]).toEqual([
      [
        "max.message.bytes",
        "2000 (DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000, DEFAULT_CONFIG:message.max.bytes=1048588)",
      ],
    ]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain("RecordTooLargeException");
    expect((await readTopic(client.kafka, "limited")).map(({ value }) => value)).toEqual(["small"]);

    await configs("--alter", ...entity, "--delete-config", "max.message.bytes");
    const [unlimited, taken] = await Promise.all([settings(...entity), produce(large)]);
    expect([...unlimited]).toEqual([]);
    expect(taken).toMatchObject({ exitCode: 0, stderr: "" });
    expect((await readTopic(client.kafka, "limited")).map(({ value }) => value)).toEqual([
      "small",
      large,
    ]);
  });

  test("what a topic does not have, or not in this form, is refused and changes nothing", async () => {
    const entity = ["--entity-type", "topics", "--entity-name", "strict"];
    await client.admin.createTopics({ topics: [{ topic: "strict", numPartitions: 1 }] });
    const alter = (...change: string[]) =>
      tools.result("kafka-configs", ["--alter", ...entity, ...change]);
    const [unknown, malformed] = await Promise.all([
      alter("--add-config", "max.mesage.bytes=2000,retention.ms=1000"),
      alter("--add-config", "retention.ms=1000,segment.ms=soon"),
    ]);
    expect([unknown.exitCode, malformed.exitCode]).toEqual([1, 1]);
    expect(unknown.stderr).toContain("Unknown topic config name: max.mesage.bytes");
    expect(malformed.stderr).toContain("Invalid value soon for configuration segment.ms");
    expect([...(await settings(...entity))]).toEqual([]);
  });

  test("a topic's retention.ms takes away what is older, and nothing of another topic", async () => {
    const topics = ["aged", "kept"].map((topic) => ({ topic, numPartitions: 1 }));
    await client.admin.createTopics({ topics });
    for (const { topic } of topics) {
      for (let n = 0; n < 3; n += 1) {
        expect(await send(topic, `old ${n}`, Date.now() - 2 * HOUR_MS)).toBe("taken");
      }
    }
    await configs(
      ...["--alter", "--entity-type", "topics", "--entity-name", "aged"],
      ...["--add-config", `retention.ms=${HOUR_MS}`],
    );
    await until(
      async () => (await client.admin.fetchTopicOffsets("aged")).every(({ low }) => low === "3"),
      "retention has taken the old records away",
    );
    const earliest = await tools.run("kafka-get-offsets", [
      ...["--topic", "aged|kept", "--time", "earliest"],
    ]);
    expect(earliest.trimEnd().split("\n")).toEqual(["aged:0:3", "kept:0:0"]);
    expect(await send("aged", "young")).toBe("taken");
    expect((await readTopic(client.kafka, "aged")).map(({ value }) => value)).toEqual(["young"]);
  });

  test("a broker's own setting goes before all brokers' default, and both hold at once", async () => {
    const all = ["--entity-type", "brokers", "--entity-default"];
    const one = ["--entity-type", "brokers", "--entity-name", "1"];
    await client.admin.createTopics({ topics: [{ topic: "inheriting", numPartitions: 1 }] });
    const sizes = async () => [
      await send("inheriting", "x".repeat(3000)),
      await send("inheriting", "x".repeat(6000)),
    ];

    const output = await configs("--alter", ...all, "--add-config", "message.max.bytes=2000");
    expect(output).toContain("Completed updating default config for brokers in the cluster.");
    expect(await sizes()).toEqual(["MESSAGE_TOO_LARGE", "MESSAGE_TOO_LARGE"]);
    await configs("--alter", ...one, "--add-config", "message.max.bytes=5000");
    expect(await sizes()).toEqual(["taken", "MESSAGE_TOO_LARGE"]);

    const [byDefault, whole] = await Promise.all([settings(...all), settings(...one, "--all")]);
    const defaulted = "DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=2000";
    expect([...byDefault]).toEqual([["message.max.bytes", `2000 (${defaulted})`]]);
    expect(whole.get("message.max.bytes")).toBe(
      `5000 (DYNAMIC_BROKER_CONFIG:message.max.bytes=5000, ${defaulted}, DEFAULT_CONFIG:message.max.bytes=1048588)`,
    );
    expect(whole.get("log.retention.check.interval.ms")).toBe(
      "100 (STATIC_BROKER_CONFIG:log.retention.check.interval.ms=100, DEFAULT_CONFIG:log.retention.check.interval.ms=300000)",
    );

    await configs("--alter", ...one, "--delete-config", "message.max.bytes");
    expect(await sizes()).toEqual(["MESSAGE_TOO_LARGE", "MESSAGE_TOO_LARGE"]);
    await configs("--alter", ...all, "--delete-config", "message.max.bytes");
    expect(await sizes()).toEqual(["taken", "taken"]);
    expect([...(await settings(...one))]).toEqual([]);
  });
});
