import { expect, test } from "vitest";
import type { Uuid } from "../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { ReplicaManager } from "../../src/replica/manager.ts";
import { ReplicaMoves } from "../../src/replica/replica-moves.ts";
import { ProcessClock } from "../../src/sim/sim-clock.ts";
import { LogManager } from "../../src/storage/log-manager.ts";
import { DIRECTORY, diskWorld } from "../sim/support/world.ts";
import { assignmentOf, batch, LOG_CONFIG } from "./support.ts";

const PATHS = [`${DIRECTORY}/a`, `${DIRECTORY}/b`] as const;
const CLIENT = { requiredAcks: -1, origin: "client" } as const;

/** A node with two directories that leads t-0. */
async function lead(world = diskWorld(1)) {
  const { run } = world;
  const clock = new ProcessClock(world.clock);
  const disk = world.disk.process();
  const timers = new TimerQueue(clock);
  const dependencies = { disk, clock, timers, logger: SILENT_LOGGER, random: new SeededRandom(1) };
  const logs = await run(
    LogManager.open(dependencies, { logDirs: PATHS, nodeId: 1, clusterId: null }),
  );
  const replicas = new ReplicaManager({ nodeId: 1, clock, logger: SILENT_LOGGER, logs });
  const assigned: Uuid[] = [];
  const cluster = { refusal: null as KafkaError | null };
  const moves = new ReplicaMoves({
    ...{ replicas, logs, logger: SILENT_LOGGER },
    assignDirectory: (_partition, directoryId) => {
      if (cluster.refusal !== null) return Promise.reject(cluster.refusal);
      assigned.push(directoryId);
      return Promise.resolve();
    },
  });
  const config = { ...LOG_CONFIG, fileDeleteDelayMs: 3, retentionMs: Infinity };
  const partition = await run(replicas.becomeLeader(assignmentOf({ config })));
  const here = logs.pathOf("t", 0)!;
  const there = PATHS.find((path) => path !== here)!;
  /** Runs until the replica lies there, or for so many events. */
  const until = async (path: string): Promise<void> => {
    for (let i = 0; i < 500 && logs.log("t", 0)?.directory !== `${path}/t-0`; i += 1) {
      await world.steps(1);
    }
    await world.steps(20);
  };
  return { ...world, logs, replicas, moves, cluster, assigned, partition, here, there, until };
}

test("a replica that moves keeps its records and its high watermark, and takes more", async () => {
  const { run, partition, moves, there, here, until, logs, assigned } = await lead();
  await run(partition.appendAsLeader(batch(5), CLIENT).acked);
  expect(await run(moves.alter("t", 0, there))).toBeNull();
  await until(there);
  expect(logs.pathOf("t", 0)).toBe(there);
  expect(assigned).toEqual([logs.directories.find(({ path }) => path === there)!.directoryId]);
  expect(partition).toMatchObject({ isLeader: true, highWatermark: 5, logEndOffset: 5 });
  expect(partition.log).toBe(logs.log("t", 0));
  await run(partition.appendAsLeader(batch(2), CLIENT).acked);
  expect(partition.highWatermark).toBe(7);
  // And back again.
  expect(await run(moves.alter("t", 0, here))).toBeNull();
  await until(here);
  expect(logs.pathOf("t", 0)).toBe(here);
  expect(partition.highWatermark).toBe(7);
});

test("what is appended while it moves is acknowledged and kept, or refused so that it comes again", async () => {
  const { run, steps, partition, moves, there, logs } = await lead();
  await run(partition.appendAsLeader(batch(5), CLIENT).acked);
  const altering = moves.alter("t", 0, there);
  let ackedEnd = 5;
  const refusals = new Set<string>();
  for (let i = 0; i < 2000 && logs.pathOf("t", 0) !== there; i += 1) {
    try {
      const { result, acked } = partition.appendAsLeader(batch(1), CLIENT);
      acked.then(
        () => (ackedEnd = Math.max(ackedEnd, result.lastOffset + 1)),
        (error: unknown) => refusals.add((error as KafkaError).errorName),
      );
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      refusals.add(error.errorName);
    }
    await steps(1);
  }
  expect(await run(altering)).toBeNull();
  await steps(200);
  expect(logs.pathOf("t", 0)).toBe(there);
  expect(ackedEnd).toBeGreaterThan(5);
  expect(partition.logEndOffset).toBeGreaterThanOrEqual(ackedEnd);
  expect([...refusals]).toEqual(["NOT_LEADER_OR_FOLLOWER"]);
  const read = await run(
    partition.log.read({ offset: 0, endOffset: ackedEnd, maxBytes: 1e6, minOneBatch: true }),
  );
  expect(read.nextOffset).toBe(ackedEnd);
});

