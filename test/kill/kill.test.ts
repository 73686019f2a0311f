import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { withTemporaryFolder } from "../support/broker-process.ts";
import { dumpLog } from "../support/dump-log.ts";
import { KEYED, killRounds, PLAIN, type KillPlan, type KillReport } from "./rounds.ts";

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
  expect(deletions.undone).toEqual([]);
  expect(deletions.unasked).toBe(0);
  expect(deletions.answered).toBeGreaterThan(plan.rounds / 10);
  expect(deletions.byRetention).toBeGreaterThan(0);
  expect(keyed.found).toBeLessThan(keyed.acked / 2);
}

/** kafka-dump-log finds no fault in any file of any log. */
async function expectSoundFiles(dataDirectory: string): Promise<void> {
  for (const topic of [PLAIN, KEYED]) {
    const directory = join(dataDirectory, `${topic}-0`);
    const report = await dumpLog(directory, { isCompacted: topic === KEYED });
    expect(report.complaints).toEqual([]);
    expect(report.batches).toBeGreaterThan(0);
    expect(report.indexEntries).toBeGreaterThan(0);
    expect(report.producers).toBeGreaterThan(0);
  }
  const metadata = join(dataDirectory, "__cluster_metadata-0");
  const report = await dumpLog(metadata, { decodesMetadata: true });
  expect(report.complaints).toEqual([]);
  expect(report.records.some((line) => line.includes(`"name":"${KEYED}"`))).toBe(true);
}

/** One flipped bit in a file of each kind, in turn, is found; all is put back as it was. */
async function expectFaultsFound(directory: string): Promise<void> {
  const names = (await readdir(directory)).sort();
  for (const suffix of [".log", ".index", ".timeindex", ".snapshot"]) {
    for (const name of names.filter((each) => each.endsWith(suffix))) {
      const path = join(directory, name);
      const sound = await readFile(path);
      if (sound.length === 0) continue;
      const flipped = Buffer.from(sound);
      const at = suffix === ".log" ? flipped.length - 1 : flipped.length - 5;
      flipped[at] = flipped[at]! ^ 8;
      await writeFile(path, flipped);
      expect((await dumpLog(directory, { isCompacted: true })).complaints, name).not.toEqual([]);
      await writeFile(path, sound);
      break;
    }
  }
}

describe("kill -9 under idempotent librdkafka producers, acks=all, while segments roll and go", () => {
  test("loses and doubles nothing that was acknowledged, with no fsync at all (R1); the files are sound", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const report = await killRounds({ dataDirectory }, MANY);
      say("kill -9, page cache of the system", report);
      expectNothingLost(report, MANY);
      await expectSoundFiles(dataDirectory);
      await expectFaultsFound(join(dataDirectory, `${KEYED}-0`));
    });
  });

  test("loses nothing when it is a power cut and each ack waits for its fsync (S5)", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const overrides = { "holdfast.disk.page.cache": "process", "log.flush.interval.messages": 1 };
      const report = await killRounds({ dataDirectory, overrides }, FULL);
      say("power cut, flush 1", report);
      expectNothingLost(report, FULL);
      await expectSoundFiles(dataDirectory);
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
