import { describe, expect, test } from "vitest";
import { withTemporaryFolder } from "../support/broker-process.ts";
import { expectFaultsFound, expectSoundFiles } from "./files.ts";
import { killRounds, type KillPlan, type KillReport } from "./rounds.ts";

const MANY: KillPlan = { rounds: 100, ackedPerRound: 600, recordsPerSecond: 3000 };
const FULL: KillPlan = { rounds: 50, ackedPerRound: 600, recordsPerSecond: 3000 };
const SHORT: KillPlan = { rounds: 3, ackedPerRound: 600, recordsPerSecond: 3000 };

function say(name: string, report: KillReport): void {
  const worst = (values: readonly number[]) => Math.max(...values).toFixed(1);
  const { plain, keyed, deletions } = report;
  const lost = plain.lost.length + keyed.lost.length;
  const duplicated = plain.duplicated.length + keyed.duplicated.length;
  console.log(
    `${name}: ${report.rounds} rounds (and ${report.lateRounds} with a late kill), ${report.sent} sent, ` +
      `${plain.acked} + ${keyed.acked} acked, ${lost} lost, ${duplicated} duplicated, ` +
      `${keyed.revived.length} revived; ${deletions.answered} DeleteRecords answered, retention seen ` +
      `${deletions.byRetention} times, ${keyed.found} records kept of the compacted; ` +
      `ack to kill at most ${worst(report.ackToKillMs)} ms, restart at most ${worst(report.restartMs)} ms`,
  );
}

function expectNothingLost(report: KillReport, plan: KillPlan): void {
  const { plain, keyed, deletions } = report;
  for (const topic of [plain, keyed]) {
    expect({ ...topic, found: 0, acked: 0 }).toEqual({
      ...{ found: 0, acked: 0, lost: [], duplicated: [], revived: [] },
    });
  }
  expect(report.failed).toBe(0);
  expect(plain.acked + keyed.acked).toBe(report.sent);
  expect(plain.acked).toBeGreaterThanOrEqual(report.rounds * plan.ackedPerRound);
  expect(report.rounds).toBe(plan.rounds);
  // All of it was at work, and nothing that it removed came back.
  expect(report.crashedProducers).toBe(0);
  expect(deletions.undone).toEqual([]);
  expect(deletions.unasked).toBe(0);
  expect(deletions.byRetention).toBeGreaterThan(0);
  expect(deletions.answered).toBeGreaterThan(plan.rounds / 10);
  expect(keyed.found).toBeLessThan(keyed.acked / 2);
}

describe("kill -9 under idempotent librdkafka producers, acks=all, while segments roll and go", () => {
  test("loses and doubles nothing, with no fsync at all (R1), and leaves files that kafka-dump-log finds sound", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const report = await killRounds({ dataDirectory }, MANY);
      say("kill -9, page cache of the system", report);
      expectNothingLost(report, MANY);
      await expectSoundFiles(dataDirectory);
      // It would have found a single bit.
      await expectFaultsFound(dataDirectory);
    });
  });

  test("loses nothing when it is a power cut and each ack waits for its fsync (S5)", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const overrides = { "holdfast.disk.page.cache": "process", "log.flush.interval.messages": 1 };
      const report = await killRounds({ dataDirectory, overrides }, FULL);
      say("power cut, flush 1", report);
      expectNothingLost(report, FULL);
    });
  });

  test("is seen to lose when it is a power cut and acks do not wait: this suite can fail", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const overrides = { "holdfast.disk.page.cache": "process" };
      const report = await killRounds({ dataDirectory, overrides }, SHORT);
      say("power cut, flush off", report);
      expect(report.plain.lost.length).toBeGreaterThan(0);
    });
  });
});
