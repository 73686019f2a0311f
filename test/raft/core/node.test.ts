import { describe, expect, test } from "vitest";
import { newNode } from "./model-cluster.ts";
import { runModel, type RunReport } from "./model-run.ts";

function run(seed: number, voterCount: number): RunReport {
  const options = { seed, voterCount, observerCount: 2, faultsMs: 60_000 };
  return runModel(newNode, options);
}

/** Longer: `npm run test:raft -- --seeds 1-2000`; with bugs planted: `-- --planted 200`. */
describe("a quorum under faults", () => {
  for (const [voterCount, seedCount] of [
    [1, 10],
    [3, 15],
    [5, 8],
  ] as const) {
    test(`K1-K15 hold at every step, and ${voterCount} voters agree in the end`, () => {
      const totals = { elections: 0, truncations: 0, snapshotsLoaded: 0, voterChanges: 0 };
      for (let seed = 1; seed <= seedCount; seed += 1) {
        const report = run(seed, voterCount);
        // Otherwise nothing was seen of what was to be seen.
        expect(report.committedCount).toBeGreaterThanOrEqual(200);
        expect(report.faultCount).toBeGreaterThan(30);
        totals.elections += report.elections;
        totals.truncations += report.truncations;
        totals.snapshotsLoaded += report.snapshotsLoaded;
        totals.voterChanges += report.voterChanges;
      }
      expect(totals.elections).toBeGreaterThan(3 * seedCount);
      expect(totals.snapshotsLoaded).toBeGreaterThan(seedCount / 2);
      expect(totals.voterChanges).toBeGreaterThan(seedCount);
      if (voterCount > 1) expect(totals.truncations).toBeGreaterThan(seedCount / 2);
    });
  }

  test("the same seed is the same run", () => {
    expect(run(7, 3)).toEqual(run(7, 3));
    expect(run(8, 3).traceHash).not.toBe(run(7, 3).traceHash);
  });
});
