import { describe, expect, test } from "vitest";
import { Nodes } from "../quorum/nodes.ts";
import { withTemporaryFolder } from "../support/broker-process.ts";
import {
  type ClusterKillReport,
  KAFKAJS,
  killClusterRounds,
  LIBRDKAFKA,
  type Victim,
} from "./cluster-rounds.ts";

/** Of each of the two tests. */
const ROUNDS = Number(process.env["HOLDFAST_CLUSTER_ROUNDS"] ?? 9);
const TURN: readonly Victim[] = ["leader", "follower", "controller"];
const PLAN = { ackedPerRound: 300, recordsPerSecond: 500 };
const TIMEOUT_MS = 60_000 + 60_000 * ROUNDS;

const REPLICATED = {
  "default.replication.factor": 3,
  "min.insync.replicas": 2,
  "offsets.topic.replication.factor": 3,
};

function say(name: string, report: ClusterKillReport): void {
  const gaps = report.gapsMs.map(({ victim, ms }) => `${victim} ${ms.toFixed(0)}`).join(", ");
  const topics = [...report.topics].map(
    ([topic, { acked, lost, duplicated }]) =>
      `${topic} ${acked} acked, ${lost.length} lost, ${duplicated.length} duplicated`,
  );
  console.log(
    `${name}: ${report.rounds} rounds; ${topics.join("; ")}; ${report.commits.acked} commits, ` +
      `${report.commits.wrong.length} wrong; from the kill to the next ack, with the restart (ms): ${gaps}`,
  );
}

function expectNothingLost(report: ClusterKillReport, rounds: number): void {
  for (const [topic, { lost, duplicated, acked }] of report.topics) {
    expect(lost, topic).toEqual([]);
    expect(duplicated, topic).toEqual([]);
    expect(acked, topic).toBeGreaterThan(rounds);
  }
  expect(report.topics.get(LIBRDKAFKA)!.acked).toBeGreaterThanOrEqual(rounds * PLAN.ackedPerRound);
  expect(report.topics.get(KAFKAJS)!.found).toBeGreaterThan(0);
  expect(report.failed).toBe(0);
  expect(report.crashedProducers).toBe(0);
  expect(report.commits.wrong).toEqual([]);
  expect(report.commits.acked).toBeGreaterThan(rounds);
  expect(report.divergent).toEqual([]);
  expect(report.rounds).toBe(rounds);
}

describe("three nodes, three replicas, two of them to be in sync, under librdkafka and kafkajs", () => {
  test(
    "A8: kill -9 of the leader, a follower, the controller, in turn: no acked record lost or doubled, " +
      "no commit lost, all replicas equal (R-1, R-2, G3)",
    async () => {
      await withTemporaryFolder(async (folder) => {
        const nodes = await Nodes.three(folder, REPLICATED);
        const victims = Array.from({ length: ROUNDS }, (_, n) => TURN[n % TURN.length]!);
        const report = await killClusterRounds(nodes, { ...PLAN, victims });
        say("kill -9", report);
        expectNothingLost(report, ROUNDS);
      });
    },
    TIMEOUT_MS,
  );

  test(
    "A10: power cut of the leader, a follower, all at once, with flush 1: the same (R4, R5)",
    async () => {
      await withTemporaryFolder(async (folder) => {
        const nodes = await Nodes.three(folder, {
          ...REPLICATED,
          "log.flush.interval.messages": 1,
          "holdfast.disk.page.cache": "process",
        });
        const turn: readonly Victim[] = ["leader", "all", "follower"];
        const victims = Array.from({ length: ROUNDS }, (_, n) => turn[n % turn.length]!);
        const report = await killClusterRounds(nodes, { ...PLAN, victims });
        say("power cut", report);
        expectNothingLost(report, ROUNDS);
      });
    },
    TIMEOUT_MS,
  );
});
