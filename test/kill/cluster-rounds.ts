import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { APIS } from "../../src/protocol/apis.ts";
import type { Nodes } from "../quorum/nodes.ts";
import { TcpClient } from "../server/support/tcp-client.ts";
import { kafkaClient } from "../support/kafkajs-log.ts";
import { spawnPython } from "../support/python.ts";
import { until } from "../support/until.ts";
import { AckLog } from "./ack-log.ts";
import { auditPlain, readLog, type TopicReport } from "./audit.ts";
import { OffsetCommitter } from "./offset-committer.ts";

/** Whom a round kills: by what it does for the partition, or for the cluster. */
export type Victim = "leader" | "follower" | "controller" | "all";

export interface ClusterKillPlan {
  readonly victims: readonly Victim[];
  /** Acknowledged records that a round waits for before it kills. */
  readonly ackedPerRound: number;
  readonly recordsPerSecond: number;
}

export interface ClusterKillReport {
  readonly rounds: number;
  readonly sent: number;
  /** Records that a producer gave up (must be none: they retry for ever). */
  readonly failed: number;
  readonly crashedProducers: number;
  /** By producer. */
  readonly topics: ReadonlyMap<string, TopicReport>;
  readonly commits: { readonly acked: number; readonly wrong: readonly string[] };
  /** Partitions whose replicas are not the same, byte for byte, when all have stopped in order. */
  readonly divergent: readonly string[];
  /** For each round: the longest time without an ack, from the kill to the next one. */
  readonly gapsMs: readonly { readonly victim: Victim; readonly ms: number }[];
}

export const LIBRDKAFKA = "from-librdkafka";
export const KAFKAJS = "from-kafkajs";

/**
 * Kills nodes of a cluster round by round, close to an ack, under idempotent producers (acks=all) and a group that commits; starts
 * them again at once, and at the end holds what is in the logs against what was acknowledged, and the replicas against each other.
 */
export async function killClusterRounds(
  nodes: Nodes,
  plan: ClusterKillPlan,
): Promise<ClusterKillReport> {
  await nodes.start();
  await makeTopics(nodes);
  const producer = spawnPython(
    ...(["test/kill/producer.py", nodes.bootstrap, LIBRDKAFKA] as const),
    String(plan.recordsPerSecond),
  );
  const acks = new AckLog(producer);
  const other = new KafkaJsProducer(nodes.bootstrap.split(","));
  const committer = new OffsetCommitter(nodes, LIBRDKAFKA);
  const gapsMs: { readonly victim: Victim; readonly ms: number }[] = [];
  try {
    for (const victim of plan.victims) {
      let targets: readonly number[] = [];
      const before = other.count;
      await acks.whenFresh(acks.count + plan.ackedPerRound, async () => {
        targets = await targetsOf(nodes, victim);
        await nodes.kill9(targets);
      });
      const killedMs = performance.now();
      await nodes.start(targets);
      const count = acks.count;
      await until(() => Promise.resolve(acks.count > count), `acks go on after ${victim}`);
      gapsMs.push({ victim, ms: performance.now() - killedMs });
      await until(() => Promise.resolve(other.count > before), `kafkajs goes on after ${victim}`);
      await allInSync(nodes);
    }
    producer.stdin.end();
    const [end] = await Promise.all([acks.finished, other.end(), committer.end()]);
    const topics = new Map([
      [LIBRDKAFKA, auditPlain(acks.offsets, await readLog(nodes.bootstrap, LIBRDKAFKA), 0)],
      [KAFKAJS, auditPlain(other.offsets, await readLog(nodes.bootstrap, KAFKAJS), 0)],
    ]);
    const wrong = await committer.audit();
    await allInSync(nodes);
    await nodes.close();
    return {
      rounds: plan.victims.length,
      sent: end.sent + other.count,
      failed: end.failed + other.failedCount,
      crashedProducers: Number(end.isCrashed),
      topics,
      commits: { acked: committer.ackedCount, wrong },
      divergent: await divergentReplicas(nodes, [LIBRDKAFKA, KAFKAJS]),
      gapsMs,
    };
  } finally {
    producer.kill("SIGKILL");
    other.stop();
    committer.stop();
    await nodes.close();
  }
}

