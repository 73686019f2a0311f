import { must } from "../../src/base/assert.ts";
import { type Random, randomBelow } from "../../src/base/random.ts";
import { type Machine, QuorumWorld } from "./quorum-world.ts";

export interface FaultReport {
  readonly ackedCount: number;
  readonly faultCount: number;
  readonly epochs: number;
  /** How often a node's state came from a snapshot. */
  readonly snapshotCount: number;
  /** How often one was fetched from a leader. */
  readonly fetchedSnapshotCount: number;
}

const FAULTS_MS = 20_000;

/** One seed: faults on disks, processes and network, then none; in the end all agree, with all that was answered. */
export async function runFaults(
  seed: number,
  bend: QuorumWorld["bend"] = (disk) => disk,
): Promise<FaultReport> {
  const world = new QuorumWorld({ seed, voterCount: 3, observerCount: 1 });
  world.bend = bend;
  try {
    return await run(world, seed);
  } catch (error) {
    if (error instanceof Error) error.message += `\nseed ${seed}, at ${world.clock.nowMs} ms`;
    throw error;
  }
}

async function run(world: QuorumWorld, seed: number): Promise<FaultReport> {
  const chance = world.random.fork("faults");
  // In every second seed snapshots come often.
  if (seed % 2 === 0) world.snapshotBytes = 1_000 + randomBelow(chance, 4_000);
  for (const machine of world.machines) world.start(machine);
  // One that is wiped before the cluster is formed makes it wait for an operator.
  const wipedAtMs = seed % 4 === 0 ? 3_000 + randomBelow(chance, FAULTS_MS - 3_000) : Infinity;
  let isWiped = false;
  let faultCount = 0;
  let faultAtMs = randomBelow(chance, 4_000);
  while (world.clock.nowMs < FAULTS_MS) {
    await world.runFor(1 + randomBelow(chance, 150));
    world.offer();
    if (!isWiped && world.clock.nowMs >= wipedAtMs) {
      isWiped = true;
      world.wipe(anyVoter(world, chance));
    }
    if (world.clock.nowMs < faultAtMs) continue;
    faultCount += 1;
    faultAtMs = world.clock.nowMs + randomBelow(chance, 2_500);
    await must(FAULTS[randomBelow(chance, FAULTS.length)], "a fault")(world, chance);
  }
  await mend(world);
  await world.until(() => world.leader !== null, "a leader after the faults");
  await agree(world);
  const epochs = world.leader?.process?.driver?.leader.leaderEpoch ?? 0;
  const { snapshotCount, fetchedSnapshotCount } = world.checks;
  const ackedCount = world.acked.size;
  return { ackedCount, faultCount, epochs, snapshotCount, fetchedSnapshotCount };
}

/** Nothing goes wrong any more; who cannot go on is started anew. */
export async function mend(world: QuorumWorld): Promise<void> {
  world.healNetwork();
  for (const machine of world.machines) {
    world.stallDisk(machine, 0);
    await world.makeRoom(machine).catch(() => undefined);
    if (hasFailed(machine)) world.kill(machine);
    world.start(machine);
  }
}

/** All have been given the same, and all that was answered is in it (R12). */
export async function agree(world: QuorumWorld): Promise<void> {
  const isAgreed = () => {
    world.offerIfIdle();
    const all = world.machines.map(({ process }) => process?.application.values ?? []);
    const last = world.lastAcked;
    return last !== null && all.every((values) => values.at(-1) === last);
  };
  world.offer();
  await world.until(isAgreed, "all agree");
  const [first, ...others] = world.machines.map(({ process }) => process?.application.values ?? []);
  for (const values of others) {
    if (values.join() !== first?.join()) throw new Error("K5: not all were given the same");
  }
  const given = new Set(first);
  const lost = [...world.acked].filter((value) => !given.has(value));
  if (lost.length > 0) throw new Error(`R12: answered, and lost: ${lost.join()}`);
  if (given.size !== first?.length) throw new Error("K5: something was given twice");
}

type Fault = (world: QuorumWorld, chance: Random) => void | Promise<void>;

const FAULTS: readonly Fault[] = [
  (world, chance) => world.kill(anyOf(world, chance)),
  (world, chance) => world.cutPower(anyOf(world, chance)),
  (world, chance) => world.cutPower(world.leader ?? anyOf(world, chance)),
  (world) => world.machines.forEach((machine) => world.cutPower(machine)),
  // A fast reboot.
  (world, chance) => {
    const machine = world.leader ?? anyOf(world, chance);
    world.cutPower(machine);
    world.start(machine);
  },
  startAll,
  startAll,
  startAll,
  (world, chance) => world.stallDisk(anyOf(world, chance), randomBelow(chance, 6_000)),
  (world, chance) => {
    if (world.leader !== null) world.stallDisk(world.leader, randomBelow(chance, 8_000));
  },
  (world) => world.machines.forEach((machine) => world.stallDisk(machine, 0)),
  (world, chance) => world.fillDisk(world.leader ?? anyOf(world, chance)),
  (world, chance) => world.fillDisk(anyOf(world, chance)),
  async (world) => {
    for (const machine of world.machines) await world.makeRoom(machine).catch(() => undefined);
  },
  (world, chance) => world.breakDisk(world.leader ?? anyOf(world, chance)),
  restartFailed,
  restartFailed,
  (world, chance) => world.cut(anyOf(world, chance), anyOf(world, chance)),
  (world, chance) => world.isolate(world.leader ?? anyOf(world, chance)),
  // It is heard and hears nothing.
  (world) => {
    const { leader } = world;
    if (leader === null) return;
    for (const other of world.machines) world.cut(other, leader);
  },
  (world) => world.healNetwork(),
  (world) => world.healNetwork(),
  (world) => world.healNetwork(),
  (world, chance) => {
    world.lossPerMille = randomBelow(chance, 300);
    world.latePerMille = randomBelow(chance, 200);
  },
  async (world) => {
    if (world.leader !== null) await world.close(world.leader);
  },
  catchUpInTheDark,
];

/** A node has been away for long, and loses power while it is given what it has missed, or just after. */
async function catchUpInTheDark(world: QuorumWorld, chance: Random): Promise<void> {
  const machine = anyOf(world, chance);
  world.kill(machine);
  for (let count = 0; count < 100; count += 1) {
    world.offer();
    await world.runFor(15);
  }
  world.start(machine);
  await world.runFor(randomBelow(chance, 500));
  world.cutPower(machine);
  world.start(machine);
}

function startAll(world: QuorumWorld): void {
  for (const machine of world.machines) world.start(machine);
}

function restartFailed(world: QuorumWorld): void {
  for (const machine of world.machines) {
    if (!hasFailed(machine)) continue;
    world.cutPower(machine);
    world.start(machine);
  }
}

function anyOf(world: QuorumWorld, chance: Random): Machine {
  return must(world.machines[randomBelow(chance, world.machines.length)], "a machine");
}

function anyVoter(world: QuorumWorld, chance: Random): Machine {
  return must(world.machines[randomBelow(chance, world.voters.length)], "a voter");
}

/** It did not start, or its disk has failed. */
function hasFailed({ process }: Machine): boolean {
  if (process === null) return false;
  return process.refusal !== null || (process.driver?.log.failure ?? null) !== null;
}
