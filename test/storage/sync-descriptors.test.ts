import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SyncDescriptors } from "../../src/storage/sync-descriptors.ts";
import { settle } from "./support/manual-clock.ts";

/** The kernel's side of a file: which descriptions are syncing, and when another is opened. */
function kernel(mayReopen = true) {
  const syncing = new Set<number>();
  const world = { opened: 0, syncing, syncingAtOpen: [] as number[] };
  const descriptors = new SyncDescriptors(100, async () => {
    world.syncingAtOpen.push(syncing.size);
    await settle();
    world.syncingAtOpen.push(syncing.size);
    if (!mayReopen) return null;
    world.opened += 1;
    return 100 + world.opened;
  });
  return { descriptors, world };
}

describe("the descriptors of a file's syncs", () => {
  test("syncs that never overlap use the one that the file was opened with", async () => {
    const { descriptors, world } = kernel();
    for (let i = 0; i < 3; i += 1) {
      expect(await descriptors.take()).toBe(100);
      descriptors.giveBack(100);
    }
    expect(world.opened).toBe(0);
    expect(descriptors.all).toEqual([100]);
  });

  test("the first that would overlap waits, and has one of its own afterwards", async () => {
    const { descriptors } = kernel();
    const first = await descriptors.take();
    const second = descriptors.take();
    const third = descriptors.take();
    descriptors.giveBack(first);
    expect(new Set([await second, await third])).toEqual(new Set([100, 101]));
    expect(descriptors.all).toEqual([100, 101]);
  });

  test("where no other can be opened, syncs wait for each other", async () => {
    const { descriptors } = kernel(false);
    const order: string[] = [];
    await Promise.all(
      ["a", "b", "c"].map(async (name) => {
        const descriptor = await descriptors.take();
        order.push(`${name} begins`);
        await settle();
        order.push(`${name} ends`);
        descriptors.giveBack(descriptor);
      }),
    );
    expect(order).toEqual(["a", "b", "c"].flatMap((name) => [`${name} begins`, `${name} ends`]));
  });

  test("no description is shared by two syncs, and none is opened while one runs (S8)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 30 }), async (pauses) => {
        const { descriptors, world } = kernel();
        await Promise.all(
          pauses.map(async (turns) => {
            for (let i = 0; i < turns; i += 1) await settle();
            const descriptor = await descriptors.take();
            expect(world.syncing.has(descriptor)).toBe(false);
            world.syncing.add(descriptor);
            for (let i = 0; i < turns; i += 1) await settle();
            world.syncing.delete(descriptor);
            descriptors.giveBack(descriptor);
          }),
        );
        expect(world.syncingAtOpen.every((count) => count === 0)).toBe(true);
        expect(world.opened).toBeLessThanOrEqual(1);
      }),
      { numRuns: 50 },
    );
  });
});
