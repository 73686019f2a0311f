import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { ZERO_UUID } from "../../src/base/ids.ts";
import { APIS } from "../../src/protocol/apis.ts";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import { AdminHttp, parseAdminAddress } from "../../src/server/admin-http.ts";
import { type Broker, createBroker } from "../../src/server/broker.ts";
import { resolveConfig } from "../../src/server/config.ts";
import { nodePorts } from "../../src/server/node-ports.ts";
import { TcpClient } from "./support/tcp-client.ts";

let directory: string;
let broker: Broker;
let admin: AdminHttp;
let client: TcpClient;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "holdfast-admin-"));
  const settings = {
    "node.id": "1",
    listeners: "PLAINTEXT://127.0.0.1:0",
    "log.dirs": join(directory, "data"),
    "offsets.topic.replication.factor": "1",
  };
  const { config } = resolveConfig(
    Object.entries(settings).map(([key, value]) => ({ key, value, where: "test" })),
  );
  const { ports } = await nodePorts(config, SILENT_LOGGER);
  broker = await createBroker(ports, config);
  admin = await AdminHttp.open(broker, { host: "127.0.0.1", port: 0 });
  expect(await get("/readyz")).toMatchObject({ status: 503 });
  await broker.start();
  client = await TcpClient.open(broker.listeners[0]!.port);
});

afterAll(async () => {
  client.close();
  await admin.close();
  await broker.close();
  await rm(directory, { recursive: true, force: true });
});

