import { must } from "../../../src/base/assert.ts";
import { type Random, randomBelow } from "../../../src/base/random.ts";
import { ModelCluster, type NodeFactory, Violation } from "./model-cluster.ts";

export interface RunOptions {
  readonly seed: number;
  readonly voterCount: number;
  readonly observerCount: number;
  /** How long faults are injected. */
  readonly faultsMs: number;
}

export interface RunReport {
  readonly traceHash: number;
  /** Commands of clients; what the quorum itself appends is not counted. */
  readonly committedCount: number;
  readonly faultCount: number;
  readonly elections: number;
  readonly truncations: number;
  readonly resignations: number;
  readonly snapshotsTaken: number;
  readonly snapshotsLoaded: number;
  readonly voterChanges: number;
}

/** How long a healed cluster may take to agree. */
const CONVERGENCE_MS = 20_000;

/** Clients go on after the faults until they have got so many committed. */
const FEWEST_COMMANDS = 200;
const FEWEST_FAULTS = 3;

/** One seed: faults, then none; the rules hold all the way and the cluster agrees in the end. */
export function runModel(newNode: NodeFactory, options: RunOptions): RunReport {
  const cluster = new ModelCluster(newNode, options);
  try {
    return run(cluster, options);
  } catch (error) {
    if (error instanceof Error) {
      error.message += `\nseed ${options.seed}, ${options.voterCount} voters`;
      if (process.env["TRACE"] !== undefined) error.message += `\n${cluster.trace.join("\n")}`;
    }
    throw error;
  }
}

function run(cluster: ModelCluster, { seed, voterCount, faultsMs }: RunOptions): RunReport {
  const { queue, random } = cluster;
  const chance = random.fork("faults");
  // Of a quorum of three or five one member may lose its disk for good.
  const wipedAtMs = seed % 3 === 0 && voterCount > 1 ? randomBelow(chance, faultsMs) : Infinity;
  let isWiped = false;
  for (const replica of cluster.replicas) cluster.start(replica);
  let faultCount = 0;
  let faultAtMs = randomBelow(chance, 3_000);
  const { committed } = cluster.checks;
  while (queue.nowMs < faultsMs) {
    queue.runUntil(queue.nowMs + 1 + randomBelow(chance, 120));
    cluster.propose();
    if (randomBelow(chance, 10) === 0) cluster.changeVoters(chance);
    if (randomBelow(chance, 8) === 0) anyOf(cluster, chance).process?.takeSnapshot();
    if (!isWiped && queue.nowMs >= wipedAtMs) {
      const replica = anyOf(cluster, chance);
      isWiped = cluster.canLose(replica);
      if (isWiped) cluster.wipe(replica);
    }
    if (queue.nowMs < faultAtMs) continue;
    faultCount += 1;
    injectFault(cluster, chance);
    faultAtMs = queue.nowMs + randomBelow(chance, 2_500);
  }
  cluster.areFaultsOver = true;
  cluster.heal();
  cluster.lossPerMille = cluster.doublePerMille = cluster.latePerMille = 0;
  for (const replica of cluster.replicas) {
    replica.stalledUntilMs = 0;
    cluster.start(replica);
  }
  const committedBefore = committed.endOffset;
  queue.runUntil(queue.nowMs + CONVERGENCE_MS);
  if (cluster.propose() !== 1) throw new Violation("progress", "not exactly one node leads");
  while (committed.commandCount < FEWEST_COMMANDS) {
    queue.runUntil(queue.nowMs + 100);
    cluster.propose();
    if (queue.nowMs > 3 * faultsMs) throw new Violation("progress", "clients wait for too long");
  }
  queue.runUntil(queue.nowMs + 2_000);
  const disagreement = cluster.disagreement();
  if (disagreement !== null) throw new Violation("progress", disagreement);
  if (committed.endOffset <= committedBefore) {
    throw new Violation("progress", "nothing was committed after the faults");
  }
  if (faultCount < FEWEST_FAULTS) throw new Violation("faults", `only ${faultCount}`);
  return {
    traceHash: cluster.traceHash,
    committedCount: committed.commandCount,
    faultCount,
    ...cluster.counts,
  };
}

type Fault = (cluster: ModelCluster, chance: Random) => void;

