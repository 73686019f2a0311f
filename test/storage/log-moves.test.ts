import { describe, expect, test } from "vitest";
import type { Uuid } from "../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { randomBelow, SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { ProcessClock } from "../../src/sim/sim-clock.ts";
import { CopyAbortedError } from "../../src/storage/log-copy.ts";
import { LogManager, type PartitionId } from "../../src/storage/log-manager.ts";
import type { Log } from "../../src/storage/log.ts";
import { DIRECTORY, diskWorld } from "../sim/support/world.ts";
import { batchOf, CLIENT, CONFIG, readAll } from "./support/log-world.ts";

const PATHS = [`${DIRECTORY}/a`, `${DIRECTORY}/b`] as const;
const ID: PartitionId = {
  topic: "t",
  partitionIndex: 0,
  topicId: "AAAAAAAAAAAAAAAAAAAAAQ" as Uuid,
};
/** Some batches a segment. */
const SETTINGS = { ...CONFIG, segmentBytes: 4 * batchOf(1, 60).length, fileDeleteDelayMs: 3 };

const SEEDS = 12;

type World = ReturnType<typeof diskWorld>;

/** One life of a process with two directories on the world's disk. */
async function start({ clock, disk, run }: World, seed = 1) {
  const processClock = new ProcessClock(clock);
  const process = disk.process();
  const timers = new TimerQueue(processClock);
  const logs = await run(
    LogManager.open(
      {
        disk: process,
        clock: processClock,
        logger: SILENT_LOGGER,
        timers,
        random: new SeededRandom(seed),
      },
      { logDirs: PATHS, nodeId: 1, clusterId: null },
    ),
  );
  const die = (): void => {
    processClock.kill();
    process.kill();
    disk.cutPower();
  };
  const idOf = (path: string): Uuid =>
    logs.directories.find((each) => each.path === path)!.directoryId!;
  return { logs, die, idOf, disk: process };
}

async function append(log: Log, { run }: Pick<World, "run">, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) log.append(batchOf(1, 60), CLIENT);
  await run(log.flush());
}

const otherThan = (path: string | undefined): string => PATHS.find((each) => each !== path)!;
const hex = (batches: readonly Buffer[]) => batches.map((batch) => batch.toString("hex"));

describe("a log that is moved", () => {
  test("is the same in the other directory, and nothing of it is left where it was", async () => {
    const world = diskWorld(1);
    const { run } = world;
    const { logs, idOf, disk } = await start(world);
    const log = await run(logs.openLog(ID, SETTINGS));
    await append(log, world, 23);
    await run(log.advanceLogStartOffset(6));
    const before = hex(await run(readAll(log)));
    const from = logs.pathOf("t", 0)!;
    const to = otherThan(from);
    const move = await run(logs.beginMove(ID, to));
    await run(move.copy());
    const assigned: Uuid[] = [];
    const moved = await run(
      move.complete({
        highWatermark: () => 21,
        assign: (directoryId) => {
          assigned.push(directoryId);
          return Promise.resolve();
        },
      }),
    );
    expect(assigned).toEqual([idOf(to)]);
    expect(moved.directory).toBe(`${to}/t-0`);
    expect(logs.pathOf("t", 0)).toBe(to);
    expect(logs.log("t", 0)).toBe(moved);
    expect(hex(await run(readAll(moved)))).toEqual(before);
    expect(moved).toMatchObject({ logStartOffset: 6, logEndOffset: 23, flushedEndOffset: 23 });
    expect(logs.checkpointedHighWatermark("t", 0)).toBe(21);
    expect(await run(disk.list(to))).toContain("t-0");
    const left = (await run(disk.list(from))).filter((name) => /^t-0(?!.*-delete$)/.test(name));
    expect(left).toEqual([]);
    await append(moved, world, 3);
    expect(moved.logEndOffset).toBe(26);
    await run(logs.close(null));
  });

  test("is told as a future one while it is copied, with what it lacks", async () => {
    const world = diskWorld(2);
    const { run } = world;
    const { logs } = await start(world);
    const log = await run(logs.openLog(ID, SETTINGS));
    await append(log, world, 12);
    const to = otherThan(logs.pathOf("t", 0));
    const move = await run(logs.beginMove(ID, to));
    expect(logs.storedLogs(to)).toMatchObject([{ offsetLag: 12, sizeBytes: 0, isFuture: true }]);
    await run(move.copy());
    const [stored] = logs.storedLogs(to);
    expect(stored!.sizeBytes).toBeGreaterThan(0);
    expect(stored!.offsetLag).toBeLessThan(12);
    move.stop();
    await run(move.giveUp());
    expect(logs.storedLogs(to)).toEqual([]);
    await run(logs.close(null));
  });

  test("is told as one that is served, in one directory, at every moment of the way", async () => {
    const world = diskWorld(4);
    const { run, steps } = world;
    const { logs } = await start(world);
    const log = await run(logs.openLog(ID, SETTINGS));
    await append(log, world, 12);
    const from = logs.pathOf("t", 0)!;
    const to = otherThan(from);
    const move = await run(logs.beginMove(ID, to));
    await run(move.copy());
    const state = { isOver: false };
    const served = { highWatermark: () => 12, assign: () => Promise.resolve() };
    const completing = move.complete(served).finally(() => (state.isOver = true));
    const places = new Set<string>();
    while (!state.isOver) {
      const here = PATHS.filter((path) =>
        logs.storedLogs(path).some(({ isFuture, offsetLag }) => !isFuture && offsetLag === 0),
      );
      places.add(here.join());
      await steps(1);
    }
    await completing;
    expect([...places]).toEqual([from, to]);
    await run(logs.close(null));
  });

  test("stays where it was when the cluster cannot be told, and goes on there", async () => {
    const world = diskWorld(3);
    const { run } = world;
    const { logs } = await start(world);
    const log = await run(logs.openLog(ID, SETTINGS));
    await append(log, world, 9);
    const before = hex(await run(readAll(log)));
    const from = logs.pathOf("t", 0)!;
    const move = await run(logs.beginMove(ID, otherThan(from)));
    await run(move.copy());
    const refusal = new KafkaError("NOT_CONTROLLER");
    const completing = move.complete({
      highWatermark: () => 9,
      assign: () => Promise.reject(refusal),
    });
    await expect(run(completing)).rejects.toBe(refusal);
    await run(move.giveUp());
    const again = await run(logs.openLog(ID, SETTINGS));
    expect(again.directory).toBe(`${from}/t-0`);
    expect(hex(await run(readAll(again)))).toEqual(before);
    await append(again, world, 2);
    // And it can be tried again.
    const second = await run(logs.beginMove(ID, otherThan(from)));
    await run(second.copy());
    const moved = await run(
      second.complete({ highWatermark: () => 11, assign: () => Promise.resolve() }),
    );
    expect(moved.logEndOffset).toBe(11);
    await run(logs.close(null));
  });

  test("whose topic is deleted meanwhile is gone, and so is its copy", async () => {
    const world = diskWorld(4);
    const { run, steps } = world;
    const { logs, disk } = await start(world);
    const log = await run(logs.openLog(ID, SETTINGS));
    await append(log, world, 9);
    const to = otherThan(logs.pathOf("t", 0));
    const move = await run(logs.beginMove(ID, to));
    const copying = move.copy().catch(() => undefined);
    await steps(2);
    await run(logs.deleteLog("t", 0));
    await run(copying);
    const completing = move.complete({ highWatermark: () => 9, assign: () => Promise.resolve() });
    await expect(run(completing)).rejects.toBeInstanceOf(CopyAbortedError);
    await run(move.giveUp());
    expect((await run(disk.list(to))).filter((name) => name.startsWith("t-0"))).toEqual([]);
    await run(logs.close(null));
  });

  test("is begun anew after a restart", async () => {
    const world = diskWorld(5);
    const { run } = world;
    const first = await start(world);
    const log = await run(first.logs.openLog(ID, SETTINGS));
    await append(log, world, 9);
    const to = otherThan(first.logs.pathOf("t", 0));
    const move = await run(first.logs.beginMove(ID, to));
    await run(move.copy());
    first.die();
    const second = await start(world, 2);
    expect(second.logs.interruptedMoves).toEqual([{ ...ID, path: to }]);
    second.die();
  });
});