test("who waits for records goes on waiting while the replica moves", async () => {
  const { run, partition, moves, there, until } = await lead();
  const seen: string[] = [];
  partition.watch({
    onExposed: () => seen.push("exposed"),
    onEnd: () => seen.push("end"),
  });
  expect(await run(moves.alter("t", 0, there))).toBeNull();
  await until(there);
  expect(seen).toEqual([]);
  await run(partition.appendAsLeader(batch(1), CLIENT).acked);
  expect(seen).toEqual(["exposed"]);
});

test("a coordinator is told, since what it was writing may have been refused", async () => {
  const { run, partition, moves, there, until } = await lead();
  let healed = 0;
  partition.setHealListener(() => (healed += 1));
  await run(moves.alter("t", 0, there));
  await until(there);
  expect(healed).toBe(1);
});

test("a replica whose new place the cluster does not learn of stays and serves", async () => {
  const { run, partition, moves, cluster, there, here, steps, logs } = await lead();
  await run(partition.appendAsLeader(batch(3), CLIENT).acked);
  cluster.refusal = new KafkaError("NOT_CONTROLLER");
  await run(moves.alter("t", 0, there));
  await steps(2000);
  expect(logs.pathOf("t", 0)).toBe(here);
  await run(partition.appendAsLeader(batch(3), CLIENT).acked);
  expect(partition.highWatermark).toBe(6);
});

test("where it is, or is on its way, it need not go; where nothing is, it cannot", async () => {
  const { run, moves, there, here, logs } = await lead();
  expect(await run(moves.alter("t", 0, here))).toBeNull();
  expect(logs.storedLogs(there)).toEqual([]);
  expect(await run(moves.alter("t", 0, "/nowhere"))).toBe("LOG_DIR_NOT_FOUND");
  expect(await run(moves.alter("n".repeat(220), 0, there))).toBe("INVALID_TOPIC_EXCEPTION");
  await run(moves.alter("t", 0, there));
  expect(await run(moves.alter("t", 0, there))).toBeNull();
});

test("a partition that is not here yet is made where it was wanted", async () => {
  for (const path of PATHS) {
    const { run, moves, replicas, logs } = await lead();
    expect(await run(moves.alter("t", 1, path))).toBe("UNKNOWN_TOPIC_OR_PARTITION");
    await run(replicas.becomeLeader(assignmentOf({ partitionIndex: 1 })));
    expect(logs.pathOf("t", 1)).toBe(path);
  }
});

test("a move that turns round leaves the replica where it was", async () => {
  const { run, moves, there, here, logs, steps, partition } = await lead();
  await run(partition.appendAsLeader(batch(3), CLIENT).acked);
  await run(moves.alter("t", 0, there));
  expect(await run(moves.alter("t", 0, here))).toBeNull();
  await steps(200);
  expect([here, there]).toContain(logs.pathOf("t", 0));
  expect(logs.storedLogs(there).filter(({ isFuture }) => isFuture)).toEqual([]);
  await run(partition.appendAsLeader(batch(3), CLIENT).acked);
});

test("a move that a stop has cut short is begun anew", async () => {
  const world = diskWorld(7);
  const first = await lead(world);
  const { run, moves, there, partition, logs, replicas } = first;
  await run(partition.appendAsLeader(batch(3), CLIENT).acked);
  await run(moves.alter("t", 0, there));
  await run(moves.close());
  await run(replicas.close());
  await run(logs.close(null));
  const second = await lead(world);
  expect(second.logs.interruptedMoves).toHaveLength(1);
  await second.run(second.moves.resume());
  await second.until(there);
  expect(second.logs.pathOf("t", 0)).toBe(there);
  expect(second.partition.highWatermark).toBe(3);
});