const FAULTS: readonly Fault[] = [
  (cluster, chance) => cluster.kill(anyOf(cluster, chance)),
  (cluster, chance) => cluster.cutPower(anyOf(cluster, chance)),
  (cluster, chance) => cluster.cutPower(leaderOf(cluster) ?? anyOf(cluster, chance)),
  (cluster) => cluster.replicas.forEach((replica) => cluster.cutPower(replica)),
  // A fast reboot.
  (cluster, chance) => {
    const replica = anyOf(cluster, chance);
    cluster.cutPower(replica);
    cluster.start(replica);
  },
  startAll,
  startAll,
  startAll,
  (cluster, chance) => cluster.pause(anyOf(cluster, chance), randomBelow(chance, 6_000)),
  (cluster, chance) => {
    const leader = leaderOf(cluster);
    if (leader !== null) cluster.pause(leader, randomBelow(chance, 6_000));
  },
  (cluster, chance) => cluster.stallDisk(anyOf(cluster, chance), randomBelow(chance, 6_000)),
  (cluster, chance) => {
    const leader = leaderOf(cluster);
    if (leader !== null) cluster.stallDisk(leader, randomBelow(chance, 12_000));
  },
  (cluster, chance) => cluster.cut(anyOf(cluster, chance).key, anyOf(cluster, chance).key),
  // The leader is heard and hears nothing, or the other way round.
  (cluster, chance) => {
    const leader = leaderOf(cluster);
    if (leader === null) return;
    const isDeaf = randomBelow(chance, 2) === 0;
    for (const { key } of cluster.replicas) {
      if (isDeaf) cluster.cut(key, leader.key);
      else cluster.cut(leader.key, key);
    }
  },
  // A change of the voters that nobody hears of, or one of them only: it will be cut, perhaps.
  (cluster, chance) => {
    const leader = leaderOf(cluster);
    if (leader === null) return;
    const reached = anyOf(cluster, chance);
    for (const replica of cluster.replicas) {
      if (replica !== reached) cluster.cut(leader.key, replica.key);
    }
    for (let count = 0; count < 3; count += 1) cluster.changeVoters(chance);
  },
  // A partition.
  (cluster, chance) => {
    const isHere = cluster.replicas.map(() => randomBelow(chance, 2) === 0);
    for (const [index, from] of cluster.replicas.entries()) {
      for (const [otherIndex, to] of cluster.replicas.entries()) {
        if (isHere[index] !== isHere[otherIndex]) cluster.cut(from.key, to.key);
      }
    }
  },
  // A ring: everybody reaches the next ones only.
  (cluster) => {
    const { replicas } = cluster;
    const reach = Math.floor(replicas.length / 4) + 1;
    for (const [index, from] of replicas.entries()) {
      for (const [otherIndex, to] of replicas.entries()) {
        const distance = Math.abs(index - otherIndex);
        if (Math.min(distance, replicas.length - distance) > reach) cluster.cut(from.key, to.key);
      }
    }
  },
  // A leader goes on talking that hears nobody, and the next one is gone as soon as it leads.
  (cluster) => {
    const leader = leaderOf(cluster);
    if (leader === null) return;
    for (const { key } of cluster.replicas) cluster.cut(key, leader.key);
    killNextLeader(cluster, leader.process?.node.epoch ?? 0, 4_000);
  },
  heal,
  heal,
  heal,
  heal,
  (cluster, chance) => {
    cluster.lossPerMille = randomBelow(chance, 300);
    cluster.doublePerMille = randomBelow(chance, 200);
    cluster.latePerMille = randomBelow(chance, 200);
  },
  (cluster) => {
    const leader = leaderOf(cluster);
    if (leader !== null) cluster.resign(leader);
  },
];

function injectFault(cluster: ModelCluster, chance: Random): void {
  must(FAULTS[randomBelow(chance, FAULTS.length)], "a fault")(cluster, chance);
}

function killNextLeader(cluster: ModelCluster, epoch: number, forMs: number): void {
  if (forMs <= 0 || cluster.areFaultsOver) return;
  const leader = leaderOf(cluster);
  if (leader !== null && (leader.process?.node.epoch ?? 0) > epoch) cluster.kill(leader);
  else cluster.queue.after(20, () => killNextLeader(cluster, epoch, forMs - 20));
}

function startAll(cluster: ModelCluster): void {
  for (const replica of cluster.replicas) cluster.start(replica);
}

function heal(cluster: ModelCluster): void {
  cluster.heal();
}

function anyOf(cluster: ModelCluster, chance: Random) {
  return must(cluster.replicas[randomBelow(chance, cluster.replicas.length)], "a replica");
}

/** The one with the highest epoch, which may not know yet that it leads no longer. */
function leaderOf(cluster: ModelCluster) {
  const leaders = cluster.live.filter(({ process }) => process?.node.role === "leader");
  leaders.sort((a, b) => (b.process?.node.epoch ?? 0) - (a.process?.node.epoch ?? 0));
  return leaders[0] ?? null;
}