test("S4, S15: whenever the power is cut, the log is whole where the cluster knows it to be", async () => {
  let interruptedCount = 0;
  let movedCount = 0;
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const random = new SeededRandom(seed).fork("moves");
    const below = (limit: number): number => randomBelow(random, limit);
    const world = diskWorld(seed, below(2) === 0 ? 40 : Infinity);
    const { run, steps } = world;
    /** What the metadata log has committed. */
    let directoryId: Uuid | undefined;
    let mustEnd = 0;
    let mustStart = 0;
    for (let life = 0; life < 5; life += 1) {
      const { logs, die, idOf } = await start(world, seed * 10 + life);
      const id = directoryId === undefined ? ID : { ...ID, directoryId };
      let log = await run(logs.openLog(id, SETTINGS));
      const where = `seed ${seed}, life ${life}`;
      expect(log.logEndOffset, where).toBeGreaterThanOrEqual(mustEnd);
      expect(log.logStartOffset, where).toBeGreaterThanOrEqual(mustStart);
      expect(hex(await run(readAll(log))).length, where).toBe(
        log.logEndOffset - log.logStartOffset,
      );
      directoryId = idOf(logs.pathOf("t", 0)!);
      await append(log, world, 1 + below(12));
      if (below(3) === 0) {
        await run(log.advanceLogStartOffset(log.logStartOffset + below(4)));
        await run(logs.checkpointLogStart(log));
        mustStart = log.logStartOffset;
      }
      mustEnd = log.flushedEndOffset;
      const moving = (async () => {
        const move = await logs.beginMove(id, otherThan(logs.pathOf("t", 0)));
        await move.copy();
        const taken = log;
        return await move.complete({
          highWatermark: () => taken.logEndOffset,
          assign: async (assigned) => {
            await Promise.resolve();
            directoryId = assigned;
          },
        });
      })();
      moving.catch(() => undefined);
      if (below(3) > 0) {
        await steps(below(160));
        interruptedCount += 1;
      } else {
        log = await run(moving);
        movedCount += 1;
        await append(log, world, 1 + below(6));
        mustEnd = log.flushedEndOffset;
        await steps(below(30));
      }
      die();
    }
  }
  expect(interruptedCount).toBeGreaterThan(2 * SEEDS);
  expect(movedCount).toBeGreaterThan(SEEDS);
});
