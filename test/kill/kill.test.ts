import { describe, expect, test } from "vitest";
import { withTemporaryFolder } from "../support/broker-process.ts";
import { killRounds, type KillPlan, type KillReport } from "./rounds.ts";

const FULL: KillPlan = { rounds: 50, ackedPerRound: 1000, recordsPerSecond: 4000 };
const SHORT: KillPlan = { rounds: 3, ackedPerRound: 1000, recordsPerSecond: 4000 };

function say(name: string, report: KillReport): void {
  const worst = (values: readonly number[]) => Math.max(...values).toFixed(1);
  console.log(
    `${name}: ${report.rounds} rounds (and ${report.lateRounds} with a late kill), ${report.sent} sent, ${report.acked} acked, ` +
      `${report.lost.length} lost, ${report.duplicated.length} duplicated, ` +
      `ack to kill at most ${worst(report.ackToKillMs)} ms, restart at most ${worst(report.restartMs)} ms`,
  );
}

function expectNothingLost(report: KillReport): void {
  expect(report.lost).toEqual([]);
  expect(report.duplicated).toEqual([]);
  expect(report.failed).toBe(0);
  expect(report.acked).toBe(report.sent);
  expect(report.acked).toBeGreaterThanOrEqual(report.rounds * 1000);
  expect(report.rounds).toBe(FULL.rounds);
}

describe("kill -9 under an idempotent librdkafka producer, acks=all", () => {
  test("loses and doubles nothing that was acknowledged, with no fsync at all (R1)", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const report = await killRounds({ dataDirectory }, FULL);
      say("kill -9, page cache of the system", report);
      expectNothingLost(report);
    });
  });

  test("loses nothing when it is a power cut and each ack waits for its fsync (S5)", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const overrides = { "holdfast.disk.page.cache": "process", "log.flush.interval.messages": 1 };
      const report = await killRounds({ dataDirectory, overrides }, FULL);
      say("power cut, flush 1", report);
      expectNothingLost(report);
    });
  });

  test("is seen to lose when it is a power cut and acks do not wait: this suite can fail", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const overrides = { "holdfast.disk.page.cache": "process" };
      const report = await killRounds({ dataDirectory, overrides }, SHORT);
      say("power cut, flush off", report);
      expect(report.lost.length).toBeGreaterThan(0);
    });
  });
});
