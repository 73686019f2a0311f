import { describe, expect, test } from "vitest";
import { agree, runFaults } from "./quorum-faults.ts";
import { type Machine, QuorumWorld } from "./quorum-world.ts";
import { must } from "../../src/base/assert.ts";

async function formed(seed: number): Promise<{ world: QuorumWorld; leader: Machine }> {
  const world = new QuorumWorld({ seed, voterCount: 3, observerCount: 1 });
  for (const machine of world.machines) world.start(machine);
  await world.until(() => world.leader !== null, "a leader");
  return { world, leader: must(world.leader, "it was waited for") };
}

describe("a quorum of three and an observer", () => {
  test("K5, K17: what one leads is delivered by all, in the same order", async () => {
    const { world } = await formed(1);
    for (let count = 0; count < 20; count += 1) {
      world.offer();
      await world.runFor(10);
    }
    await agree(world);
    expect(world.acked.size).toBeGreaterThan(15);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])("faults of seed %i", async (seed) => {
    const { ackedCount, faultCount } = await runFaults(seed);
    expect(faultCount).toBeGreaterThan(3);
    expect(ackedCount).toBeGreaterThan(10);
  });
});
