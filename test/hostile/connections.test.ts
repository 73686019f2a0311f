import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Kafka } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BrokerProcess } from "../support/broker-process.ts";
import { kafkaClient } from "../support/kafkajs-log.ts";
import { until } from "../support/until.ts";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Besides the clients'. */
const ATTACKERS = 10_000;
/** Files that the broker may open: half of them are for connections, so that with no more the node is full. */
const WANTED_FILES = 2 * ATTACKERS;
/** Of the attackers, so many may be refused for the clients' sake, and come back. */
const MAX_REFUSED = 50;
const MIB = 1024 * 1024;
/** Resident memory that an attacker may cost, the sockets' objects included. */
const MAX_BYTES_EACH = 24 * 1024;
const ROUNDS = 20;
const PER_ROUND = 20;

let directory: string;
let broker: BrokerProcess;
let kafka: Kafka;

beforeAll(async () => {
  const limit = /^Max open files\s+\d+\s+(\d+|unlimited)/m.exec(
    readFileSync("/proc/self/limits", "utf8"),
  )![1]!;
  // Node itself raises the soft limit to the hard one.
  if (Number(limit) < WANTED_FILES) {
    throw new Error(`these tests need ${WANTED_FILES} open files: ulimit -Hn says ${limit}`);
  }
  directory = await mkdtemp(join(tmpdir(), "holdfast-hostile-"));
  broker = await BrokerProcess.start({
    dataDirectory: join(directory, "data"),
    overrides: { "holdfast.admin.address": "127.0.0.1:0", "num.partitions": 4 },
  });
  kafka = kafkaClient(broker.bootstrap);
  // What only grows once: code, pools, the clients' topic.
  await produceAndConsume("warm-up");
});

afterAll(async () => {
  await broker.stop();
  await rm(directory, { recursive: true, force: true });
});

function residentBytes(): number {
  const status = readFileSync(`/proc/${broker.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}

async function metric(name: string): Promise<number> {
  const port = /"adminPort":(\d+)/.exec(broker.output)![1]!;
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return text
    .split("\n")
    .filter((line) => line.startsWith(name))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

const CONNECTIONS = "kafka_server_socket_server_metrics_connection_count";

/** Attackers until `use` is done. */
async function under<T>(kind: string, count: number, use: () => Promise<T>): Promise<T> {
  const child: ChildProcess = spawn(
    process.execPath,
    ["test/hostile/attack.mjs", String(broker.port), kind, String(count)],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const exited = once(child, "exit");
  try {
    const [line] = (await once(createInterface({ input: child.stdout! }), "line")) as [string];
    const { connected } = JSON.parse(line) as { connected: number };
    // Who sends garbage is thrown out, and comes back, all the time.
    if (kind !== "garbage") expect(connected).toBeGreaterThan(count - MAX_REFUSED);
    return await use();
  } finally {
    child.stdin!.end();
    await exited;
  }
}

/** A stock client beside them: all that it was acknowledged comes back, once, in order. */
async function produceAndConsume(topic: string): Promise<void> {
  const producer = kafka.producer({ idempotent: true });
  const consumer = kafka.consumer({ groupId: `of-${topic}` });
  const found = new Map<string, string[]>();
  await Promise.all([producer.connect(), consumer.connect()]);
  await producer.send({ topic, messages: [{ key: "0", value: "first" }] });
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: ({ message }) => {
      const key = message.key!.toString();
      found.set(key, [...(found.get(key) ?? []), message.value!.toString()]);
      return Promise.resolve();
    },
  });
  for (let round = 0; round < ROUNDS; round += 1) {
    const messages = Array.from({ length: PER_ROUND }, (_, index) => ({
      key: String(1 + index),
      value: String(round),
    }));
    await producer.send({ topic, acks: -1, messages });
  }
  const count = () => [...found.values()].reduce((sum, values) => sum + values.length, 0);
  await until(() => count() >= ROUNDS * PER_ROUND + 1, "all that was produced is consumed");
  const inOrder = Array.from({ length: ROUNDS }, (_, round) => String(round));
  for (let index = 1; index <= PER_ROUND; index += 1) {
    expect(found.get(String(index))).toEqual(inOrder);
  }
  await Promise.all([producer.disconnect(), consumer.disconnect()]);
}

describe(`${ATTACKERS} connections that nobody asked for`, () => {
  test.each(["silent", "garbage", "trickle"])(
    "%s: bounded memory, and a stock client beside them loses nothing",
    async (kind) => {
      const before = residentBytes();
      await under(kind, ATTACKERS, async () => {
        await produceAndConsume(`beside-${kind}`);
        const growth = residentBytes() - before;
        console.log(`${kind}: ${(growth / MIB).toFixed(1)} MiB for ${ATTACKERS} connections`);
        expect(growth).toBeLessThan(ATTACKERS * MAX_BYTES_EACH);
        if (kind !== "garbage") expect(await metric(CONNECTIONS)).toBeGreaterThan(ATTACKERS / 2);
      });
      await until(async () => (await metric(CONNECTIONS)) === 0, "their places are free");
      expect(await metric("holdfast_memory_budget_used_bytes")).toBe(0);
    },
  );

  test("a flood of refusals is no flood of log lines", () => {
    const lines = broker.output.split("\n").filter((line) => line.includes('"level":"warn"'));
    expect(lines.length).toBeLessThan(2_000);
  });
});
