import { describe, expect, test } from "vitest";
import { withTemporaryFolder } from "../support/broker-process.ts";
import { type Attempt, auditGroups, type Look } from "./group-audit.ts";
import { type GroupKillPlan, type GroupKillReport, killGroupRounds } from "./group-rounds.ts";

const EACH: Omit<GroupKillPlan, "rounds"> = {
  strategy: "range",
  ackedPerRound: 60,
  memberCommitsPerRound: 3,
};
const MANY: GroupKillPlan = { rounds: 200, ...EACH };
/** About a second a round; five times that where other work goes on. */
const MANY_TIMEOUT_MS = 1_800_000;
const FULL: GroupKillPlan = { rounds: 30, ...EACH, strategy: "cooperative-sticky" };
const SHORT: GroupKillPlan = { rounds: 3, ...EACH };

function say(name: string, report: GroupKillReport): void {
  const worst = (values: readonly number[]) => Math.max(...values).toFixed(1);
  console.log(
    `${name}: ${report.rounds} rounds (and ${report.lateRounds} with a late kill), ` +
      `${report.acked} commits acked, ${report.memberCommits} of them by ${report.members} members, ` +
      `${report.refused} refused, ${report.deleted} group deletions; ${report.looks} looks: ` +
      `${report.lost.length} lost, ${report.revived.length} revived; ` +
      `ack to kill at most ${worst(report.ackToKillMs)} ms, restart at most ${worst(report.restartMs)} ms`,
  );
}

function expectNothingLost(report: GroupKillReport, plan: GroupKillPlan): void {
  expect(report.lost).toEqual([]);
  expect(report.revived).toEqual([]);
  expect(report.rounds).toBe(plan.rounds);
  expect(report.acked).toBeGreaterThanOrEqual(plan.rounds * plan.ackedPerRound);
  // Everybody was at work.
  expect(report.members).toBe(3);
  expect(report.memberCommits).toBeGreaterThanOrEqual(plan.rounds * plan.memberCommitsPerRound);
  expect(report.deleted).toBeGreaterThan(1);
}

describe("the audit sees", () => {
  const attempt = (id: string, triedNs: bigint, outcome: Attempt["outcome"]): Attempt => ({
    id,
    groupId: "group",
    triedNs,
    offsets: id.startsWith("delete") ? null : new Map([[0, Number(triedNs)]]),
    outcome,
    settledNs: outcome === "unknown" ? null : triedNs + 1n,
  });
  const look = (id: string | null, offset: number): Look => ({
    ...{ when: "then", groupId: "group", partition: 0, id, offset },
    startNs: 100n,
    endNs: 110n,
  });
  const judge = (attempts: readonly Attempt[], seen: Look) => {
    const { lost, revived } = auditGroups(attempts, [seen]);
    return `${lost.length} lost, ${revived.length} revived`;
  };
  const acked = [attempt("a", 10n, "acked"), attempt("b", 20n, "acked")];
  const deleted = [...acked, attempt("delete", 30n, "acked")];

  test.each([
    ["nothing wrong in the last commit", acked, look("b", 20), "0 lost, 0 revived"],
    ["an older one", acked, look("a", 10), "1 lost, 0 revived"],
    ["none", acked, look(null, -1), "1 lost, 0 revived"],
    ["another offset than was committed", acked, look("b", 10), "0 lost, 1 revived"],
    ["one that nobody committed", acked, look("c", 10), "0 lost, 1 revived"],
    ["what was refused", [attempt("r", 5n, "refused")], look("r", 5), "0 lost, 1 revived"],
    ["what may have come in", [attempt("u", 5n, "unknown")], look("u", 5), "0 lost, 0 revived"],
    ["one later than the look", [attempt("u", 115n, "acked")], look("u", 115), "0 lost, 1 revived"],
    ["that a deleted group has nothing", deleted, look(null, -1), "0 lost, 0 revived"],
    ["that a deleted group is back", deleted, look("b", 20), "0 lost, 1 revived"],
  ])("%s", (_name, attempts, seen, verdict) => {
    expect(judge(attempts, seen)).toBe(verdict);
  });
});

describe("kill -9 under librdkafka consumers of groups that commit", () => {
  test(
    "loses no commit that was acknowledged and revives none, with no fsync at all (G3, G4)",
    async () => {
      await withTemporaryFolder(async (dataDirectory) => {
        const report = await killGroupRounds({ dataDirectory }, MANY);
        say("kill -9, page cache of the system", report);
        expectNothingLost(report, MANY);
      });
    },
    MANY_TIMEOUT_MS,
  );

  test("loses none when it is a power cut and each ack waits for its fsync (E20)", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const overrides = { "holdfast.disk.page.cache": "process", "log.flush.interval.messages": 1 };
      const report = await killGroupRounds({ dataDirectory, overrides }, FULL);
      say("power cut, flush 1", report);
      expectNothingLost(report, FULL);
    });
  });

  test("is seen to lose when it is a power cut and acks do not wait: this suite can fail", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const overrides = { "holdfast.disk.page.cache": "process" };
      const report = await killGroupRounds({ dataDirectory, overrides }, SHORT);
      say("power cut, flush off", report);
      expect(report.lost.length).toBeGreaterThan(0);
    });
  });
});
