import { describe, expect, test } from "vitest";
import { RaftNode } from "../../../src/raft/core/node.ts";
import { runModel, type RunReport } from "./model-run.ts";

function run(seed: number, voterCount: number): RunReport {
  const options = { seed, voterCount, observerCount: 1, faultsMs: 60_000 };
  return runModel((nodeOptions) => new RaftNode(nodeOptions), options);
}

/** Longer: `npm run test:raft -- --seeds 1-2000`; with bugs planted: `-- --planted 200`. */
describe("a quorum under faults", () => {
  for (const [voterCount, seedCount] of [
    [1, 10],
    [3, 20],
    [5, 10],
  ] as const) {
    test(`K1-K10, K14, K15 hold at every step, and ${voterCount} voters agree in the end`, () => {
      const totals = { committedCount: 0, faultCount: 0, elections: 0, truncations: 0 };
      for (let seed = 1; seed <= seedCount; seed += 1) {
        const report = run(seed, voterCount);
        totals.committedCount += report.committedCount;
        totals.faultCount += report.faultCount;
        totals.elections += report.elections;
        totals.truncations += report.truncations;
      }
      // Otherwise nothing was seen of what was to be seen.
      expect(totals.committedCount).toBeGreaterThan(100 * seedCount);
      expect(totals.faultCount).toBeGreaterThan(30 * seedCount);
      expect(totals.elections).toBeGreaterThan(3 * seedCount);
      if (voterCount > 1) expect(totals.truncations).toBeGreaterThan(seedCount / 2);
    });
  }

  test("the same seed is the same run", () => {
    expect(run(7, 3)).toEqual(run(7, 3));
    expect(run(8, 3).traceHash).not.toBe(run(7, 3).traceHash);
  });
});
