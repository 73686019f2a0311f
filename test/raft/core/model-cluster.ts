import { type Random, randomBelow, randomUuid, SeededRandom } from "../../../src/base/random.ts";
import type { Effect, EpochStart, RaftEvent } from "../../../src/raft/core/events.ts";
import { LOG_BEGINNING, LogView } from "../../../src/raft/core/log-view.ts";
import type { Batch, Message } from "../../../src/raft/core/messages.ts";
import type { RaftNode } from "../../../src/raft/core/node.ts";
import { DEFAULT_TIMING, type RaftNodeOptions } from "../../../src/raft/core/state.ts";
import { type ReplicaKey, VoterSet } from "../../../src/raft/core/voters.ts";
import { type CheckedReplica, Checks, Violation, Watch } from "./model-checks.ts";
import { endOffsetOf, ModelDisk } from "./model-disk.ts";
import { EventQueue } from "./model-event-queue.ts";

/** How nodes are made: a test that plants a bug brings its own. */
export type NodeFactory = (options: RaftNodeOptions) => RaftNode;

/** What one answer to a fetch holds at most. */
const ANSWER_BATCHES = 8;

interface Process {
  readonly node: RaftNode;
  isSyncing: boolean;
  isDirty: boolean;
  pausedUntilMs: number;
}

interface Replica extends CheckedReplica {
  key: ReplicaKey;
  isVoter: boolean;
  disk: ModelDisk;
  lostDisk: ModelDisk | null;
  watch: Watch;
  process: Process | null;
  /** Until then its syncs take longer. */
  stalledUntilMs: number;
  startCount: number;
}