function get(path: string): Promise<{ status: number; type: string; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port: admin.port, path, agent: false }, (answer) => {
      let body = "";
      answer.setEncoding("utf8").on("data", (text: string) => (body += text));
      answer.on("end", () => {
        const type = answer.headers["content-type"] ?? "";
        resolve({ status: answer.statusCode!, type, body });
      });
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** The samples of `/metrics`, by name and labels. */
async function samples(): Promise<ReadonlyMap<string, number>> {
  const { body } = await get("/metrics");
  const lines = body.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(" ");
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

async function createTopic(name: string, configs: Readonly<Record<string, string>>): Promise<void> {
  const { topics } = await client.ask(APIS.createTopics, 7, {
    topics: [
      {
        name,
        numPartitions: 1,
        replicationFactor: 1,
        assignments: [],
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
      },
    ],
    timeoutMs: 10_000,
  });
  expect(topics[0]!.errorCode).toBe(0);
}

/** Three records; returns the size of their batch. */
async function produce(topic: string): Promise<number> {
  const value = Buffer.alloc(100);
  const records = buildBatch({
    timestampMs: Date.now(),
    records: [1, 2, 3].map(() => ({ key: null, value })),
  });
  const { responses } = await client.ask(APIS.produce, 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 10_000,
    topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
  });
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
  return records.length;
}

describe("the admin port", () => {
  test("says that the process lives, and which checks make the broker ready", async () => {
    expect(await get("/livez")).toMatchObject({ status: 200, body: '{"status":"alive"}' });
    const ready = await get("/readyz");
    expect(ready.status).toBe(200);
    const { status, checks } = JSON.parse(ready.body) as {
      status: string;
      checks: readonly { name: string; ok: boolean }[];
    };
    expect(status).toBe("ready");
    expect(checks.map(({ name, ok }) => [name, ok])).toEqual([
      ["listeners", true],
      ["registration", true],
      ["log-directories", true],
    ]);
    expect((await get("/else")).status).toBe(404);
  });

  test("counts what goes in and out, under Kafka's names", async () => {
    await createTopic("traffic", {});
    const sizeBytes = await produce("traffic");
    await client.ask(APIS.fetch, 12, {
      maxWaitMs: 0,
      minBytes: 1,
      topics: [
        {
          topic: "traffic",
          partitions: [
            { partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 },
            { partition: 9, fetchOffset: 0, partitionMaxBytes: 1_000_000 },
          ],
        },
      ],
      forgottenTopicsData: [],
    });
    const { type } = await get("/metrics");
    expect(type).toContain("text/plain");
    const found = await samples();
    const topic = '{topic="traffic"}';
    const of = (name: string): number | undefined =>
      found.get(`kafka_server_brokertopicmetrics_${name}_total${topic}`);
    expect(of("messagesin")).toBe(3);
    expect(of("bytesin")).toBe(sizeBytes);
    expect(of("bytesout")).toBe(sizeBytes);
    expect([of("totalproducerequests"), of("failedproducerequests")]).toEqual([1, 0]);
    expect([of("totalfetchrequests"), of("failedfetchrequests")]).toEqual([1, 0]);
    expect(found.get("kafka_server_brokertopicmetrics_messagesin_total")).toBeGreaterThanOrEqual(3);
    const requests = "kafka_network_requestmetrics_";
    expect(found.get(`${requests}requests_total{request="Fetch",version="12"}`)).toBe(1);
    expect(found.get(`${requests}errors_total{request="Fetch",error="NONE"}`)).toBe(2);
    expect(
      found.get(`${requests}errors_total{request="Fetch",error="UNKNOWN_TOPIC_OR_PARTITION"}`),
    ).toBe(1);
    expect(found.get(`${requests}totaltimems_count{request="Produce"}`)).toBeGreaterThan(0);
    expect(found.get(`${requests}totaltimems{request="Produce",quantile="0.99"}`)).toBeGreaterThan(
      0,
    );
  });

  test("knows what was acknowledged and not synced: nothing where every ack waits for the disk", async () => {
    await createTopic("unsynced", {});
    await createTopic("synced", { "flush.messages": "1" });
    const sizeBytes = await produce("unsynced");
    await produce("synced");
    const found = await samples();
    const name = "holdfast_partition_acked_unsynced_bytes";
    expect(found.get(`${name}{topic="unsynced",partition="0"}`)).toBe(sizeBytes);
    expect(found.get(`${name}{topic="synced",partition="0"}`)).toBe(0);
    expect(found.get('kafka_log_log_size{topic="synced",partition="0"}')).toBe(sizeBytes);
  });

  test("has what the usual alerts read", async () => {
    const found = await samples();
    const expected = {
      kafka_server_replicamanager_underreplicatedpartitions: 0,
      kafka_server_replicamanager_underminisrpartitioncount: 0,
      kafka_server_replicamanager_offlinereplicacount: 0,
      kafka_controller_kafkacontroller_activecontrollercount: 1,
      kafka_controller_kafkacontroller_offlinepartitionscount: 0,
      kafka_controller_controllerstats_uncleanleaderelections_total: 0,
      kafka_log_logmanager_offlinelogdirectorycount: 0,
      'kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT",networkProcessor="0"}': 1,
      holdfast_memory_budget_used_bytes: 0,
    };
    expect(Object.fromEntries(Object.keys(expected).map((key) => [key, found.get(key)]))).toEqual(
      expected,
    );
    for (const name of [
      "process_resident_memory_bytes",
      "process_cpu_seconds_total",
      "nodejs_eventloop_lag_p99_seconds",
      "kafka_network_socketserver_networkprocessoravgidle_percent",
    ]) {
      expect(found.get(name), name).toBeGreaterThanOrEqual(0);
    }
  });

  test("totals do not fall when a topic goes", async () => {
    await createTopic("short-lived", {});
    await produce("short-lived");
    const name = "kafka_server_brokertopicmetrics_messagesin_total";
    const before = (await samples()).get(name)!;
    await client.ask(APIS.deleteTopics, 6, {
      topics: [{ name: "short-lived", topicId: ZERO_UUID }],
      timeoutMs: 10_000,
    });
    const after = await samples();
    expect(after.get(name)).toBe(before);
    expect(after.has(`${name}{topic="short-lived"}`)).toBe(false);
  });
});

test.each([
  ["127.0.0.1:9644", { host: "127.0.0.1", port: 9644 }],
  ["[::1]:1", { host: "::1", port: 1 }],
  ["0.0.0.0:0", { host: "0.0.0.0", port: 0 }],
  ["9644", null],
  [":9644", null],
  ["host:70000", null],
])("an admin address of %s", (text, expected) => {
  expect(parseAdminAddress(text)).toEqual(expected);
});
