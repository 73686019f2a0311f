import { describe, expect, test } from "vitest";
import { type Uuid } from "../../src/base/ids.ts";
import { randomBelow, SeededRandom } from "../../src/base/random.ts";
import { RaftDriver } from "../../src/raft/driver.ts";
import {
  formatQuorumState,
  parseQuorumState,
  QuorumStateError,
  readQuorumState,
} from "../../src/raft/quorum-state.ts";
import type { CommittedBatch, LeaderAndEpoch, RaftListener } from "../../src/raft/raft-client.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { FaultyDisk } from "../../src/storage/faulty-disk.ts";
import { logWorld } from "../storage/support/log-world.ts";
import { settle } from "../storage/support/manual-clock.ts";
import { breakable, fillable, LOG_DIRECTORY, SimWorld } from "./sim-world.ts";

const DIRECTORY = `${LOG_DIRECTORY}/__cluster_metadata-0`;
const OPTIONS = {
  logDirectory: LOG_DIRECTORY,
  nodeId: 1,
  directoryId: "rVOkE_ZvVwdXAkHJFrWK8g" as Uuid,
};

/** Keeps what it is told. */
class Recorder implements RaftListener {
  readonly values: string[] = [];
  readonly batches: CommittedBatch[] = [];
  readonly leaders: LeaderAndEpoch[] = [];
  readonly failures: Error[] = [];

  onCommitted(batches: readonly CommittedBatch[]): void {
    for (const batch of batches) {
      this.batches.push(batch);
      this.values.push(...batch.records.map(String));
    }
  }

  onLeaderChange(leader: LeaderAndEpoch): void {
    this.leaders.push(leader);
  }

  onFailure(error: Error): void {
    this.failures.push(error);
  }
}

async function start(world: SimWorld, options = OPTIONS) {
  const process = world.startProcess();
  const driver = await world.run(RaftDriver.open(process, options));
  const recorder = new Recorder();
  await world.run(driver.start(recorder));
  return { driver, recorder, process };
}

const values = (...texts: string[]) => texts.map((text) => Buffer.from(text));