/** Raft nodes with disks, a network between them and virtual time; nothing in it but chance. */
export class ModelCluster {
  readonly queue = new EventQueue();
  readonly random: Random;
  readonly replicas: readonly Replica[];
  readonly voters: VoterSet;
  readonly checks: Checks;
  readonly counts = { truncations: 0, elections: 0, resignations: 0, deliveries: 0 };
  areFaultsOver = false;
  /** From 0 to 1000. */
  lossPerMille = 0;
  doublePerMille = 0;
  latePerMille = 0;
  readonly #cuts = new Set<string>();
  readonly #newNode: NodeFactory;
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
    this.voters = new VoterSet(keys.slice(0, options.voterCount));
    this.replicas = keys.map((key) => ({
      key,
      isVoter: this.voters.has(key),
      disk: new ModelDisk(),
      lostDisk: null,
      watch: new Watch(),
      process: null,
      stalledUntilMs: 0,
      startCount: 0,
    }));
    this.checks = new Checks(this.voters, this.replicas);
  }

  get live(): readonly Replica[] {
    return this.replicas.filter(({ process }) => process !== null);
  }

  start(replica: Replica): void {
    if (replica.process !== null) return;
    const { key, disk } = replica;
    replica.startCount += 1;
    const synced = disk.cached.slice(0, disk.syncedCount);
    const node = this.#newNode({
      self: key,
      timing: DEFAULT_TIMING,
      random: this.random.fork(`node-${key.nodeId}-${replica.startCount}`),
      log: new LogView({
        endOffset: endOffsetOf(disk.cached),
        flushedEndOffset: endOffsetOf(synced),
        start: LOG_BEGINNING,
        newestSnapshot: LOG_BEGINNING,
        epochs: epochsOf(disk.cached),
        voterHistory: [{ endOffset: 0, voters: this.voters }],
      }),
      votersIn: () => null,
      quorumState: disk.quorumState,
    });
    const isDirty = disk.syncedCount < Math.max(disk.cached.length, disk.durable.length);
    replica.process = { node, isSyncing: false, isDirty, pausedUntilMs: 0 };
    replica.watch = new Watch();
    replica.watch.heardAtMs = this.queue.nowMs;
    this.checks.onStart(replica, node);
    this.#step(replica, { kind: "start" });
    this.#sync(replica);
  }

  kill(replica: Replica): void {
    if (replica.process === null) return;
    this.#note(`kill ${replica.key.nodeId}`);
    replica.process = null;
    replica.disk.kill(this.#diskChance);
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
    const directoryId = randomUuid(this.random);
    replica.key = { nodeId: replica.key.nodeId, directoryId };
    replica.isVoter = false;
    replica.lostDisk = replica.disk;
    replica.disk = new ModelDisk();
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
    this.#handle(replica, { kind: "resign" });
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
    for (const replica of this.live) {
      if (replica.process?.node.leadingEpoch === null) continue;
      count += 1;
      this.#proposedCount += 1;
      const recordCount = 1 + randomBelow(this.random, 3);
      const bytes = Buffer.from(`command-${this.#proposedCount}`);
      this.#handle(replica, { kind: "propose", recordCount, bytes });
    }
    return count;
  }

  /** Unless it is paused: then when it goes on. */
  #handle(replica: Replica, event: RaftEvent): void {
    const { process } = replica;
    if (process === null) return;
    const waitMs = process.pausedUntilMs - this.queue.nowMs;
    if (waitMs <= 0) {
      if (event.kind === "propose" && process.node.leadingEpoch === null) return;
      this.#step(replica, event);
      return;
    }
    this.queue.after(waitMs, () => {
      if (replica.process === process) this.#handle(replica, event);
    });
  }

  #step(replica: Replica, event: RaftEvent): void {
    const { process, disk, key } = replica;
    if (process === null) return;
    const { node } = process;
    const { nowMs } = this.queue;
    const leadBefore = node.leadingEpoch;
    this.checks.onEvent(replica, node, event, nowMs);
    this.#note(() => `${nowMs} ${key.nodeId} ${describeEvent(event)}`);
    const effects = node.step(event, nowMs);
    const removed: Batch[] = [];
    for (const effect of effects) {
      if (effect.kind === "append") disk.cached.push(effect.batch);
      if (effect.kind === "appendFetched") disk.cached.push(...effect.batches);
      if (effect.kind === "appendEpochStart") {
        const batch = epochStartOf(effect.epochStart);
        disk.cached.push(batch);
        this.checks.onEpochStart(replica, batch);
      }
      if (effect.kind === "truncate") removed.push(...disk.truncateTo(effect.endOffset));
    }
    if (leadBefore === null && node.leadingEpoch !== null) this.counts.elections += 1;
    if (removed.length > 0) this.counts.truncations += 1;
    this.#note(
      () =>
        `  ${node.role} e${node.epoch} l${node.leaderId} end=${node.endOffset} hw=${node.highWatermark}`,
    );
    this.checks.onStep(replica, node, { event, effects, nowMs, removed });
    for (const effect of effects) this.#execute(replica, process, effect);
    this.#armTick(replica, process);
  }

  #execute(replica: Replica, process: Process, effect: Effect): void {
    switch (effect.kind) {
      case "persist":
        replica.disk.writing = effect.state;
        this.queue.after(this.#syncMs(replica), () => {
          if (replica.process !== process) return;
          replica.disk.quorumState = effect.state;
          replica.disk.writing = null;
          this.#handle(replica, { kind: "persisted" });
        });
        break;
      case "append":
      case "appendEpochStart":
      case "appendFetched":
      case "truncate":
        process.isDirty = true;
        this.#sync(replica);
        break;
      case "send":
        this.#send(replica.key, effect.to, effect.message);
        break;
      case "sendRecords":
        this.queue.after(randomBelow(this.#net, 4), () => {
          const isLeading = process.node.leadingEpoch === effect.position.epoch;
          if (replica.process !== process || !isLeading) return;
          const { fetchOffset } = effect.position;
          const batches = replica.disk.cached
            .filter(({ baseOffset }) => baseOffset >= fetchOffset)
            .slice(0, ANSWER_BATCHES);
          const outcome = { kind: "records", batches } as const;
          const message: Message = { kind: "fetchAnswer", ...effect.position, outcome };
          this.#send(replica.key, effect.to, message);
        });
        break;
      case "commit":
      case "leaderChange":
        break;
    }
  }

  /** One sync at a time; it covers what was there when it began. */
  #sync(replica: Replica): void {
    const { process, disk } = replica;
    if (process === null || process.isSyncing || !process.isDirty) return;
    process.isSyncing = true;
    process.isDirty = false;
    const synced = [...disk.cached];
    this.queue.after(this.#syncMs(replica), () => {
      if (replica.process !== process) return;
      process.isSyncing = false;
      disk.durable = synced;
      const endOffset = Math.min(endOffsetOf(synced), process.node.endOffset);
      this.#handle(replica, { kind: "flushed", endOffset });
      this.#sync(replica);
    });
  }

  #syncMs(replica: Replica): number {
    const stallMs = Math.max(0, replica.stalledUntilMs - this.queue.nowMs);
    return stallMs + 1 + randomBelow(this.#diskChance, 20);
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
        this.#handle(replica, { kind: "message", from, message });
      });
    }
  }

  #chance(perMille: number): boolean {
    return perMille > 0 && randomBelow(this.#net, 1_000) < perMille;
  }

  #armTick(replica: Replica, process: Process): void {
    const { deadlineMs } = process.node;
    if (deadlineMs === Infinity) return;
    this.queue.after(Math.max(0, deadlineMs - this.queue.nowMs), () => {
      // Another one has been armed since, unless this is the one.
      if (replica.process !== process || process.node.deadlineMs !== deadlineMs) return;
      this.#handle(replica, { kind: "tick" });
    });
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

function describeEvent(event: RaftEvent): string {
  if (event.kind !== "message") return JSON.stringify(event);
  const { from, message } = event;
  return `from ${from.nodeId} ${JSON.stringify(message, (key, value: unknown) =>
    key === "bytes" || key === "directoryId" ? undefined : value,
  )}`;
}

function epochsOf(batches: readonly Batch[]) {
  const epochs: { epoch: number; startOffset: number }[] = [];
  for (const { leaderEpoch, baseOffset } of batches) {
    if (epochs.at(-1)?.epoch !== leaderEpoch) {
      epochs.push({ epoch: leaderEpoch, startOffset: baseOffset });
    }
  }
  return epochs;
}

function epochStartOf({ baseOffset, leaderEpoch, recordCount }: EpochStart): Batch {
  const endOffset = baseOffset + recordCount;
  return { baseOffset, endOffset, leaderEpoch, bytes: Buffer.from(`epoch-${leaderEpoch}`) };
}
