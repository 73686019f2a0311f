import { beforeAll, describe, expect, test } from "vitest";
import { InlineOffload } from "../../src/server/offload.ts";
import { type QuorumRunResult, runQuorumSeed } from "../../src/sim/quorum/run.ts";
import { RULES } from "../../src/sim/quorum/verdict.ts";

let offload: InlineOffload;
beforeAll(async () => {
  offload = await InlineOffload.open();
  // What is imported at first use is there from now on.
  await runQuorumSeed({ seed: 0, offload });
}, 120_000);

function run(seed: number): Promise<QuorumRunResult> {
  return runQuorumSeed({ seed, offload });
}

const K_IDS = Array.from({ length: 18 }, (_, index) => `K${index + 1}`);

describe("a run of several nodes", { timeout: 120_000 }, () => {
  test("every K id has a checker, and a few runs make each of them look", async () => {
    expect(Object.keys(RULES)).toEqual(expect.arrayContaining(K_IDS));
    const looked = new Set<string>();
    for (const seed of [1, 2, 9]) {
      const { looks, findings } = await run(seed);
      expect(findings).toEqual([]);
      for (const [rule, count] of looks) if (count > 0) looked.add(rule);
    }
    expect(Object.keys(RULES).filter((rule) => !looked.has(rule))).toEqual([]);
  });

  test("a seed is sixty seconds of faults, two hundred commands and three faults at least", async () => {
    const { faultyMs, commandCount, faults } = await run(3);
    expect(faultyMs).toBeGreaterThanOrEqual(60_000);
    expect(commandCount).toBeGreaterThanOrEqual(200);
    expect(Object.values(faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(2);
  });

  test("the same seed gives the same hash, and another one another", async () => {
    const first = await run(5);
    expect((await run(5)).hash).toBe(first.hash);
    expect((await run(6)).hash).not.toBe(first.hash);
  });

  test.each([
    [4, "a node that is asked as the leader before its own start has come so far says so"],
  ])("seed %i: %s", async (seed) => {
    expect((await run(seed)).findings).toEqual([]);
  });
});