/** One value after another, each waited for. */
class KafkaJsProducer {
  /** By value. */
  readonly offsets = new Map<number, number>();
  failedCount = 0;
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(bootstrap: readonly string[]) {
    this.#done = this.#run(bootstrap);
  }

  get count(): number {
    return this.offsets.size;
  }

  stop(): void {
    this.#isOver = true;
  }

  async end(): Promise<void> {
    this.stop();
    await this.#done;
  }

  async #run(bootstrap: readonly string[]): Promise<void> {
    const producer = kafkaClient(...bootstrap).producer({
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    for (let value = 0; !this.#isOver; value += 1) {
      try {
        const [sent] = await producer.send({
          ...{ topic: KAFKAJS, acks: -1 },
          messages: [{ partition: 0, value: String(value) }],
        });
        this.offsets.set(value, Number(sent!.baseOffset));
      } catch {
        this.failedCount += 1;
      }
    }
    await producer.disconnect();
  }
}

async function makeTopics(nodes: Nodes): Promise<void> {
  const admin = kafkaClient(...nodes.bootstrap.split(",")).admin();
  await admin.connect();
  await admin.createTopics({
    topics: [LIBRDKAFKA, KAFKAJS].map((topic) => ({
      ...{ topic, numPartitions: 1, replicationFactor: 3 },
      configEntries: [{ name: "min.insync.replicas", value: "2" }],
    })),
  });
  await admin.disconnect();
}

/** As the first node that answers knows it. */
async function partitionsBy(nodes: Nodes) {
  for (const nodeId of nodes.runningIds) {
    try {
      const client = await TcpClient.open(nodes.portOf(nodeId));
      try {
        const { topics } = await client.ask(APIS.metadata, 12, {
          topics: null,
          ...{ allowAutoTopicCreation: false, includeTopicAuthorizedOperations: false },
        });
        return topics.flatMap(({ name, partitions }) =>
          partitions.map((partition) => ({ topic: name, ...partition })),
        );
      } finally {
        client.close();
      }
    } catch {
      // It is just being killed, or not up yet.
    }
  }
  return [];
}

/** Each round begins as table A does: all replicas in the ISR. */
async function allInSync(nodes: Nodes): Promise<void> {
  await until(async () => {
    const partitions = await partitionsBy(nodes);
    const isInSync = partitions.every(
      ({ isrNodes, replicaNodes, leaderId }) =>
        leaderId !== -1 && isrNodes.length === replicaNodes.length,
    );
    return partitions.length > 0 && isInSync;
  }, "all replicas are in sync");
}

async function targetsOf(nodes: Nodes, victim: Victim): Promise<readonly number[]> {
  if (victim === "all") return nodes.ids;
  if (victim === "controller") return [await nodes.activeController()];
  const partition = (await partitionsBy(nodes)).find(({ topic }) => topic === LIBRDKAFKA)!;
  const followers = partition.replicaNodes.filter((nodeId) => nodeId !== partition.leaderId);
  return victim === "leader" ? [partition.leaderId] : followers.slice(0, 1);
}

/** R-1, when nobody writes any more. */
async function divergentReplicas(nodes: Nodes, topics: readonly string[]): Promise<string[]> {
  const divergent: string[] = [];
  for (const topic of topics) {
    const hashes = await Promise.all(
      nodes.ids.map((nodeId) =>
        hashOfLog(join(nodes.optionsOf(nodeId).dataDirectory, `${topic}-0`)),
      ),
    );
    if (new Set(hashes).size !== 1) divergent.push(`${topic}: ${hashes.join(", ")}`);
  }
  return divergent;
}

async function hashOfLog(directory: string): Promise<string> {
  const files = (await readdir(directory)).filter((name) => name.endsWith(".log")).sort();
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for (const file of files) {
    const bytes = await readFile(join(directory, file));
    hash.update(bytes);
    sizeBytes += bytes.length;
  }
  return `${sizeBytes} bytes ${hash.digest("hex").slice(0, 12)}`;
}
