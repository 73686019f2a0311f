import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { endProcessesIn } from "../support/child-processes.ts";
import { dumpLog } from "../support/dump-log.ts";
import { whyNoKafkaTools } from "../support/java.ts";
import { describedTopic, KafkaTools, tableRows } from "../support/kafka-tools.ts";
import { until } from "../support/until.ts";
import { WireAdmin } from "./admins.ts";
import { metadataDumps, type ReplayedTopic, replayTopics } from "./metadata-dump.ts";
import { Nodes } from "./nodes.ts";
import { leadersBy, quorumBy } from "./views.ts";

const whyNot = whyNoKafkaTools();
if (whyNot !== null) console.log(`Kafka's tools are not pointed at three nodes: ${whyNot}`);

/** So that they come while the tests run. */
const SNAPSHOT_BYTES = 16_384;

describe.skipIf(whyNot !== null)("Kafka's own tools and three processes", () => {
  let folder: string;
  let nodes: Nodes;
  let admin: WireAdmin;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-"));
    nodes = await Nodes.three(folder, {
      "metadata.log.max.record.bytes.between.snapshots": SNAPSHOT_BYTES,
    });
    await nodes.start();
    admin = new WireAdmin(nodes, 0);
  });

  afterAll(async () => {
    await admin.close();
    await endProcessesIn(folder);
    await rm(folder, { recursive: true, force: true });
  });

  const via = (nodeId: number) =>
    new KafkaTools({ bootstrap: `127.0.0.1:${nodes.portOf(nodeId)}` });
  const created = async (topic: string, numPartitions = 1) => {
    expect(await admin.create(topic, numPartitions)).toMatchObject({ kind: "done" });
  };
  const quorum = () => quorumBy(nodes.portOf(must(nodes.runningIds[0], "one of them runs")));
  /** All that run have the whole of the metadata log. */
  const caughtUp = async () => {
    await until(async () => {
      const { endOffsets, voters } = await quorum();
      return voters.length === nodes.ids.length && new Set(endOffsets).size === 1;
    }, "all have the whole log");
  };
  const directoryIdOf = async (nodeId: number) => {
    const path = join(nodes.optionsOf(nodeId).dataDirectory, "meta.properties");
    return must(/^directory\.id=(.*)$/m.exec(await readFile(path, "utf8"))?.[1], "it has one");
  };

  test("kafka-topics makes, widens, tells and deletes topics, each through another node", async () => {
    await Promise.all(
      nodes.ids.map(async (nodeId) => {
        const [second, third] = nodes.ids.filter((each) => each !== nodeId) as [number, number];
        const topic = ["--topic", `via-${nodeId}`];
        const config = ["--config", "retention.ms=3600000"];
        const made = await via(nodeId).run("kafka-topics", [
          ...["--create", "--partitions", "2"],
          ...[...topic, ...config],
        ]);
        expect(made).toContain(`Created topic via-${nodeId}.`);
        await via(second).run("kafka-topics", ["--alter", ...topic, "--partitions", "3"]);
        let told: Record<string, string>[] = [];
        await until(async () => {
          told = describedTopic(await via(third).run("kafka-topics", ["--describe", ...topic]));
          return told.length === 4;
        }, "the third node has heard of all three partitions");
        const [head, ...partitions] = told;
        expect(head).toMatchObject({ Topic: `via-${nodeId}`, PartitionCount: "3" });
        expect(head!["Configs"]!.split(",")).toContain("retention.ms=3600000");
        // The three go round the brokers.
        expect(partitions.map((partition) => partition["Leader"]).sort()).toEqual(["1", "2", "3"]);
        await via(nodeId).run("kafka-topics", ["--delete", ...topic]);
      }),
    );
    for (const nodeId of nodes.ids) {
      const isEmpty = async () => (await leadersBy(nodes.portOf(nodeId))).size === 0;
      await until(isEmpty, `${nodeId} has heard that they are gone`);
    }
  });

  test("kafka-features tells the levels, moves one down and up, and is refused what nobody supports", async () => {
    const ELR = "eligible.leader.replicas.version";
    const level = async (nodeId: number) => {
      const output = await via(nodeId).run("kafka-features", ["describe"]);
      const rows = output.trimEnd().split("\n");
      return rows.map((row) =>
        /^Feature: (\S+)\s.*FinalizedVersionLevel: (\S+)/.exec(row)?.slice(1),
      );
    };
    const others = [
      ["kraft.version", "1"],
      ["metadata.version", "4.3-IV0"],
    ];
    expect(await level(1)).toEqual([[ELR, "1"], ...others]);
    const down = ["downgrade", "--feature", `${ELR}=0`];
    expect(await via(2).run("kafka-features", down)).toBe(`${ELR} was downgraded to 0.\n`);
    // The one that was asked serves what it has answered.
    expect(await level(2)).toEqual([[ELR, "0"], ...others]);
    const up = ["upgrade", "--feature", `${ELR}=1`];
    expect(await via(3).run("kafka-features", up)).toBe(`${ELR} was upgraded to 1.\n`);
    const refused = await via(1).result("kafka-features", [
      ...["downgrade", "--feature", "metadata.version=29"],
    ]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stdout).toMatch(
      /^Could not downgrade metadata\.version to 29\. .*Local controller \d only supports versions 30$/m,
    );
  });

  /** kafka-metadata-quorum describe --status: "Key: value", of which some are lists. */
  const status = async (nodeId: number) => {
    const output = await via(nodeId).run("kafka-metadata-quorum", ["describe", "--status"]);
    const facts = new Map(
      output
        .trimEnd()
        .split("\n")
        .map((line) => /^(\w+):\s+(.*)$/.exec(line)!.slice(1) as [string, string]),
    );
    const replicas = (key: string) =>
      JSON.parse(facts.get(key)!) as { id: number; directoryId: string; endpoints?: string[] }[];
    return {
      facts,
      voters: replicas("CurrentVoters"),
      voterIds: replicas("CurrentVoters")
        .map(({ id }) => id)
        .sort(),
      observers: replicas("CurrentObservers").map(({ directoryId }) => directoryId),
    };
  };

  test("kafka-metadata-quorum describes one quorum, whichever node is asked", async () => {
    await caughtUp();
    const { leaderId, leaderEpoch, endOffsets } = await quorum();
    const endOffset = String(endOffsets[0]);
    const voters = await Promise.all(
      nodes.ids.map(async (id) => ({
        id,
        directoryId: await directoryIdOf(id),
        endpoints: [String(nodes.optionsOf(id).overrides["listeners"]).split(",")[1]!],
      })),
    );
    for (const { facts, voters: told, observers } of await Promise.all(nodes.ids.map(status))) {
      expect(Object.fromEntries(facts)).toMatchObject({
        ...{ ClusterId: "SG9sZGZhc3QtbGFiLTAwMQ", LeaderId: String(leaderId) },
        ...{ LeaderEpoch: String(leaderEpoch), HighWatermark: endOffset, MaxFollowerLag: "0" },
      });
      expect(told).toEqual(voters);
      expect(observers).toEqual([]);
    }
    const replication = ["describe", "--replication"];
    for (const output of await Promise.all(
      nodes.ids.map((nodeId) => via(nodeId).run("kafka-metadata-quorum", replication)),
    )) {
      const rows = tableRows(output, "NodeId").sort(
        (a, b) => Number(a["NodeId"]) - Number(b["NodeId"]),
      );
      expect(rows).toMatchObject(
        voters.map(({ id, directoryId }) => ({
          ...{ NodeId: String(id), DirectoryId: directoryId, LogEndOffset: endOffset, Lag: "0" },
          Status: id === leaderId ? "Leader" : "Follower",
        })),
      );
    }
  });

  /** The node's own file, as kafka-metadata-quorum wants it of who adds a controller. */
  const propertiesOf = async (nodeId: number) => {
    const { file, dataDirectory, overrides } = nodes.optionsOf(nodeId);
    const own = Object.entries({ ...overrides, "log.dirs": dataDirectory });
    const lines = [await readFile(file, "utf8"), ...own.map(([key, value]) => `${key}=${value}`)];
    const path = join(folder, `added-${nodeId}.properties`);
    await writeFile(path, lines.join("\n"));
    return path;
  };

  /** A new disk: the node follows on as an observer, and its vote is lost with the old one (R14). */
  const wipe = async (nodeId: number) => {
    expect(await nodes.stop(nodeId)).toBe(0);
    await rm(nodes.optionsOf(nodeId).dataDirectory, { recursive: true });
    await nodes.start([nodeId]);
  };

  test("remove-controller and add-controller take a vote away and give it back: a wiped follower's, and the leader's", async () => {
    const { leaderId } = await quorum();
    const follower = must(
      nodes.ids.find((each) => each !== leaderId),
      "there are two",
    );
    for (const nodeId of [follower, leaderId]) {
      const oldDirectoryId = await directoryIdOf(nodeId);
      if (nodeId === follower) await wipe(nodeId);
      const directoryId = await directoryIdOf(nodeId);
      const others = nodes.ids.filter((each) => each !== nodeId);
      const tools = via(must(others[0], "there are two"));
      const quorumTool = (...args: string[]) => tools.run("kafka-metadata-quorum", args);
      const removed = await quorumTool(
        ...["remove-controller", "--controller-id", String(nodeId)],
        ...["--controller-directory-id", oldDirectoryId],
      );
      expect(removed).toContain(`KRaft controller ${nodeId} with directory id`);
      await until(async () => {
        const { observers } = await quorum();
        return observers.some(({ replicaDirectoryId }) => replicaDirectoryId === directoryId);
      }, `${nodeId} follows on as an observer`);
      const without = await status(nodeId);
      expect(without.voterIds).toEqual(others);
      // A disk that is gone is told of for five minutes more, as Kafka does.
      expect(without.observers).toContain(directoryId);
      expect(Number(without.facts.get("LeaderId"))).not.toBe(nodeId);
      await created(`decided-without-${nodeId}`);

      const properties = await propertiesOf(nodeId);
      const added = await quorumTool("--command-config", properties, "add-controller");
      expect(added).toContain(`Added controller ${nodeId} with directory id`);
      const after = await status(nodeId);
      expect(after.voterIds).toEqual(nodes.ids);
      expect(after.observers).not.toContain(directoryId);
      expect(after.voters).toContainEqual(expect.objectContaining({ id: nodeId, directoryId }));
      expect(directoryId === oldDirectoryId).toBe(nodeId === leaderId);
      await created(`decided-with-${nodeId}`);
    }
    const again = await via(1).result("kafka-metadata-quorum", [
      ...["--command-config", await propertiesOf(follower), "add-controller"],
    ]);
    expect(again.exitCode).toBe(1);
    expect(again.stderr).toContain("DuplicateVoterException");
    await caughtUp();
  });

  const metadataDirectoryOf = (nodeId: number) =>
    join(nodes.optionsOf(nodeId).dataDirectory, "__cluster_metadata-0");
  /** The names of a node's snapshots, the oldest first. */
  const checkpointsOf = async (nodeId: number) =>
    (await readdir(metadataDirectoryOf(nodeId)))
      .filter((name) => name.endsWith(".checkpoint"))
      .sort();

  test("kafka-dump-log decodes every record of three logs and their snapshots, and they agree, after kills of one, the leader and all", async () => {
    const { leaderId } = await quorum();
    const follower = must(
      nodes.ids.find((each) => each !== leaderId),
      "there are two",
    );
    await nodes.kill9([follower]);
    await created("kept", 4);
    expect(await admin.setRetention("kept", "7200000")).toMatchObject({ kind: "done" });
    const bound = Math.max(...(await quorum()).endOffsets);
    // Until the leader has dropped what the follower would need next: it has to load a snapshot (K12).
    for (let round = 0; ; round += 1) {
      const oldest = (await checkpointsOf(leaderId)).at(-2);
      if (oldest !== undefined && Number(oldest.slice(0, 20)) > bound) break;
      await created(`gone-${round}`, 20);
      expect(await admin.remove(`gone-${round}`)).toMatchObject({ kind: "done" });
    }
    await nodes.start([follower]);
    await caughtUp();
    const shared = (await checkpointsOf(follower)).filter(
      (
        (names) => (name: string) =>
          names.includes(name)
      )(await checkpointsOf(leaderId)),
    );
    expect(shared).not.toEqual([]);
    for (const name of shared) {
      const [own, leaders] = await Promise.all(
        [follower, leaderId].map((nodeId) => readFile(join(metadataDirectoryOf(nodeId), name))),
      );
      expect(own!.equals(leaders!), name).toBe(true);
    }

    const active = await nodes.activeController();
    await nodes.kill9([active]);
    await created("after-the-leader", 2);
    await nodes.start([active]);
    await nodes.kill9(nodes.ids);
    await nodes.start();
    await created("after-all");
    await caughtUp();
    const topics = [...(await leadersBy(nodes.portOf(1))).keys()].sort();
    await nodes.kill9(nodes.ids);

    const report = await dumpLog(nodes.ids.map(metadataDirectoryOf), { decodesMetadata: true });
    expect(report.complaints).toEqual([]);
    const dumps = metadataDumps(report.lines);
    expect([...dumps.keys()]).toEqual(nodes.ids.map(metadataDirectoryOf));
    const agreed = new Map<number, string>();
    for (const dump of dumps.values()) {
      const { log, snapshots } = dump;
      expect(log.length).toBeGreaterThan(10);
      expect(snapshots.length).toBeGreaterThanOrEqual(1);
      const all = [log, ...snapshots.map(({ records }) => records)];
      expect(all.flatMap((records) => records.filter(({ type }) => type === null))).toEqual([]);
      for (const records of all) {
        const first = must(records[0], "it has records").offset;
        expect(records.map(({ offset }) => offset)).toEqual(records.map((_, n) => first + n));
      }
      // Each epoch begins with its leader, and they rise.
      const begins = log.filter(({ leaderEpoch }, n) => leaderEpoch !== log[n - 1]?.leaderEpoch);
      const epochs = begins.map(({ leaderEpoch }) => leaderEpoch);
      expect(epochs).toEqual([...new Set(epochs)].sort((a, b) => a - b));
      expect(epochs.length).toBeGreaterThanOrEqual(3);
      for (const { type } of begins.slice(1)) expect(type).toBe("LeaderChange");
      for (const { offset, leaderEpoch, text } of log) {
        const line = `${leaderEpoch} ${text}`;
        expect(agreed.get(offset) ?? line).toBe(line);
        agreed.set(offset, line);
      }
      for (const { endOffset, leaderEpoch, records } of snapshots) {
        const last = log.find(({ offset }) => offset === endOffset - 1);
        if (last !== undefined) expect(leaderEpoch).toBe(last.leaderEpoch);
        const types = records.map(({ type }) => type);
        expect(types.slice(0, 3)).toEqual(["SnapshotHeader", "KRaftVersion", "KRaftVoters"]);
        expect(types.indexOf("SnapshotFooter")).toBe(types.length - 1);
      }
      // From whichever snapshot one begins: what follows leads to what the cluster has served.
      for (const snapshot of snapshots) {
        const replayed = replayTopics(dump, snapshot);
        expect([...replayed.keys()].sort()).toEqual(topics);
        const kept: ReplayedTopic = { partitionCount: 4, retentionMs: "7200000" };
        expect(replayed.get("kept")).toEqual(kept);
      }
    }
  });
});
