import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Disk, DiskFile } from "../../src/base/disk.ts";
import { loopTurn } from "../../src/base/clock.ts";
import { SURVIVALS } from "../../src/sim/power-cut.ts";
import { DIRECTORY, diskWorld } from "./support/world.ts";

async function contentOf(disk: Disk, name: string): Promise<string | null> {
  const names = await disk.list(DIRECTORY);
  if (!names.includes(name)) return null;
  const file = await disk.open(`${DIRECTORY}/${name}`);
  const target = Buffer.alloc(await file.size());
  await file.read(target, 0);
  return target.toString("latin1");
}

async function durableFile(disk: Disk, name: string, text: string): Promise<DiskFile> {
  const file = await disk.open(`${DIRECTORY}/${name}`, { create: true });
  await file.writev([Buffer.from(text)], 0);
  await file.datasync();
  await disk.syncDir(DIRECTORY);
  return file;
}

describe("SimDisk", () => {
  test("kill -9 keeps what the process wrote; a write in flight happens in part or not at all", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 30; seed += 1) {
      const { disk, run } = diskWorld(seed);
      const process = disk.process();
      const file = await run(process.open(`${DIRECTORY}/a`, { create: true }));
      await run(file.writev([Buffer.from("written")], 0));
      let isSettled = false;
      void file.writev([Buffer.from("XXX")], 7).then(() => (isSettled = true));
      process.kill();
      const content = await run(contentOf(disk.process(), "a"));
      expect(["written", "writtenX", "writtenXX", "writtenXXX"]).toContain(content);
      expect(isSettled).toBe(false);
      seen.add(String(content));
    }
    expect(seen.size).toBeGreaterThan(2);
  });

  test("a power cut keeps what was synced, and each way to lose the rest happens", async () => {
    const survivals = new Set<string>();
    const contents = new Set<string>();
    for (let seed = 0; seed < 80; seed += 1) {
      const { disk, run } = diskWorld(seed);
      const process = disk.process();
      const file = await run(durableFile(process, "a", "0".repeat(5000)));
      await run(file.writev([Buffer.alloc(20_000, "1")], 5000));
      process.kill();
      for (const fate of disk.cutPower()) survivals.add(fate.survival);
      const content = await run(contentOf(disk.process(), "a"));
      expect(content?.slice(0, 5000)).toBe("0".repeat(5000));
      contents.add(String(content));
    }
    expect([...survivals].sort()).toEqual([...SURVIVALS].sort());
    expect(contents.size).toBeGreaterThan(20);
  });

  test("a name is durable only after syncDir", async () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 40; seed += 1) {
      const { disk, run } = diskWorld(seed);
      const process = disk.process();
      await run(durableFile(process, "old", "old"));
      const file = await run(process.open(`${DIRECTORY}/new`, { create: true }));
      await run(file.writev([Buffer.from("new")], 0));
      await run(file.datasync());
      await run(process.rename(`${DIRECTORY}/new`, `${DIRECTORY}/old`));
      process.kill();
      disk.cutPower();
      const after = disk.process();
      const names = await run(after.list(DIRECTORY));
      const content = await run(contentOf(after, "old"));
      // Whatever survived, no name leads to less than was synced.
      outcomes.add(`${names.join("+")}:${String(content)}`);
    }
    expect([...outcomes].sort()).toEqual(["new+old:old", "old:new", "old:old"]);
  });

  test("a cut at any moment of a sync leaves the synced part whole", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(10_000), fc.nat(12), async (seed, count) => {
        const { disk, run, steps } = diskWorld(seed);
        const process = disk.process();
        const file = await run(durableFile(process, "a", "durable"));
        await run(file.writev([Buffer.from("-more")], 7));
        await run(process.mkdir(`${DIRECTORY}/t`));
        void file.datasync();
        void process.syncDir(DIRECTORY);
        await steps(count);
        process.kill();
        disk.cutPower();
        expect((await run(contentOf(disk.process(), "a")))?.slice(0, 7)).toBe("durable");
      }),
      { numRuns: 100 },
    );
  });

  test("a lock is held by one process and freed by its death", async () => {
    const { disk, run } = diskWorld(1);
    const first = disk.process();
    await run(first.lock(DIRECTORY));
    await expect(run(disk.process().lock(DIRECTORY))).rejects.toThrow("EBUSY");
    first.kill();
    const lock = await run(disk.process().lock(DIRECTORY));
    await run(lock.release());
    await run(disk.process().lock(DIRECTORY));
  });

  test("the kernel writes back what is old without being asked", async () => {
    const { disk, run, clock } = diskWorld(3, 100);
    const process = disk.process();
    const file = await run(process.open(`${DIRECTORY}/a`, { create: true }));
    await run(file.writev([Buffer.alloc(10_000, "x")], 0));
    expect(disk.dirtyBytes).toBe(10_000);
    while (clock.nowMs < 1000) {
      const event = clock.next();
      if (event === null) break;
      event();
      await loopTurn();
    }
    expect(disk.dirtyBytes).toBe(0);
    process.kill();
    disk.cutPower();
    expect(await run(contentOf(disk.process(), "a"))).toBe("x".repeat(10_000));
  });
});
