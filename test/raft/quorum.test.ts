import { describe, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import type { Disk } from "../../src/base/disk.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { DEFAULT_TIMING } from "../../src/raft/core/state.ts";
import { RaftDriver } from "../../src/raft/driver.ts";
import { QuorumStateError } from "../../src/raft/quorum-state.ts";
import { Snapshots } from "../../src/raft/snapshots.ts";
import { agree, mend, runFaults } from "./quorum-faults.ts";
import { type Machine, METADATA_DIRECTORY, QuorumWorld } from "./quorum-world.ts";
import { LOG_DIRECTORY } from "./sim-world.ts";

async function formed(
  seed: number,
  options: { readonly snapshotBytes?: number } = {},
): Promise<{ world: QuorumWorld; leader: Machine }> {
  const world = new QuorumWorld({ seed, voterCount: 3, observerCount: 1 });
  world.snapshotBytes = options.snapshotBytes ?? world.snapshotBytes;
  for (const machine of world.machines) world.start(machine);
  await world.until(() => world.leader !== null, "a leader");
  return { world, leader: leaderOf(world) };
}

function leaderOf(world: QuorumWorld): Machine {
  return must(world.leader, "somebody leads");
}

function driverOf({ process }: Machine): RaftDriver {
  return must(process?.driver ?? null, "it has started");
}

async function offer(world: QuorumWorld, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    world.offer();
    await world.runFor(20);
  }
}

/** Another one than that. */
async function nextLeader(world: QuorumWorld, before: Machine): Promise<Machine> {
  await world.until(() => world.leader !== null && world.leader !== before, "another leader");
  return leaderOf(world);
}

function follower(world: QuorumWorld): Machine {
  const { leader } = world;
  return must(
    world.machines.slice(0, 3).find((machine) => machine !== leader) ?? null,
    "there is one",
  );
}

async function refusalOf(world: QuorumWorld, machine: Machine): Promise<Error> {
  world.start(machine);
  await world.until(() => (machine.process?.refusal ?? null) !== null, "a refusal");
  return machine.process?.refusal as Error;
}

async function edit(world: QuorumWorld, machine: Machine, work: (disk: Disk) => Promise<void>) {
  await world.run(work(machine.disk.process()));
}

describe("a quorum of three and an observer", () => {
  test("K5, K17: what one leads is delivered by all, in the same order", async () => {
    const { world } = await formed(1);
    await offer(world, 20);
    await agree(world);
    expect(world.acked.size).toBeGreaterThan(15);
  });

  test("all three lose power at once, and nothing that was answered is lost (R12)", async () => {
    const { world } = await formed(2);
    await offer(world, 10);
    for (const machine of world.machines) world.cutPower(machine);
    for (const machine of world.machines) world.start(machine);
    await world.until(() => world.leader !== null, "a leader");
    await agree(world);
    expect(world.acked.size).toBeGreaterThan(8);
  });

  test("K15: a leader that is cut off leads no longer, and what it took is refused as uncertain", async () => {
    const { world, leader } = await formed(3);
    world.isolate(leader);
    const { leaderEpoch } = driverOf(leader).leader;
    const { committed } = driverOf(leader).append(leaderEpoch, [Buffer.from("uncertain")]);
    await expect(world.run(committed)).rejects.toMatchObject({ errorName: "NOT_CONTROLLER" });
    await nextLeader(world, leader);
    world.healNetwork();
    await agree(world);
  });

  test("R13: a leader whose disk stalls gives up, while its others go on", async () => {
    const { world, leader } = await formed(4);
    world.stallDisk(leader, 60_000);
    world.offer();
    const stalledAtMs = world.clock.nowMs;
    const next = await nextLeader(world, leader);
    expect(next).not.toBe(leader);
    expect(world.clock.nowMs - stalledAtMs).toBeLessThan(8_000);
    world.kill(leader);
    world.start(leader);
    await agree(world);
  });

  test("R9, R13: a leader whose disk fails says so, and another one leads at once", async () => {
    const { world, leader } = await formed(5);
    world.breakDisk(leader);
    world.offer();
    const brokenAtMs = world.clock.nowMs;
    await nextLeader(world, leader);
    // Long before its silence would have been noticed.
    expect(world.clock.nowMs - brokenAtMs).toBeLessThan(1_900);
    await mend(world);
    await agree(world);
  });

  test("a leader without room hands over, and follows on when there is room", async () => {
    const { world, leader } = await formed(6);
    world.fillDisk(leader);
    world.offer();
    await nextLeader(world, leader);
    await offer(world, 5);
    await world.makeRoom(leader);
    await agree(world);
    expect(leader.process?.application.failure).toBeNull();
  });

  test("a leader that shuts down is followed by another at once", async () => {
    const { world, leader } = await formed(7);
    await offer(world, 5);
    await world.close(leader);
    const closedAtMs = world.clock.nowMs;
    await nextLeader(world, leader);
    expect(world.clock.nowMs - closedAtMs).toBeLessThan(1_900);
    world.start(leader);
    await agree(world);
  });

  test("R16: an observer that has lost its leader soon follows the next one", async () => {
    for (let seed = 20; seed < 30; seed += 1) {
      const { world, leader } = await formed(seed);
      await world.close(leader);
      const { key: next } = await nextLeader(world, leader);
      const electedAtMs = world.clock.nowMs;
      const observer = driverOf(world.machine(4));
      await world.until(() => observer.leader.leaderId === next.nodeId, "it follows");
      // What it asked the one that has gone may have to be taken for lost first.
      const boundMs = DEFAULT_TIMING.requestTimeoutMs + 200;
      expect(world.clock.nowMs - electedAtMs).toBeLessThan(boundMs);
    }
  });

  test("R14: a wiped voter comes back as an observer, and a new founder finds the cluster", async () => {
    for (const seed of [8, 9]) {
      const { world } = await formed(seed);
      await offer(world, 5);
      // Node 1 has founded it.
      world.wipe(world.machine(1));
      world.start(world.machine(1));
      await world.until(() => world.leader !== null, "a leader");
      await agree(world);
      const { voters } = driverOf(leaderOf(world)).quorum;
      expect(voters.map(({ nodeId }) => nodeId)).toEqual([1, 2, 3]);
      expect(driverOf(world.machine(1)).leader.leaderId).not.toBe(1);
    }
  });

  test("KIP-853: an observer becomes a voter in the place of one that was wiped", async () => {
    const { world } = await formed(10);
    await offer(world, 5);
    const wiped = follower(world);
    const { nodeId, directoryId } = wiped.key;
    world.wipe(wiped);
    world.start(wiped);
    await agree(world);
    const change = async (given: Parameters<RaftDriver["changeVoters"]>[0]) => {
      await world.run(driverOf(leaderOf(world)).changeVoters(given).committed);
    };
    const added = { ...wiped.key, endpoints: [{ name: "C", host: "localhost", port: 9093 }] };
    await expect(change({ kind: "add", voter: added })).rejects.toMatchObject({
      errorName: "DUPLICATE_VOTER",
    });
    await change({ kind: "remove", voter: { nodeId, directoryId } });
    await change({ kind: "add", voter: added });
    world.checks.voters = driverOf(leaderOf(world)).quorum.voters;
    expect(world.checks.voters.find((voter) => voter.nodeId === nodeId)).toEqual(added);
    await agree(world);
    for (const machine of world.machines) world.cutPower(machine);
    for (const machine of world.machines) world.start(machine);
    await world.until(() => world.leader !== null, "a leader");
    expect(driverOf(wiped).quorum.voters.find((voter) => voter.nodeId === nodeId)).toEqual(added);
    await agree(world);
  });
});

