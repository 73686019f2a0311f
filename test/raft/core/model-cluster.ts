import { type Random, randomBelow, randomUuid, SeededRandom } from "../../../src/base/random.ts";
import { LOG_BEGINNING, LogView, type RecoveredLog } from "../../../src/raft/core/log-view.ts";
import type { Message } from "../../../src/raft/core/messages.ts";
import { RaftNode } from "../../../src/raft/core/node.ts";
import { DEFAULT_TIMING, type RaftNodeOptions } from "../../../src/raft/core/state.ts";
import {
  type ReplicaKey,
  replicaText,
  type Voter,
  type VoterChange,
  VoterSet,
} from "../../../src/raft/core/voters.ts";
import { type CheckedReplica, Checks, Violation, Watch } from "./model-checks.ts";
import { endOffsetOf, type LogImage, ModelDisk } from "./model-disk.ts";
import { EventQueue } from "./model-event-queue.ts";
import { ModelProcess } from "./model-process.ts";
import { commandBytes, votersIn } from "./model-state.ts";

/** How nodes are made: a test that plants a bug brings its own. */
export type NodeFactory = (
  options: Omit<RaftNodeOptions, "log"> & { readonly log: RecoveredLog },
) => RaftNode;

export const newNode: NodeFactory = (options) =>
  new RaftNode({ ...options, log: new LogView(options.log) });

const MAX_UNANSWERED = 100;

interface Replica extends CheckedReplica {
  key: Voter;
  disk: ModelDisk;
  lost: CheckedReplica["lost"];
  watch: Watch;
  process: ModelProcess | null;
  /** Until then its syncs take longer. */
  stalledUntilMs: number;
  startCount: number;
}

/** Raft nodes with disks, a network between them and virtual time; nothing in it but chance. */
export class ModelCluster {
  readonly queue = new EventQueue();
  readonly random: Random;
  readonly replicas: readonly Replica[];
  readonly checks: Checks;
  readonly counts = {
    truncations: 0,
    elections: 0,
    resignations: 0,
    deliveries: 0,
    snapshotsTaken: 0,
    snapshotsLoaded: 0,
    voterChanges: 0,
  };
  areFaultsOver = false;
  /** From 0 to 1000. */
  lossPerMille = 0;
  doublePerMille = 0;
  latePerMille = 0;
  readonly #cuts = new Set<string>();
  readonly #newNode: NodeFactory;
  readonly #firstVoters: VoterSet;
  readonly #net: Random;
  readonly #diskChance: Random;
  traceHash = 0x811c9dc5;
  /** The last lines of what has happened. */
  readonly trace: string[] = [];
  #proposedCount = 0;

  constructor(
    newNode: NodeFactory,
    options: { readonly seed: number; readonly voterCount: number; readonly observerCount: number },
  ) {
    this.#newNode = newNode;
    this.random = new SeededRandom(`${options.seed}/${options.voterCount}`);
    this.#net = this.random.fork("net");
    this.#diskChance = this.random.fork("disk");
    const ids = this.random.fork("ids");
    const keys = Array.from({ length: options.voterCount + options.observerCount }, (_, index) => ({
      nodeId: index + 1,
      directoryId: randomUuid(ids),
      endpoints: [],
    }));
    this.#firstVoters = new VoterSet(keys.slice(0, options.voterCount));
    this.replicas = keys.map((key) => ({
      key,
      disk: new ModelDisk(this.#firstVoters),
      lost: null,
      watch: new Watch(0),
      process: null,
      stalledUntilMs: 0,
      startCount: 0,
    }));
    this.checks = new Checks(this.#firstVoters, this.replicas);
  }

  get live(): readonly Replica[] {
    return this.replicas.filter(({ process }) => process !== null);
  }

  start(replica: Replica): void {
    if (replica.process !== null) return;
    const { key, disk } = replica;
    replica.startCount += 1;
    disk.recover();
    const { log, newestSnapshot, voterHistory } = disk;
    const node = this.#newNode({
      self: key,
      timing: DEFAULT_TIMING,
      random: this.random.fork(`node-${key.nodeId}-${replica.startCount}`),
      log: {
        start: log.start,
        newestSnapshot: newestSnapshot?.id ?? LOG_BEGINNING,
        endOffset: endOffsetOf(log),
        flushedEndOffset: disk.syncedEndOffset,
        epochs: epochsOf(log),
        voterHistory,
      },
      votersIn,
      quorumState: disk.quorumState,
    });
    replica.watch = new Watch(node.highWatermark);
    replica.watch.heardAtMs = this.queue.nowMs;
    replica.process = new ModelProcess(
      {
        queue: this.queue,
        checks: this.checks,
        chance: this.#diskChance,
        counts: this.counts,
        stallMs: () => Math.max(0, replica.stalledUntilMs - this.queue.nowMs),
        send: (from, to, message) => this.#send(from, to, message),
        note: (line) => this.#note(line),
      },
      replica,
      node,
    );
    this.checks.onStart(replica, node);
    replica.process.start();
  }

