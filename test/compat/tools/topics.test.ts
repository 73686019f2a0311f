import { describe, expect, test } from "vitest";
import { describedTopic, KafkaTools } from "../../support/kafka-tools.ts";
import { sharedBroker } from "../../support/shared-broker.ts";

describe("kafka-topics", () => {
  const tools = new KafkaTools(sharedBroker());
  const topics = (...args: string[]) => tools.run("kafka-topics", args);
  const described = async () => describedTopic(await topics("--describe", "--topic", "made"));

  const partitions = (count: number): unknown[] =>
    Array.from({ length: count }, (_, partition): unknown =>
      expect.objectContaining({
        ...{ Topic: "made", Partition: String(partition), Leader: "1", Replicas: "1", Isr: "1" },
      }),
    );

  test("makes a topic as it was asked to, tells it, widens it, and deletes it", async () => {
    const create = [
      ...["--create", "--topic", "made", "--partitions", "3", "--replication-factor", "1"],
      ...["--config", "retention.ms=3600000", "--config", "cleanup.policy=compact"],
    ];
    expect(await topics(...create)).toContain("Created topic made.");

    const [again, [topic, ...three]] = await Promise.all([
      tools.result("kafka-topics", create),
      described(),
    ]);
    expect(again.exitCode).toBe(1);
    expect(again.stdout).toContain("Topic 'made' already exists.");
    expect(topic).toMatchObject({ Topic: "made", PartitionCount: "3", ReplicationFactor: "1" });
    expect(topic!["TopicId"]).toMatch(/^[\w-]{22}$/);
    expect(topic!["Configs"]!.split(",").sort()).toEqual([
      "cleanup.policy=compact",
      "retention.ms=3600000",
    ]);
    expect(three).toEqual(partitions(3));

    await topics("--alter", "--topic", "made", "--partitions", "5");
    const [narrower, [wider, ...five]] = await Promise.all([
      tools.result("kafka-topics", ["--alter", "--topic", "made", "--partitions", "4"]),
      described(),
    ]);
    expect(narrower.exitCode).toBe(1);
    expect(narrower.stdout).toContain("The topic made currently has 5 partition(s)");
    expect(wider).toEqual({ ...topic, PartitionCount: "5" });
    expect(five).toEqual(partitions(5));

    const [listed] = await Promise.all([
      topics("--list"),
      topics("--create", "--topic", "made", "--if-not-exists"),
    ]);
    expect(listed.trimEnd().split("\n")).toEqual(["made"]);
    await topics("--delete", "--topic", "made");
    const [left, absent] = await Promise.all([
      topics("--list"),
      tools.result("kafka-topics", ["--describe", "--topic", "made"]),
    ]);
    expect(left.trim()).toBe("");
    expect(absent.exitCode).toBe(1);
    expect(absent.stdout).toContain("Topic 'made' does not exist");
  });
});
