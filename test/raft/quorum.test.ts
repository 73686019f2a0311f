import { describe, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { type Machine, QuorumWorld } from "./quorum-world.ts";

async function formed(seed: number): Promise<{ world: QuorumWorld; leader: Machine }> {
  const world = new QuorumWorld({ seed, voterCount: 3, observerCount: 1 });
  for (const machine of world.machines) world.start(machine);
  await world.until(() => world.leader !== null, "a leader");
  return { world, leader: must(world.leader, "it was waited for") };
}

/** All have been given all that was answered, and the same. */
async function agree(world: QuorumWorld): Promise<void> {
  world.offer();
  const isAgreed = () => {
    const [first, ...others] = world.live.map(({ process }) => process?.application.values ?? []);
    return (
      first !== undefined &&
      first.includes(world.offered.at(-1) ?? "") &&
      others.every((values) => values.join() === first.join())
    );
  };
  await world.until(isAgreed, "all agree");
  const values = new Set(world.live[0]?.process?.application.values);
  expect([...world.acked].filter((value) => !values.has(value))).toEqual([]);
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
});