  kill(replica: Replica): void {
    if (replica.process === null) return;
    this.#note(`kill ${replica.key.nodeId}`);
    replica.process.kill();
    replica.process = null;
  }

  cutPower(replica: Replica): void {
    this.kill(replica);
    this.#note(`power ${replica.key.nodeId}`);
    replica.disk.cutPower(this.#diskChance);
  }

  /** A new disk, or a new container: it has the node's id, and nothing of what the node had promised. */
  wipe(replica: Replica): void {
    this.kill(replica);
    this.#note(`wipe ${replica.key.nodeId}`);
    const { key, disk } = replica;
    replica.lost = { key, disk };
    replica.key = { ...key, directoryId: randomUuid(this.random) };
    replica.disk = new ModelDisk(this.#firstVoters);
  }

  /** Whether every voter set that may be in force has a majority without the replica. */
  canLose({ key }: Replica): boolean {
    return this.checks.possibleVoters.every((voters) => this.#isTolerable(voters, key));
  }

  pause(replica: Replica, forMs: number): void {
    if (replica.process === null) return;
    this.#note(`pause ${replica.key.nodeId} ${forMs}`);
    // Never shorter than it was: what waits for the end of the pause is handled in its order.
    const untilMs = Math.max(replica.process.pausedUntilMs, this.queue.nowMs + forMs);
    replica.process.pausedUntilMs = untilMs;
  }

  stallDisk(replica: Replica, forMs: number): void {
    this.#note(`stall ${replica.key.nodeId} ${forMs}`);
    replica.stalledUntilMs = this.queue.nowMs + forMs;
  }

  resign(replica: Replica): void {
    if (replica.process?.node.role !== "leader") return;
    this.counts.resignations += 1;
    replica.process.handle({ kind: "resign" });
  }

  /** One way. */
  cut(from: ReplicaKey, to: ReplicaKey): void {
    this.#note(`cut ${from.nodeId} ${to.nodeId}`);
    this.#cuts.add(`${from.nodeId}>${to.nodeId}`);
  }

  heal(): void {
    this.#note("heal");
    this.#cuts.clear();
  }

  /** A client offers something to every node that says that it leads, whether it still does or not. */
  propose(): number {
    let count = 0;
    for (const { process } of this.live) {
      if (process === null || process.node.leadingEpoch === null) continue;
      count += 1;
      const { endOffset, highWatermark } = process.node;
      // Clients wait for their answers.
      if (endOffset - highWatermark > MAX_UNANSWERED) continue;
      this.#proposedCount += 1;
      const recordCount = 1 + randomBelow(this.random, 3);
      const bytes = commandBytes(this.#proposedCount);
      process.handle({ kind: "propose", recordCount, bytes });
    }
    return count;
  }

  /** An operator, or a node that joins by itself, asks whoever leads for a change of the voters. */
  changeVoters(chance: Random): void {
    for (const { process } of this.live) {
      if (process === null || process.node.leadingEpoch === null) continue;
      const change = this.#someChange(process.node.voters, chance);
      if (change !== null) process.changeVoters(change);
    }
  }

  #someChange(voters: VoterSet, chance: Random): VoterChange | null {
    const lost = this.replicas.find((replica) => replica.lost !== null)?.lost?.key;
    if (lost !== undefined && voters.has(lost)) return { kind: "remove", voter: lost };
    const { key } = this.replicas[randomBelow(chance, this.replicas.length)]!;
    const isVoter = voters.has(key);
    // It stays about as large as it was.
    const surplus = voters.all.length - this.#firstVoters.all.length;
    if (isVoter ? surplus < 0 || voters.isOnly(key) : surplus > 0) return null;
    const change: VoterChange = { kind: isVoter ? "remove" : "add", voter: key };
    if (voters.all.some(({ nodeId }) => nodeId === key.nodeId) !== isVoter) return change;
    return this.#isTolerable(voters.after(change), null) ? change : null;
  }

  /** Whether those that are not lost for good, and not the one given, are a majority. */
  #isTolerable(voters: VoterSet, without: ReplicaKey | null): boolean {
    const lost = new Set(without === null ? [] : [replicaText(without)]);
    for (const replica of this.replicas) {
      if (replica.lost !== null) lost.add(replicaText(replica.lost.key));
    }
    const left = voters.all.filter((voter) => !lost.has(replicaText(voter)));
    return left.length >= voters.majority;
  }

  #send(from: ReplicaKey, to: number, message: Message): void {
    const copies = this.#chance(this.doublePerMille) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      if (this.#chance(this.lossPerMille)) continue;
      const isLate = this.#chance(this.latePerMille);
      const delayMs = 1 + randomBelow(this.#net, isLate ? 3_000 : 15);
      this.queue.after(delayMs, () => {
        const replica = this.replicas.find(({ key }) => key.nodeId === to);
        if (replica === undefined || this.#cuts.has(`${from.nodeId}>${to}`)) return;
        this.counts.deliveries += 1;
        replica.process?.handle({ kind: "message", from, message });
      });
    }
  }

  #chance(perMille: number): boolean {
    return perMille > 0 && randomBelow(this.#net, 1_000) < perMille;
  }

  /** Whether all that lives agrees, and has committed all that there is. */
  disagreement(): string | null {
    const leaders = this.live.filter(({ process }) => process?.node.role === "leader");
    const leader = leaders[0];
    if (leaders.length !== 1 || leader === undefined || leader.process === null)
      return `${leaders.length} leaders`;
    const { epoch, endOffset } = leader.process.node;
    for (const { key, process } of this.live) {
      const { node } = process!;
      const isWell =
        node.epoch === epoch && node.leaderId === leader.key.nodeId && node.endOffset === endOffset;
      if (!isWell) return `${key.nodeId} is ${node.role} in ${node.epoch}, end ${node.endOffset}`;
      if (node.highWatermark !== endOffset) {
        return `${key.nodeId} has committed ${node.highWatermark} of ${endOffset}`;
      }
    }
    return null;
  }

  #note(line: string | (() => string)): void {
    const text = typeof line === "string" ? line : line();
    for (let index = 0; index < text.length; index += 1) {
      this.traceHash = Math.imul(this.traceHash ^ text.charCodeAt(index), 0x01000193) >>> 0;
    }
    this.trace.push(text);
    if (this.trace.length > 400) this.trace.splice(0, 200);
  }
}

export { Violation };

function epochsOf({ batches }: LogImage) {
  const epochs: { epoch: number; startOffset: number }[] = [];
  for (const { leaderEpoch, baseOffset } of batches) {
    if (epochs.at(-1)?.epoch !== leaderEpoch) {
      epochs.push({ epoch: leaderEpoch, startOffset: baseOffset });
    }
  }
  return epochs;
}