describe("the quorum of one", () => {
  test("a fresh node leads epoch 1 and delivers what it commits, in order", async () => {
    const world = new SimWorld(1);
    const { driver, recorder } = await start(world);
    expect(driver.leader).toEqual({ leaderId: 1, leaderEpoch: 1 });
    const first = driver.append(1, values("a", "b"));
    const second = driver.append(1, values("c"));
    expect(second.baseOffset).toBe(first.lastOffset + 1);
    await world.run(second.committed);
    expect(recorder.values).toEqual(["a", "b", "c"]);
    expect(driver.highWatermark).toBe(second.lastOffset + 1);
  });

  test("K7: every start leads in a new epoch, on disk before it is led in", async () => {
    const world = new SimWorld(2);
    for (let epoch = 1; epoch <= 4; epoch += 1) {
      const { driver, process } = await start(world);
      expect(driver.leader.leaderEpoch).toBe(epoch);
      const state = await world.run(readQuorumState(process.disk, DIRECTORY));
      expect(state).toEqual({ leaderEpoch: epoch, leaderId: 1, voted: null, hasOthers: false });
      world.cutPower();
    }
  });

  test("K7: an epoch that was led in never comes back, wherever the start was cut off", async () => {
    for (let seed = 0; seed < 60; seed += 1) {
      const world = new SimWorld(seed);
      let ledEpoch = 0;
      for (let round = 0; round < 4; round += 1) {
        const opening = RaftDriver.open(world.startProcess(), OPTIONS);
        const led: number[] = [];
        void opening.then((driver) => led.push(driver.leader.leaderEpoch));
        await world.steps(randomBelow(world.random, 60));
        for (const leaderEpoch of led) {
          expect(leaderEpoch).toBeGreaterThan(ledEpoch);
          ledEpoch = leaderEpoch;
        }
        world.cutPower();
      }
      const state = await world.run(readQuorumState(world.startProcess().disk, DIRECTORY));
      world.kill();
      const { driver, recorder } = await start(world);
      expect(driver.leader.leaderEpoch).toBeGreaterThan(ledEpoch);
      // Durable before the first append of its epoch, and not only before the answer (K6).
      const earlier = recorder.batches.slice(0, -1).map(({ leaderEpoch }) => leaderEpoch);
      expect(state?.leaderEpoch ?? 0).toBeGreaterThanOrEqual(earlier.at(-1) ?? 0);
      // Rising through the log as well.
      const epochs = recorder.batches.map(({ leaderEpoch }) => leaderEpoch);
      expect(epochs).toEqual([...epochs].sort((a, b) => a - b));
    }
  });

  test("R12: what was committed is there after any power cut, and nothing but a prefix of the rest", async () => {
    for (let seed = 0; seed < 60; seed += 1) {
      const world = new SimWorld(seed);
      const sent: string[] = [];
      let committedCount = 0;
      for (let round = 0; round < 3; round += 1) {
        const { driver, recorder } = await start(world);
        expect(recorder.values).toEqual(sent.slice(0, recorder.values.length));
        expect(recorder.values.length).toBeGreaterThanOrEqual(committedCount);
        sent.length = recorder.values.length;
        for (let index = 0; index < 5; index += 1) {
          const pair = [`${round}-${index}-x`, `${round}-${index}-y`];
          sent.push(...pair);
          const { committed } = driver.append(driver.leader.leaderEpoch, values(...pair));
          const count = sent.length;
          committed.then(
            () => (committedCount = count),
            () => undefined,
          );
          await world.steps(randomBelow(world.random, 4));
        }
        await world.steps(randomBelow(world.random, 12));
        world.cutPower();
      }
      const { recorder } = await start(world);
      expect(recorder.values).toEqual(sent.slice(0, recorder.values.length));
      expect(recorder.values.length).toBeGreaterThanOrEqual(committedCount);
      // A batch survives whole or not at all.
      expect(recorder.values.length % 2).toBe(0);
      expect(committedCount).toBeGreaterThan(0);
    }
  });

  test("appends that wait together share syncs", async () => {
    const world = new SimWorld(3);
    const process = world.startProcess();
    let syncCount = 0;
    const disk = new Proxy(process.disk, {
      get: (target, key: keyof typeof process.disk) =>
        key === "open"
          ? async (...args: Parameters<typeof target.open>) => {
              const file = await target.open(...args);
              return { ...file, datasync: () => ((syncCount += 1), file.datasync()) };
            }
          : target[key].bind(target),
    });
    const driver = await world.run(RaftDriver.open({ ...process, disk }, OPTIONS));
    await world.run(driver.start(new Recorder()));
    syncCount = 0;
    const appends = Array.from({ length: 200 }, (_, index) => driver.append(1, values(`${index}`)));
    await world.run(Promise.all(appends.map(({ committed }) => committed)));
    expect(syncCount).toBeGreaterThan(0);
    expect(syncCount).toBeLessThan(10);
  });

  test("appends of another epoch, and after the close, are refused", async () => {
    const world = new SimWorld(4);
    const { driver } = await start(world);
    expect(() => driver.append(2, values("x"))).toThrow(
      expect.objectContaining({ errorName: "NOT_CONTROLLER" }),
    );
    const last = driver.append(1, values("kept"));
    await world.run(driver.close());
    await world.run(last.committed);
    expect(() => driver.append(1, values("x"))).toThrow();
    expect((await start(world)).recorder.values).toEqual(["kept"]);
  });

  test("K18: a damaged quorum-state stops the start and says what to do; removed, the epoch goes on", async () => {
    const world = new SimWorld(5);
    await start(world);
    await start((world.kill(), world));
    world.kill();
    const { disk } = world.startProcess();
    const path = `${DIRECTORY}/quorum-state`;
    const file = await world.run(disk.open(path));
    await world.run(file.writev([Buffer.from('{"leaderId":')], 0));
    await world.run(file.truncate(12));
    const refusal = world.run(RaftDriver.open(world.startProcess(), OPTIONS));
    await expect(refusal).rejects.toThrow(QuorumStateError);
    await expect(refusal).rejects.toThrow(path);
    await world.run(disk.remove(path));
    expect((await start(world)).driver.leader.leaderEpoch).toBe(3);
  });

  test("K18: any bit of quorum-state flipped stops the start, or changes nothing (E14)", () => {
    const state = { leaderEpoch: 7, leaderId: 1, voted: null, hasOthers: true };
    const whole = Buffer.from(formatQuorumState(state));
    expect(parseQuorumState(whole.toString(), "quorum-state")).toEqual(state);
    let foundCount = 0;
    for (let bit = 0; bit < 8 * whole.length; bit += 1) {
      const bytes = Buffer.from(whole);
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      try {
        expect(parseQuorumState(bytes.toString(), "quorum-state"), `bit ${bit}`).toEqual(state);
      } catch (error) {
        if (!(error instanceof QuorumStateError)) throw error;
        foundCount += 1;
      }
    }
    // What is left is in the name of the checksum.
    expect(foundCount).toBeGreaterThanOrEqual(8 * (whole.length - "crc32c".length));
  });

  test("R10, R12: damage below what was synced stops the start, and nothing is cut", async () => {
    const world = new SimWorld(8);
    const { driver } = await start(world);
    await world.run(driver.append(1, values("a", "b")).committed);
    await world.run(driver.append(1, values("c")).committed);
    await world.run(driver.close());
    world.kill();
    const path = `${DIRECTORY}/00000000000000000000.log`;
    const { disk } = world.startProcess();
    const file = await world.run(disk.open(path));
    const sizeBytes = await world.run(file.size());
    const last = Buffer.alloc(1);
    await world.run(file.read(last, sizeBytes - 1));
    await world.run(file.writev([Buffer.from([last.readUInt8(0) ^ 4])], sizeBytes - 1));
    world.kill();
    const refusal = world.run(RaftDriver.open(world.startProcess(), OPTIONS));
    await expect(refusal).rejects.toMatchObject({ code: "DAMAGED_META" });
    await expect(refusal).rejects.toThrow(/checksum of a batch is wrong/);
    world.kill();
    const after = await world.run(world.startProcess().disk.open(path));
    expect(await world.run(after.size())).toBe(sizeBytes);
    // Repaired, it goes on as if nothing had been.
    await world.run(after.writev([last], sizeBytes - 1));
    world.kill();
    expect((await start(world)).recorder.values).toEqual(["a", "b", "c"]);
  });

  test("R10: what is missing from the end after a crash is told from a torn tail within a second", async () => {
    const world = new SimWorld(9);
    const { driver } = await start(world);
    await world.run(driver.append(1, values("a")).committed);
    for (const startMs = world.clock.nowMs; world.clock.nowMs < startMs + 1_100;) {
      if ((await world.steps(1)) === 0) break;
    }
    world.kill();
    const { disk } = world.startProcess();
    const file = await world.run(disk.open(`${DIRECTORY}/00000000000000000000.log`));
    await world.run(file.truncate((await world.run(file.size())) - 1));
    world.kill();
    const refusal = world.run(RaftDriver.open(world.startProcess(), OPTIONS));
    await expect(refusal).rejects.toMatchObject({ code: "DAMAGED_META" });
  });

  test("no room: what waits is refused, and when room comes the node leads on with what survived", async () => {
    const world = new SimWorld(10);
    const process = world.startProcess();
    const full = fillable(process.disk);
    const failures: string[] = [];
    const driver = await world.run(
      RaftDriver.open(
        { ...process, disk: full.disk },
        { ...OPTIONS, onDiskFailure: ({ code }) => failures.push(code) },
      ),
    );
    const recorder = new Recorder();
    await world.run(driver.start(recorder));
    await world.run(driver.append(1, values("before")).committed);
    full.setFull(true);
    const refused = driver.append(1, values("refused"));
    await expect(world.run(refused.committed)).rejects.toMatchObject({
      errorName: "KAFKA_STORAGE_ERROR",
    });
    expect(() => driver.append(1, values("x"))).toThrow(
      expect.objectContaining({ errorName: "KAFKA_STORAGE_ERROR" }),
    );
    expect(failures).toEqual(["ENOSPC"]);
    expect(recorder.leaders).toHaveLength(1);
    full.setFull(false);
    await world.run(driver.log.heal());
    while (recorder.leaders.length === 1 && (await world.steps(1)) > 0);
    expect(recorder.leaders).toHaveLength(2);
    // What was refused may be lost although an observer has read it: its offsets are not used twice.
    expect(recorder.leaders.at(-1)).toEqual({ leaderId: 1, leaderEpoch: 2 });
    expect(() => driver.append(1, values("x"))).toThrow(KafkaError);
    const { committed } = driver.append(2, values("after"));
    await world.run(committed);
    expect(recorder.failures).toHaveLength(1);
    expect(recorder.values.filter((value) => value !== "refused")).toEqual(["before", "after"]);
    const heard = [...recorder.values];
    await world.run(driver.close());
    world.kill();
    expect((await start(world)).recorder.values).toEqual(heard);
  });

  test("no room: the note of the durable point, half written, is no obstacle to going on", async () => {
    const { clock, dependencies } = logWorld();
    const memory = new MemoryDisk();
    await memory.mkdir("/data");
    const disk = new FaultyDisk({ disk: memory, clock });
    const refusals: string[] = [];
    const driver = await RaftDriver.open(
      { ...dependencies, disk, random: new SeededRandom(1) },
      { ...OPTIONS, logDirectory: "/data", onDiskFailure: ({ code }) => refusals.push(code) },
    );
    await driver.start(new Recorder());
    const late = { kind: "delay", ms: 1_000 } as const;
    disk.setRules([
      { operations: ["datasync"], path: "*checkpoint.tmp", fault: late },
      { operations: ["writev"], path: "*.log", fault: { kind: "error", code: "ENOSPC" } },
    ]);
    // The note is due, and its sync takes a while.
    await clock.advance(1_000);
    await expect(driver.append(1, values("refused")).committed).rejects.toThrow(KafkaError);
    const healing = driver.log.heal();
    await settle();
    for (let seconds = 0; seconds < 3; seconds += 1) await clock.advance(1_000);
    await healing;
    expect(refusals).toEqual(["ENOSPC"]);
    await driver.append(2, values("after")).committed;
    await driver.close();
  });

  test("another node's directory is refused", async () => {
    const world = new SimWorld(6);
    await start(world);
    world.kill();
    const opening = world.run(RaftDriver.open(world.startProcess(), { ...OPTIONS, nodeId: 2 }));
    await expect(opening).rejects.toThrow(/node 1 led, and this is node 2/);
  });

  test("R9: a failed sync commits nothing, is told once, and is final", async () => {
    const world = new SimWorld(7);
    const process = world.startProcess();
    const { disk, breakSyncs } = breakable(process.disk);
    const driver = await world.run(RaftDriver.open({ ...process, disk }, OPTIONS));
    const recorder = new Recorder();
    await world.run(driver.start(recorder));
    breakSyncs();
    const { committed } = driver.append(1, values("lost"));
    await expect(world.run(committed)).rejects.toMatchObject({ errorName: "KAFKA_STORAGE_ERROR" });
    expect(recorder.failures).toHaveLength(1);
    expect(recorder.values).toEqual([]);
    expect(() => driver.append(1, values("more"))).toThrow();
  });
});
