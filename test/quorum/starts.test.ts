import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { withTemporaryFolder } from "../support/broker-process.ts";
import { kafkaClient, readTopic } from "../support/kafkajs-log.ts";
import { until } from "../support/until.ts";
import { WireAdmin } from "./admins.ts";
import { freePorts, type NodeOptions, Nodes } from "./nodes.ts";
import { leadersBy, quorumBy } from "./views.ts";

const BAD_CONFIGURATION = 78;

async function withNodes(
  open: (folder: string) => Promise<Nodes>,
  use: (nodes: Nodes, folder: string) => Promise<void>,
): Promise<void> {
  await withTemporaryFolder(async (folder) => {
    const nodes = await open(folder);
    await use(nodes, folder);
    await nodes.close();
  });
}

const three = (folder: string) => Nodes.three(folder);

async function createTopics(bootstrap: string, topics: readonly string[]): Promise<void> {
  const admin = kafkaClient(...bootstrap.split(",")).admin();
  await admin.connect();
  // It would wait for the leaders of all other topics as well.
  await admin.createTopics({
    waitForLeaders: false,
    topics: topics.map((topic) => ({ topic, numPartitions: 1, replicationFactor: 1 })),
  });
  await admin.disconnect();
}

/** For the time in which some partitions have no leader: kafkajs asks for those of all topics, and waits. */
async function createBy(nodes: Nodes, nodeId: number, topic: string): Promise<void> {
  const admin = new WireAdmin(nodes, nodes.ids.indexOf(nodeId));
  expect(await admin.create(topic, 1)).toMatchObject({ kind: "done" });
  await admin.close();
}

describe("nodes that find each other", () => {
  test("one of three waits, and says for whom, until the others are there (R14)", async () => {
    await withNodes(three, async (nodes) => {
      const first = nodes.spawn(1);
      await first.printed('"waitsFor":[2,3]');
      expect(first.output).not.toContain("the quorum is formed");
      await nodes.start([2, 3]);
      await first.listening();
    });
  });

  test("a directory of another cluster ends the process with 78 and one line", async () => {
    await withNodes(three, async (nodes) => {
      await nodes.start();
      await nodes.stop(2);
      const stranger = nodes.spawn(2, { "holdfast.cluster.id": "b3RoZXItY2x1c3Rlci0wMQ" });
      expect(await stranger.exited).toBe(BAD_CONFIGURATION);
      expect(stranger.output.trim().split("\n")).toHaveLength(1);
      expect(stranger.output).toContain("b3RoZXItY2x1c3Rlci0wMQ");
      await nodes.kill9([2]);
      await nodes.start([2]);
    });
  });

  test("a second process with a node's id is let in nowhere, and disturbs nobody", async () => {
    await withNodes(three, async (nodes, folder) => {
      await nodes.start();
      const [port, controllerPort] = await freePorts(2);
      const { overrides } = nodes.optionsOf(3);
      const voters = String(overrides["controller.quorum.voters"]).replace(
        /3@127\.0\.0\.1:\d+/,
        `3@127.0.0.1:${controllerPort!}`,
      );
      const second = new Nodes([
        {
          ...nodes.optionsOf(3),
          dataDirectory: join(folder, "second"),
          overrides: {
            ...overrides,
            "controller.quorum.voters": voters,
            listeners: `PLAINTEXT://127.0.0.1:${port!},CONTROLLER://127.0.0.1:${controllerPort!}`,
          },
        },
      ]);
      const process = second.spawn(3);
      await process.printed("waitsFor");
      await createTopics(nodes.bootstrap, ["goes-on"]);
      const { voters: found } = await quorumBy(nodes.portOf(1));
      expect(found.map(({ replicaId }) => replicaId)).toEqual([1, 2, 3]);
      expect(process.output).not.toContain("registered");
      await second.close();
    });
  });

  test("a wiped node comes back as an observer, and says so; the others go on without its vote (R14)", async () => {
    await withNodes(three, async (nodes) => {
      await nodes.start();
      await createTopics(nodes.bootstrap, ["kept-1", "kept-2", "kept-3"]);
      const { voters } = await quorumBy(nodes.portOf(1));
      await nodes.stop(3);
      await rm(nodes.optionsOf(3).dataDirectory, { recursive: true });
      await nodes.start([3]);
      await nodes.node(3).printed("is an observer");
      await until(async () => {
        const { observers } = await quorumBy(nodes.portOf(1));
        return observers.some(({ replicaId }) => replicaId === 3);
      }, "the leader sees it as an observer");
      const after = await quorumBy(nodes.portOf(1));
      expect(after.voters).toEqual(voters);
      // As a broker it serves again, with all that was decided.
      await createBy(nodes, 3, "made-by-3");
      expect([...(await leadersBy(nodes.portOf(3))).keys()].sort()).toEqual([
        ...["kept-1", "kept-2", "kept-3", "made-by-3"],
      ]);
    });
  });
});