describe("K18: a voter that does not know whom it has voted for", () => {
  test.each([
    ["quorum-state is missing", (disk: Disk) => disk.remove(`${METADATA_DIRECTORY}/quorum-state`)],
    ["the metadata directory is missing", (disk: Disk) => disk.remove(METADATA_DIRECTORY)],
    [
      "quorum-state is damaged",
      async (disk: Disk) => {
        const file = await disk.open(`${METADATA_DIRECTORY}/quorum-state`);
        await file.writev([Buffer.from("{")], 1);
      },
    ],
  ])("does not start: %s", async (_name, work) => {
    const { world } = await formed(11);
    await offer(world, 3);
    const machine = follower(world);
    world.kill(machine);
    await edit(world, machine, work);
    const refusal = await refusalOf(world, machine);
    expect(refusal).toBeInstanceOf(QuorumStateError);
    expect(refusal.message).toMatch(/quorum-state is (missing|damaged).*K18.*empty log directory/);
  });

  test("a node of a quorum does not go on alone", async () => {
    const { world } = await formed(12);
    await offer(world, 3);
    const machine = leaderOf(world);
    world.kill(machine);
    const disk = machine.disk.process();
    const ports = { ...world.ports(), disk, logger: SILENT_LOGGER };
    const opening = RaftDriver.open(ports, { logDirectory: LOG_DIRECTORY, ...machine.key });
    await expect(world.run(opening)).rejects.toThrow(/other voters/);
  });
});

describe("snapshots", () => {
  test("KIP-630: a follower behind the log's start is given the leader's snapshot, then the log", async () => {
    const { world } = await formed(13, { snapshotBytes: 2_000 });
    const behind = follower(world);
    world.kill(behind);
    await offer(world, 150);
    world.start(behind);
    await agree(world);
    expect(world.checks.fetchedSnapshotCount).toBeGreaterThan(0);
  });

  test("a damaged newest snapshot is passed over for the one before it", async () => {
    const { world } = await formed(14, { snapshotBytes: 2_000 });
    await offer(world, 150);
    const machine = follower(world);
    await world.close(machine);
    await edit(world, machine, async (disk) => {
      const names = (await disk.list(METADATA_DIRECTORY)).filter((name) =>
        /checkpoint$/.test(name),
      );
      const newest = names.filter((name) => /^\d{20}-/.test(name)).at(-1) ?? "";
      const file = await disk.open(`${METADATA_DIRECTORY}/${newest}`);
      await file.writev([Buffer.from("!")], 100);
      const ports = { disk, clock: world.ports().clock, logger: SILENT_LOGGER };
      const found = await Snapshots.open(ports, METADATA_DIRECTORY);
      expect(found.newest?.id.endOffset).toBeLessThan(Number(newest.slice(0, 20)));
    });
    world.start(machine);
    await agree(world);
  });

  test("E6: power is cut anywhere while a snapshot is fetched and takes the place of the log", async () => {
    for (let seed = 15; seed < 19; seed += 1) {
      const { world } = await formed(seed, { snapshotBytes: 1_500 });
      const behind = follower(world);
      await offer(world, 3);
      world.kill(behind);
      await offer(world, 100);
      for (let round = 0; round < 3; round += 1) {
        world.start(behind);
        await world.runFor(1 + ((seed * 37 + round * 101) % 160));
        world.cutPower(behind);
      }
      world.start(behind);
      await agree(world);
    }
  });
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])("faults of seed %i", async (seed) => {
  const { ackedCount, faultCount } = await runFaults(seed);
  expect(faultCount).toBeGreaterThan(3);
  expect(ackedCount).toBeGreaterThan(10);
});
