import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { APIS } from "../../src/protocol/apis.ts";
import { TcpClient } from "../server/support/tcp-client.ts";
import { withTemporaryFolder } from "../support/broker-process.ts";
import { kafkaClient } from "../support/kafkajs-log.ts";
import { until } from "../support/until.ts";
import { WireAdmin } from "./admins.ts";
import { freePorts, Nodes } from "./nodes.ts";

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

/** What a node answers to DescribeQuorum: who votes, and who only follows. */
async function quorumBy(port: number) {
  const client = await TcpClient.open(port);
  try {
    const partitions = [{ partitionIndex: 0 }];
    const answer = await client.ask(APIS.describeQuorum, 2, {
      topics: [{ topicName: "__cluster_metadata", partitions }],
    });
    const partition = answer.topics[0]!.partitions[0]!;
    const keys = (replicas: typeof partition.observers) =>
      replicas.map(({ replicaId, replicaDirectoryId }) => ({ replicaId, replicaDirectoryId }));
    return {
      leaderId: partition.leaderId,
      voters: keys(partition.currentVoters),
      observers: keys(partition.observers),
    };
  } finally {
    client.close();
  }
}

/** The leader of each topic's only partition, as a node sees it; -1: none. */
async function leadersBy(port: number): Promise<Map<string, number>> {
  const client = await TcpClient.open(port);
  try {
    const { topics } = await client.ask(APIS.metadata, 12, {
      topics: null,
      ...{ allowAutoTopicCreation: false, includeTopicAuthorizedOperations: false },
    });
    return new Map(topics.map(({ name, partitions }) => [name!, partitions[0]!.leaderId]));
  } finally {
    client.close();
  }
}

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
      const admin = new WireAdmin(nodes, 2);
      expect(await admin.create("made-by-3", 1)).toMatchObject({ kind: "done" });
      await admin.close();
      expect([...(await leadersBy(nodes.portOf(3))).keys()].sort()).toEqual([
        ...["kept-1", "kept-2", "kept-3", "made-by-3"],
      ]);
    });
  });
});