describe("nodes that stop and come back", () => {
  test("SIGTERM to each in turn: it ends with 0, its partitions are offline, and come back with it", async () => {
    await withNodes(three, async (nodes) => {
      await nodes.start();
      const kafka = kafkaClient(...nodes.bootstrap.split(","));
      const topicOf = (nodeId: number) => `of-${nodeId}`;
      const admin = kafka.admin();
      await admin.connect();
      await admin.createTopics({
        topics: nodes.ids.map((nodeId) => ({
          topic: topicOf(nodeId),
          replicaAssignment: [{ partition: 0, replicas: [nodeId] }],
        })),
      });
      await admin.disconnect();
      const producer = kafka.producer();
      await producer.connect();
      for (const topic of nodes.ids.map(topicOf)) {
        await producer.send({ topic, messages: [{ value: topic }] });
      }
      await producer.disconnect();
      for (const nodeId of nodes.ids) {
        const other = must(nodes.ids.find((each) => each !== nodeId) ?? null, "there is one");
        const leader = async () => (await leadersBy(nodes.portOf(other))).get(topicOf(nodeId));
        expect(await nodes.stop(nodeId)).toBe(0);
        await until(async () => (await leader()) === -1, `${topicOf(nodeId)} is offline`);
        await createBy(nodes, other, `without-${nodeId}`);
        await nodes.start([nodeId]);
        await until(async () => (await leader()) === nodeId, `${topicOf(nodeId)} is back`);
      }
      expect([...(await leadersBy(nodes.portOf(1))).keys()].sort()).toEqual([
        ...nodes.ids.map(topicOf),
        ...nodes.ids.map((nodeId) => `without-${nodeId}`),
      ]);
      // Reading makes a topic of its own.
      for (const topic of nodes.ids.map(topicOf)) {
        expect((await readTopic(kafka, topic)).map(({ value }) => value)).toEqual([topic]);
      }
    });
  });
});

/** Three controllers that are no brokers (1 to 3) and two brokers that are no controllers. */
async function apart(folder: string): Promise<Nodes> {
  const ports = await freePorts(5);
  const voters = [1, 2, 3].map((nodeId) => `${nodeId}@127.0.0.1:${ports[nodeId - 1]!}`);
  return new Nodes(
    [1, 2, 3, 4, 5].map((nodeId): NodeOptions => {
      const isController = nodeId <= 3;
      const address = `127.0.0.1:${ports[nodeId - 1]!}`;
      return {
        nodeId,
        file: "config/node-1.properties",
        dataDirectory: join(folder, `node-${nodeId}`),
        overrides: {
          "process.roles": isController ? "controller" : "broker",
          listeners: isController ? `CONTROLLER://${address}` : `PLAINTEXT://${address}`,
          "controller.quorum.voters": voters.join(","),
          "default.replication.factor": 1,
          "min.insync.replicas": 1,
        },
      };
    }),
  );
}

test("three controllers and two brokers, each in a process of its own, are one cluster", async () => {
  await withNodes(apart, async (nodes) => {
    // They have no port for clients to say that they listen on.
    for (const nodeId of [1, 2, 3]) nodes.spawn(nodeId);
    await nodes.start([4, 5]);
    await createTopics(`127.0.0.1:${nodes.portOf(4)}`, ["one", "two"]);
    const { leaderId, voters, observers } = await quorumBy(nodes.portOf(5));
    expect(voters.map(({ replicaId }) => replicaId)).toEqual([1, 2, 3]);
    expect(observers.map(({ replicaId }) => replicaId).sort()).toEqual([4, 5]);
    await nodes.kill9([leaderId]);
    await createTopics(`127.0.0.1:${nodes.portOf(5)}`, ["three"]);
    for (const broker of [4, 5]) {
      const leaders = () => leadersBy(nodes.portOf(broker));
      await until(async () => (await leaders()).size === 3, `${broker} has heard of it`);
      expect([...(await leaders()).keys()].sort()).toEqual(["one", "three", "two"]);
      for (const leader of (await leaders()).values()) expect([4, 5]).toContain(leader);
    }
    const { leaderId: nextId } = await quorumBy(nodes.portOf(4));
    expect(nextId).not.toBe(leaderId);
    nodes.spawn(leaderId);
    await until(async () => {
      const { endOffsets } = await quorumBy(nodes.portOf(4));
      return new Set(endOffsets).size === 1;
    }, "the controller that was killed has all that was decided without it");
  });
});
