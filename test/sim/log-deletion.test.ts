import { expect, test } from "vitest";
import type { Uuid } from "../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { ProcessClock } from "../../src/sim/sim-clock.ts";
import { LogManager } from "../../src/storage/log-manager.ts";
import { batchOf, CLIENT, CONFIG } from "../storage/support/log-world.ts";
import { DIRECTORY, diskWorld } from "./support/world.ts";

const TOPICS = [
  "AAAAAAAAAAAAAAAAAAAAAQ",
  "AAAAAAAAAAAAAAAAAAAAAg",
] as readonly string[] as readonly Uuid[];

/** A topic is deleted and made anew at once, wherever its writer happens to be. */
async function deletions(seed: number): Promise<void> {
  const { clock, disk, run } = diskWorld(seed);
  const processClock = new ProcessClock(clock);
  const timers = new TimerQueue(processClock);
  const dependencies = {
    disk: disk.process(),
    clock: processClock,
    timers,
    random: new SeededRandom(seed),
    logger: SILENT_LOGGER,
  };
  const options = { logDirs: [DIRECTORY], nodeId: 1, clusterId: null };
  const manager = await run(LogManager.open(dependencies, options));
  for (let round = 0; round < 10; round += 1) {
    const id = { topic: "topic", partitionIndex: 0, topicId: TOPICS[round % 2]! };
    const log = await run(manager.openLog(id, { ...CONFIG, flushMessages: 1 }));
    expect(log.logEndOffset).toBe(0);
    log.append(batchOf(1), CLIENT);
    const waitMs = (seed * 7 + round) % 3;
    await run(new Promise<void>((resolve) => timers.after(waitMs, resolve)));
    await run(manager.deleteLog("topic", 0));
    expect(log.failure).toBeNull();
    expect(manager.directories[0]!.isOnline).toBe(true);
  }
  await run(manager.close(null));
}

test("what a deleted topic still had to write reaches no file of its successor (E16)", async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    try {
      await deletions(seed);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});
