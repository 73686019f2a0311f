import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Kafka } from "kafkajs";
import { expect } from "vitest";
import type { BrokerProcess } from "../support/broker-process.ts";
import { until } from "../support/until.ts";

/** Of the attackers, so many may be refused for the clients' sake, and come back. */
const MAX_REFUSED = 50;
const MAX_TRIES = 10;
const ROUNDS = 20;
const PER_ROUND = 20;

export const MIB = 1024 * 1024;
export const CONNECTIONS = "kafka_server_socket_server_metrics_connection_count";
export const USED_BYTES = "holdfast_memory_budget_used_bytes";

/** What makes a broker show its metrics. */
export const WITH_METRICS = { "holdfast.admin.address": "127.0.0.1:0" };

/** Throws unless so many files may be open, by this process and those that it starts. */
export function needOpenFiles(count: number): void {
  const limits = readFileSync("/proc/self/limits", "utf8");
  // Node itself raises the soft limit to the hard one.
  const limit = /^Max open files\s+\d+\s+(\d+|unlimited)/m.exec(limits)![1]!;
  if (Number(limit) < count) {
    throw new Error(`these tests need ${count} open files: ulimit -Hn says ${limit}`);
  }
}

export function residentBytes(broker: BrokerProcess, field: "VmRSS" | "VmHWM" = "VmRSS"): number {
  const status = readFileSync(`/proc/${broker.pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)![1]) * 1024;
}

/** From now on VmHWM is the greatest resident size since now. */
export function forgetPeak(broker: BrokerProcess): void {
  writeFileSync(`/proc/${broker.pid}/clear_refs`, "5");
}

/** The sum over all its labels. A busy broker closes a connection whose request took too long to come: once more. */
export async function metric(broker: BrokerProcess, name: string): Promise<number> {
  const port = /"adminPort":(\d+)/.exec(broker.output)![1]!;
  const text = await readMetrics(`http://127.0.0.1:${port}/metrics`);
  return text
    .split("\n")
    .filter((line) => line.startsWith(name))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

async function readMetrics(url: string): Promise<string> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await (await fetch(url, { headers: { connection: "close" } })).text();
    } catch (error) {
      if (tries === MAX_TRIES) throw error;
    }
  }
}

/** So many attackers (attack.mjs) until `use` is done. */
export async function underAttack<T>(
  broker: BrokerProcess,
  kind: string,
  count: number,
  use: () => Promise<T>,
): Promise<T> {
  const child: ChildProcess = spawn(
    process.execPath,
    ["test/hostile/attack.mjs", String(broker.port), kind, String(count)],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const exited = once(child, "exit");
  try {
    const [line] = (await once(createInterface({ input: child.stdout! }), "line")) as [string];
    const { connected } = JSON.parse(line) as { connected: number };
    // Who sends garbage, or is deaf, is thrown out, and comes back, all the time.
    if (kind === "silent" || kind === "trickle") {
      expect(connected).toBeGreaterThan(count - MAX_REFUSED);
    }
    return await use();
  } finally {
    child.stdin!.end();
    await exited;
  }
}

/** A stock client beside them: all that it was acknowledged comes back, once, in order. */
export async function produceAndConsume(kafka: Kafka, topic: string): Promise<void> {
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
