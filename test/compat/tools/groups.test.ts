import { beforeAll, describe, expect, test } from "vitest";
import { KafkaTools, tableRows, type VerifiableTool } from "../../support/kafka-tools.ts";
import { sharedBroker } from "../../support/shared-broker.ts";
import { sharedClient } from "../../support/shared-client.ts";
import { until } from "../../support/until.ts";

const TOPIC = "orders";
const PARTITIONS = [0, 1] as const;
const EARLY_MS = Date.UTC(2020, 0, 1);
const LATE_MS = Date.UTC(2021, 0, 1);

describe("kafka-consumer-groups and kafka-groups", () => {
  const broker = sharedBroker({ "offsets.topic.num.partitions": 3 });
  const client = sharedClient(broker);
  const tools = new KafkaTools(broker);
  const groups = (...args: string[]) => tools.run("kafka-consumer-groups", args);
  const ofTopic = ["--topic", TOPIC];

  /** In each partition: 0 to 3 early, 4 to 9 late. */
  beforeAll(async () => {
    const configEntries = [{ name: "retention.ms", value: "-1" }];
    await client.admin.createTopics({
      topics: [{ topic: TOPIC, numPartitions: 2, configEntries }],
    });
    const producer = client.kafka.producer({ idempotent: true });
    await producer.connect();
    const messages = PARTITIONS.flatMap((partition) =>
      Array.from({ length: 10 }, (_, n) => ({
        ...{ partition, value: `${partition}-${n}` },
        timestamp: String((n < 4 ? EARLY_MS : LATE_MS) + n),
      })),
    );
    await producer.send({ topic: TOPIC, messages });
    await producer.disconnect();
  });

  /** As kafkajs sees it; -1: none. */
  const committed = async (groupId: string) => {
    const [found] = await client.admin.fetchOffsets({ groupId, topics: [TOPIC] });
    const offsets = found!.partitions.map(({ partition, offset }) => [partition, Number(offset)]);
    return PARTITIONS.map((partition) => new Map(offsets as [number, number][]).get(partition));
  };

  const commit = (groupId: string, offsets: readonly number[]) =>
    client.admin.setOffsets({
      ...{ groupId, topic: TOPIC },
      partitions: offsets.map((offset, partition) => ({ partition, offset: String(offset) })),
    });

  const listed = async () => (await groups("--list")).trimEnd().split("\n");

  test("a group that consumes is told with its members, and is neither reset nor deleted", async () => {
    const consumers = ["a", "b"].map(() =>
      tools.start("kafka-verifiable-consumer", [...ofTopic, "--group-id", "busy"], broker.folder),
    );
    const shareOf = (consumer: VerifiableTool) =>
      consumer.named("partitions_assigned").at(-1)?.partitions ?? [];
    // Either may be the last to be told its share, and says nothing more.
    await until(() => consumers.every((each) => shareOf(each).length === 1), "an equal share");
    await until(async () => (await committed("busy")).every((offset) => offset === 10), "commits");

    const describe = (...what: string[]) => groups("--describe", "--group", "busy", ...what);
    const [offsets, members] = await Promise.all([describe(), describe("--members", "--verbose")]);
    const memberRows = tableRows(members, "GROUP");
    expect(memberRows.map((row) => row["CURRENT-ASSIGNMENT"]).sort()).toEqual([
      ...[`${TOPIC}:0`, `${TOPIC}:1`],
    ]);
    const ownerOf = (partition: number) =>
      memberRows.find((row) => row["CURRENT-ASSIGNMENT"] === `${TOPIC}:${partition}`);
    const owners = PARTITIONS.map((partition) => ownerOf(partition)!["CONSUMER-ID"]!);
    expect(new Set(owners).size).toBe(2);
    expect(memberRows).toEqual(
      memberRows.map((row) => ({
        ...row,
        ...{ GROUP: "busy", HOST: "/127.0.0.1", "#PARTITIONS": "1" },
        "CLIENT-ID": row["CONSUMER-ID"]!.slice(0, -37), // a dash and a UUID
      })),
    );
    const byPartition = (a: Record<string, string>, b: Record<string, string>) =>
      Number(a["PARTITION"]) - Number(b["PARTITION"]);
    expect(tableRows(offsets, "GROUP").sort(byPartition)).toEqual(
      PARTITIONS.map((partition) => ({
        ...{ GROUP: "busy", TOPIC, PARTITION: String(partition), HOST: "/127.0.0.1" },
        ...{ "CURRENT-OFFSET": "10", "LOG-END-OFFSET": "10", LAG: "0" },
        "CONSUMER-ID": owners[partition],
        "CLIENT-ID": owners[partition]!.slice(0, -37),
      })),
    );

    const [state, all] = await Promise.all([
      describe("--state"),
      groups("--list", "--state", "--type"),
    ]);
    expect(tableRows(state, "GROUP")).toEqual([
      {
        ...{ GROUP: "busy", COORDINATOR: broker.bootstrap, "(ID)": "(1)", STATE: "Stable" },
        ...{ "ASSIGNMENT-STRATEGY": "range", "#MEMBERS": "2" },
      },
    ]);
    expect(tableRows(all, "GROUP")).toEqual([{ GROUP: "busy", TYPE: "Classic", STATE: "Stable" }]);

    const [reset, deletion] = await Promise.all([
      groups("--reset-offsets", "--group", "busy", ...ofTopic, "--to-earliest", "--execute"),
      groups("--delete", "--group", "busy"),
    ]);
    expect(reset).toContain("if the group 'busy' is inactive, but the current state is Stable");
    expect(deletion).toMatch(/Group 'busy' could not be deleted due to: .*GroupNotEmptyException/);
    const deletedOffsets = await groups("--delete-offsets", "--group", "busy", ...ofTopic);
    expect(tableRows(deletedOffsets, "TOPIC")).toEqual(
      PARTITIONS.map((partition) => ({
        ...{ TOPIC, PARTITION: String(partition) },
        STATUS: expect.stringMatching(/^Error: .*GroupSubscribedToTopicException/) as string,
      })),
    );
    expect(await committed("busy")).toEqual([10, 10]);

    await Promise.all(consumers.map((consumer) => consumer.stop()));
    const [empty, kinds] = await Promise.all([
      describe("--state"),
      tools.run("kafka-groups", ["--list"]),
    ]);
    expect(tableRows(empty, "GROUP")).toMatchObject([{ STATE: "Empty", "#MEMBERS": "0" }]);
    expect(tableRows(kinds, "GROUP")).toEqual([
      { GROUP: "busy", TYPE: "Classic", PROTOCOL: "consumer" },
    ]);
  });

  test("offsets go where they are reset to, a rehearsal moves none, and a consumer reads on from there", async () => {
    const reset = async (topic: string, ...how: string[]) =>
      tableRows(
        await groups("--reset-offsets", "--group", "moved", "--topic", topic, ...how),
        "GROUP",
      )
        .map((row) => [Number(row["PARTITION"]), Number(row["NEW-OFFSET"])])
        .sort();
    await commit("moved", [3, 10]);

    const [planned, rehearsed] = await Promise.all([
      reset(TOPIC, "--to-earliest", "--dry-run"),
      // Without a word it is a rehearsal, too.
      reset(TOPIC, "--to-datetime", "2020-06-01T00:00:00.000"),
    ]);
    expect(planned).toEqual([
      [0, 0],
      [1, 0],
    ]);
    expect(rehearsed).toEqual([
      [0, 4],
      [1, 4],
    ]);
    expect(await committed("moved")).toEqual([3, 10]);

    // Beside each other: each has a partition of its own.
    const shifted = await Promise.all([
      reset(`${TOPIC}:0`, "--shift-by", "2", "--execute"),
      reset(`${TOPIC}:1`, "--shift-by", "-100", "--execute"),
    ]);
    expect(shifted).toEqual([[[0, 5]], [[1, 0]]]);
    expect(await committed("moved")).toEqual([5, 0]);
    await reset(TOPIC, "--to-earliest", "--execute");
    expect(await committed("moved")).toEqual([0, 0]);
    await reset(TOPIC, "--to-datetime", "2020-06-01T00:00:00.000", "--execute");
    expect(await committed("moved")).toEqual([4, 4]);

    const read = await tools.run("kafka-console-consumer", [
      ...[...ofTopic, "--group", "moved", "--max-messages", "12", "--timeout-ms", "30000"],
    ]);
    const late = PARTITIONS.flatMap((partition) =>
      [4, 5, 6, 7, 8, 9].map((n) => `${partition}-${n}`),
    );
    expect(read.trimEnd().split("\n").sort()).toEqual(late);
    expect(await committed("moved")).toEqual([10, 10]);
  });

  test("offsets are deleted one by one, groups whole, and others stay", async () => {
    await commit("left", [1, 2]);
    await commit("gone", [3, 4]);
    const [one, whole] = await Promise.all([
      groups("--delete-offsets", "--group", "left", "--topic", `${TOPIC}:0`),
      groups("--delete", "--group", "gone"),
    ]);
    expect(tableRows(one, "TOPIC")).toEqual([{ TOPIC, PARTITION: "0", STATUS: "Successful" }]);
    expect(whole).toContain("Deletion of requested consumer groups ('gone') was successful.");
    expect(await committed("left")).toEqual([-1, 2]);

    const [names, described] = await Promise.all([
      listed(),
      groups("--describe", "--group", "left", "--offsets"),
    ]);
    expect(names).toContain("left");
    expect(names).not.toContain("gone");
    expect(tableRows(described, "GROUP")).toEqual([
      {
        ...{ GROUP: "left", TOPIC, PARTITION: "1", LAG: "8" },
        ...{ "CURRENT-OFFSET": "2", "LOG-END-OFFSET": "10" },
        ...{ "CONSUMER-ID": "-", HOST: "-", "CLIENT-ID": "-" },
      },
    ]);
    expect(await groups("--describe", "--group", "gone")).toContain("Group gone not found.");
  });
});
