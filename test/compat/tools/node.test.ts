import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { KafkaTools, tableRows } from "../../support/kafka-tools.ts";
import { sharedBroker } from "../../support/shared-broker.ts";
import { sharedClient } from "../../support/shared-client.ts";

/** What the clients of 4.3 know, and docs/differences.md names as not built yet. */
const NOT_BUILT_YET =
  /Txn|Transactions|Sasl|Scram|Acls|DelegationToken|Quotas|ConsumerGroup|Share|Streams|Telemetry/;

interface LogDirectories {
  readonly brokers: readonly {
    readonly broker: number;
    readonly logDirs: readonly {
      readonly logDir: string;
      readonly error: string | null;
      readonly partitions: readonly {
        readonly partition: string;
        readonly size: number;
        readonly offsetLag: number;
        readonly isFuture: boolean;
      }[];
    }[];
  }[];
}

describe("Kafka's tools for logs and the node", () => {
  const broker = sharedBroker();
  const client = sharedClient(broker);
  const tools = new KafkaTools(broker);

  /** A topic with a record for each of the timestamps, in each of its partitions. */
  const fill = async (topic: string, timestampsMs: readonly (readonly number[])[]) => {
    const configEntries = [{ name: "retention.ms", value: "-1" }];
    const numPartitions = timestampsMs.length;
    await client.admin.createTopics({ topics: [{ topic, numPartitions, configEntries }] });
    const producer = client.kafka.producer({ idempotent: true });
    await producer.connect();
    const messages = timestampsMs.flatMap((times, partition) =>
      times.map((timestamp, n) => ({
        ...{ partition, value: `${partition}-${n}`, timestamp: String(timestamp) },
      })),
    );
    await producer.send({ topic, messages });
    await producer.disconnect();
  };

  const offsets = async (topic: string, time: string) => {
    const output = await tools.run("kafka-get-offsets", ["--topic", topic, "--time", time]);
    return output.trimEnd().split("\n");
  };

  test("kafka-get-offsets finds ends and times; kafka-delete-records moves the start, and refuses the rest", async () => {
    await fill("cut", [[1000, 5000, 2000, 3000, 4000], [1000, 2000, 3000], [7000]]);
    const [latest, newest] = await Promise.all([
      offsets("cut", "latest"),
      offsets("cut", "max-timestamp"),
    ]);
    expect(latest).toEqual(["cut:0:5", "cut:1:3", "cut:2:1"]);
    expect(newest).toEqual(["cut:0:1", "cut:1:2", "cut:2:0"]);

    const path = join(broker.folder, "delete.json");
    const partitions = [2, -1, 2].map((offset, partition) => ({ topic: "cut", partition, offset }));
    await writeFile(path, JSON.stringify({ partitions, version: 1 }));
    const [deleted, afterTwo] = await Promise.all([
      tools.run("kafka-delete-records", ["--offset-json-file", path]),
      // Of partition 2 none is as young.
      offsets("spare|cut", "8000"),
    ]);
    expect(deleted).toContain("partition: cut-0\tlow_watermark: 2\n");
    expect(deleted).toContain("partition: cut-1\tlow_watermark: 3\n");
    expect(deleted).toMatch(/^partition: cut-2\terror: .*OffsetOutOfRangeException/m);
    expect(afterTwo).toEqual([""]);

    const [earliest, since] = await Promise.all([
      offsets("cut", "earliest"),
      offsets("cut", "2500"),
    ]);
    expect(earliest).toEqual(["cut:0:2", "cut:1:3", "cut:2:0"]);
    expect(since).toEqual(["cut:0:3", "cut:2:0"]);
    const read = await tools.run("kafka-console-consumer", [
      ...["--topic", "cut", "--from-beginning", "--max-messages", "4", "--timeout-ms", "30000"],
    ]);
    expect(read.trimEnd().split("\n").sort()).toEqual(["0-2", "0-3", "0-4", "2-0"]);
  });

  test("kafka-log-dirs tells each partition once, in the directory where it lies and as large as its files", async () => {
    const now = Date.now();
    await fill(
      "sized",
      [1, 50, 200].map((count) => Array.from({ length: count }, () => now)),
    );
    const [all, some] = await Promise.all([
      tools.run("kafka-log-dirs", ["--describe"]),
      tools.run("kafka-log-dirs", ["--describe", "--topic-list", "sized", "--broker-list", "1"]),
    ]);
    const read = (output: string) =>
      JSON.parse(output.trimEnd().split("\n").at(-1)!) as LogDirectories;
    const [node, ...others] = read(all).brokers;
    expect(others).toEqual([]);
    expect(node).toMatchObject({ broker: 1 });
    expect(node!.logDirs.map(({ logDir, error }) => [logDir, error]).sort()).toEqual(
      broker.logDirectories.map((directory) => [directory, null]),
    );
    for (const { logDir, partitions } of node!.logDirs) {
      const onDisk = await partitionSizes(logDir);
      const names = partitions.map(({ partition }) => partition);
      expect(names).toEqual(expect.arrayContaining([...onDisk.keys()]));
      // A partition that was never written to has no files.
      expect(partitions).toEqual(
        names.map((partition) => ({
          ...{ partition, size: onDisk.get(partition) ?? 0 },
          ...{ offsetLag: 0, isFuture: false },
        })),
      );
    }
    const everywhere = node!.logDirs.flatMap(({ partitions }) => partitions);
    expect(new Set(everywhere.map(({ partition }) => partition)).size).toBe(everywhere.length);
    const sizes = read(some)
      .brokers.flatMap(({ logDirs }) => logDirs.flatMap(({ partitions }) => partitions))
      .map(({ partition, size }) => [partition, size] as const)
      .sort();
    expect(sizes.map(([partition]) => partition)).toEqual(["sized-0", "sized-1", "sized-2"]);
    const [few, more, most] = sizes.map(([, size]) => size);
    expect(few).toBeGreaterThan(0);
    expect(more).toBeGreaterThan(few!);
    expect(most).toBeGreaterThan(more!);
  });

  test("kafka-cluster and kafka-broker-api-versions tell who the node is and what it speaks", async () => {
    const [id, endpoints] = await Promise.all([
      tools.run("kafka-cluster", ["cluster-id"]),
      tools.run("kafka-cluster", ["list-endpoints"]),
    ]);
    const properties = await readFile(join(broker.logDirectories[0]!, "meta.properties"), "utf8");
    expect(id.trim()).toBe(`Cluster ID: ${/^cluster\.id=(.*)$/m.exec(properties)![1]}`);
    expect(tableRows(endpoints, "ID")).toEqual([
      {
        ...{ ID: "1", HOST: "127.0.0.1", PORT: String(broker.port), RACK: "null" },
        ...{ STATE: "unfenced", ENDPOINT_TYPE: "broker" },
      },
    ]);

    const output = await tools.run("kafka-broker-api-versions", []);
    expect(output).toMatch(new RegExp(`^127\\.0\\.0\\.1:${broker.port} \\(id: 1 rack: null `));
    const apis = [...output.matchAll(/^\t(\w+)\(\d+\): (.+?),?$/gm)];
    const unsupported = apis.filter(([, , versions]) => versions === "UNSUPPORTED");
    const supported = apis.filter(([, , versions]) => versions !== "UNSUPPORTED");
    expect(unsupported.filter(([, name]) => !NOT_BUILT_YET.test(name!))).toEqual([]);
    expect(supported.filter(([, name]) => NOT_BUILT_YET.test(name!))).toEqual([]);
    expect(supported.length).toBeGreaterThan(30);
    // None of them is too old or too new for it.
    for (const [, name, versions] of supported) {
      expect(versions, name).toMatch(/^\d+( to \d+)? \[usable: \d+\]$/);
    }
  });
});

/** Bytes of each partition's segments. Kafka tells of partitions, and not of the metadata log. */
async function partitionSizes(logDirectory: string): Promise<Map<string, number>> {
  const isPartition = (name: string) =>
    /-\d+$/.test(name) && !name.startsWith("__cluster_metadata");
  const names = (await readdir(logDirectory)).filter(isPartition);
  const sizes = await Promise.all(names.map((name) => logBytes(join(logDirectory, name))));
  return new Map(names.map((name, index) => [name, sizes[index]!]));
}

async function logBytes(folder: string): Promise<number> {
  const segments = (await readdir(folder)).filter((name) => name.endsWith(".log"));
  const sizes = await Promise.all(
    segments.map(async (name) => (await stat(join(folder, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
