import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Kafka } from "kafkajs";
import { beforeAll, expect } from "vitest";
import { must } from "../../src/base/assert.ts";
import type { BrokerOptions } from "../support/broker-process.ts";
import { kafkaClient } from "../support/kafkajs-log.ts";
import { type SharedBroker, sharedBroker } from "../support/shared-broker.ts";
import { until } from "../support/until.ts";

/** Of the attackers, so many may be refused for the clients' sake, and come back. */
const MAX_REFUSED = 50;
const ROUNDS = 20;
const PER_ROUND = 20;

export const MIB = 1024 * 1024;

/** Whether so many files may be open, by this process and those that it starts; says so where not. */
export function canOpenFiles(count: number): boolean {
  const limits = readFileSync("/proc/self/limits", "utf8");
  // Node itself raises the soft limit to the hard one.
  const limit = /^Max open files\s+\d+\s+(\d+|unlimited)/m.exec(limits)![1]!;
  const isEnough = limit === "unlimited" || Number(limit) >= count;
  if (!isEnough) console.warn(`SKIPPED: it needs ${count} open files, ulimit -Hn says ${limit}`);
  return isEnough;
}

/** A broker that all tests of a `describe` attack, and a stock client beside them. Made where they are described. */
export class Target {
  readonly #broker: SharedBroker;
  #kafka: Kafka | null = null;

  /** `fill` makes what the attackers ask for. */
  constructor(overrides: BrokerOptions["overrides"], fill?: (kafka: Kafka) => Promise<void>) {
    this.#broker = sharedBroker({ "holdfast.admin.address": "127.0.0.1:0", ...overrides });
    beforeAll(async () => {
      this.#kafka = kafkaClient(this.#broker.bootstrap);
      await fill?.(this.#kafka);
      // What only grows once: code, pools, the clients' topic.
      await this.produceAndConsume("warm-up");
    });
  }

  /** All that the broker printed so far. */
  get output(): string {
    return this.#broker.output;
  }

  connections(): Promise<number> {
    return this.#metric("kafka_server_socket_server_metrics_connection_count");
  }

  /** Of the budget of memory that all clients share. */
  usedBytes(): Promise<number> {
    return this.#metric("holdfast_memory_budget_used_bytes");
  }

  residentBytes(field: "VmRSS" | "VmHWM" = "VmRSS"): number {
    const status = readFileSync(`/proc/${this.#broker.pid}/status`, "utf8");
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)![1]) * 1024;
  }

  /** From now on VmHWM is the greatest resident size since now. */
  forgetPeak(): void {
    writeFileSync(`/proc/${this.#broker.pid}/clear_refs`, "5");
  }

  /** So many attackers (attack.mjs) until `use` is done; when they are gone, nothing is kept for them. */
  async underAttack(kind: string, count: number, use: () => Promise<void>): Promise<void> {
    const child = spawn(
      process.execPath,
      ["test/hostile/attack.mjs", String(this.#broker.port), kind, String(count)],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const exited = once(child, "exit");
    try {
      const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
      const { connected } = JSON.parse(line) as { connected: number };
      // Who sends garbage, or is deaf, is thrown out, and comes back, all the time.
      if (kind === "silent" || kind === "trickle") {
        expect(connected).toBeGreaterThan(count - MAX_REFUSED);
      }
      await use();
    } finally {
      child.stdin.end();
      await exited;
    }
    await until(async () => (await this.connections()) === 0, "their places are free");
    expect(await this.usedBytes()).toBe(0);
  }

  /** A stock client beside them: all that it was acknowledged comes back, once, in order. */
  async produceAndConsume(topic: string): Promise<void> {
    const kafka = must(this.#kafka, "made before the tests");
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

  /** The sum over all its labels. */
  async #metric(name: string): Promise<number> {
    const port = /"adminPort":(\d+)/.exec(this.#broker.output)![1]!;
    const text = await readMetrics(`http://127.0.0.1:${port}/metrics`);
    return text
      .split("\n")
      .filter((line) => line.startsWith(name))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }
}

/** A busy broker closes a connection whose request took too long to come: once more. */
async function readMetrics(url: string): Promise<string> {
  let text: string | null = null;
  await until(async () => {
    const answer = fetch(url, { headers: { connection: "close" } }).then((each) => each.text());
    text = await answer.catch(() => null);
    return text !== null;
  }, "the broker tells its metrics");
  return must<string>(text, "it was told");
}
