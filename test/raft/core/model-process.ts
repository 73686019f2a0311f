import { must } from "../../../src/base/assert.ts";
import { type Random, randomBelow } from "../../../src/base/random.ts";
import type { Effect, EpochStart, RaftEvent, VotersAppend } from "../../../src/raft/core/events.ts";
import type { Batch, Message, SnapshotId } from "../../../src/raft/core/messages.ts";
import type { RaftNode } from "../../../src/raft/core/node.ts";
import { type ReplicaKey, type VoterChange, VoterSet } from "../../../src/raft/core/voters.ts";
import type { CheckedReplica, Checks } from "./model-checks.ts";
import { endOffsetOf } from "./model-disk.ts";
import type { EventQueue } from "./model-event-queue.ts";
import {
  applyBatch,
  decodeSnapshot,
  EMPTY_STATE,
  encodeSnapshot,
  type Snapshot,
  type State,
  votersBytes,
} from "./model-state.ts";

/** What one answer to a fetch holds at most. */
const ANSWER_BATCHES = 8;
/** A few parts for a snapshot. */
const CHUNK_BYTES = 100;
/** Now and then a look at what was fetched takes so long. */
const LONG_LOAD_MS = 12_000;

export interface ProcessPorts {
  readonly queue: EventQueue;
  readonly checks: Checks;
  /** Of the disk and what is done with it. */
  readonly chance: Random;
  readonly counts: Record<ProcessCount, number>;
  /** How much longer a sync takes now. */
  readonly stallMs: () => number;
  readonly send: (from: ReplicaKey, to: number, message: Message) => void;
  readonly note: (line: () => string) => void;
}

export type ProcessCount =
  "truncations" | "elections" | "snapshotsTaken" | "snapshotsLoaded" | "voterChanges";

/** A snapshot that is fetched. */
interface Part {
  readonly id: SnapshotId;
  readonly chunks: Buffer[];
}

/** A node while it runs, and what its driver would do. */
export class ModelProcess {
  readonly node: RaftNode;
  pausedUntilMs = 0;
  readonly #ports: ProcessPorts;
  readonly #replica: CheckedReplica;
  #isDead = false;
  #isSyncing = false;
  #isDirty: boolean;
  /** A sync that began before the log was cut says nothing of what is there now. */
  #generation = 0;
  #part: Part | null = null;
  #loaded: Snapshot | null = null;
  #state: State;

  constructor(ports: ProcessPorts, replica: CheckedReplica, node: RaftNode) {
    this.#ports = ports;
    this.#replica = replica;
    this.node = node;
    const { log, newestSnapshot, syncedEndOffset, durable } = replica.disk;
    const endOffset = Math.max(endOffsetOf(log), endOffsetOf(durable));
    this.#isDirty = syncedEndOffset < endOffset;
    this.#state =
      newestSnapshot === null
        ? EMPTY_STATE
        : { endOffset: newestSnapshot.id.endOffset, hash: newestSnapshot.hash };
  }

  start(): void {
    this.#step({ kind: "start" });
    this.#sync();
  }

  kill(): void {
    this.#isDead = true;
    this.#replica.disk.kill(this.#ports.chance);
  }

  /** Unless it is paused: then when it goes on. */
  handle(event: RaftEvent): void {
    this.#whenRunning(() => {
      if (event.kind === "propose" && this.node.leadingEpoch === null) return;
      this.#step(event);
    });
  }

  changeVoters(change: VoterChange): void {
    this.#whenRunning(() => {
      const refusal = this.node.voterChangeRefusal(change, this.#ports.queue.nowMs);
      if (refusal === null) this.#step({ kind: "proposeVoters", change });
    });
  }

  /** Of as much as the core allows, which is not more than what is committed. */
  takeSnapshot(): void {
    const { disk } = this.#replica;
    this.#whenRunning(() => {
      const id =
        this.node.snapshotIdAt(endOffsetOf(disk.log)) ??
        this.node.snapshotIdAt(this.#state.endOffset);
      if (id === null) return;
      const { hash } = this.#stateAt(id.endOffset);
      const snapshot = { id, hash, voters: this.node.votersAt(id.endOffset).all };
      this.#ports.checks.onSnapshot(this.#replica, snapshot);
      this.#afterSync(() => this.#tookSnapshot(snapshot));
    });
  }

  #tookSnapshot(snapshot: Snapshot): void {
    const { disk } = this.#replica;
    const { id } = snapshot;
    if (id.endOffset <= (disk.newestSnapshot?.id.endOffset ?? 0) || disk.isResetting) return;
    this.#ports.counts.snapshotsTaken += 1;
    disk.addSnapshot(snapshot);
    this.#step({ kind: "snapshotTaken", id });
    // To the newest one, to one before it, or not at all.
    const start = disk.snapshots[randomBelow(this.#ports.chance, disk.snapshots.length + 2)];
    if (start === undefined || start.id.endOffset <= disk.log.start.endOffset) return;
    disk.dropPrefix(start.id);
    this.#step({ kind: "logStart", id: start.id });
    this.#isDirty = true;
    disk.removeOldSnapshots();
    this.#sync();
  }

  #whenRunning(action: () => void): void {
    if (this.#isDead) return;
    const waitMs = this.pausedUntilMs - this.#ports.queue.nowMs;
    if (waitMs <= 0) action();
    else this.#ports.queue.after(waitMs, () => this.#whenRunning(action));
  }

  #after(delayMs: number, action: () => void): void {
    this.#ports.queue.after(delayMs, () => this.#whenRunning(action));
  }

  #step(event: RaftEvent): void {
    const { node } = this;
    const { checks, counts, note, queue } = this.#ports;
    const { nowMs } = queue;
    const leadBefore = node.leadingEpoch;
    checks.onEvent(this.#replica, node, event, nowMs);
    note(() => `${nowMs} ${this.#replica.key.nodeId} ${describeEvent(event)}`);
    const effects = node.step(event, nowMs);
    const removed = effects.flatMap((effect) => this.#change(effect));
    if (leadBefore === null && node.leadingEpoch !== null) counts.elections += 1;
    if (removed.length > 0) counts.truncations += 1;
    note(
      () =>
        `  ${node.role} e${node.epoch} l${node.leaderId} end=${node.endOffset} hw=${node.highWatermark}`,
    );
    checks.onStep(this.#replica, node, { event, effects, nowMs, removed });
    for (const effect of effects) this.#execute(effect);
    this.#armTick();
  }

  /** What the effect does to the log, at once; returns what it has removed. */
  #change(effect: Effect): readonly Batch[] {
    const { disk } = this.#replica;
    switch (effect.kind) {
      case "append":
        disk.append(effect.batch);
        break;
      case "appendFetched":
        disk.append(...effect.batches);
        break;
      case "appendEpochStart":
        this.#appendControl(epochStartOf(effect.epochStart));
        break;
      case "appendVoters": {
        const voters = new VoterSet(effect.append.voters);
        this.#ports.counts.voterChanges += 1;
        this.#ports.checks.onVoterChange(this.#replica, this.node, voters, this.#ports.queue.nowMs);
        this.#appendControl(votersBatchOf(effect.append));
        break;
      }
      case "truncate":
        this.#generation += 1;
        return disk.truncateTo(effect.endOffset);
      case "resetLog":
        this.#generation += 1;
        disk.beginReset(must(this.#loaded, "a snapshot was loaded"));
        break;
      default:
        break;
    }
    return [];
  }

  #appendControl(batch: Batch): void {
    this.#replica.disk.append(batch);
    this.#ports.checks.onControlBatch(this.#replica, batch);
  }

  #execute(effect: Effect): void {
    const { disk, key } = this.#replica;
    switch (effect.kind) {
      case "persist":
        disk.writing = effect.state;
        this.#afterSync(
          () => this.#step({ kind: "persisted" }),
          () => {
            disk.quorumState = effect.state;
            disk.writing = null;
          },
        );
        break;
      case "append":
      case "appendEpochStart":
      case "appendVoters":
      case "appendFetched":
      case "truncate":
        this.#isDirty = true;
        this.#sync();
        break;
      case "resetLog":
        this.#ports.counts.snapshotsLoaded += 1;
        this.#afterSync(
          () => undefined,
          () => {
            disk.endReset();
            disk.removeOldSnapshots();
            this.#isDirty = true;
            this.#sync();
          },
        );
        break;
      case "send":
        this.#ports.send(key, effect.to, effect.message);
        break;
      case "commit":
        this.#state = this.#stateAt(effect.highWatermark);
        this.#ports.checks.onState(this.#replica, this.#state);
        break;
      case "leaderChange":
        break;
      default:
        this.#transfer(effect);
    }
  }

  #transfer(
    effect: Extract<Effect, { kind: "sendRecords" | "sendSnapshotChunk" | "writeSnapshot" }>,
  ): void {
    switch (effect.kind) {
      case "sendRecords":
        this.#read(effect.position.epoch, effect.to, () => {
          const { start, batches: all } = this.#replica.disk.log;
          const { fetchOffset } = effect.position;
          if (fetchOffset < start.endOffset) return null;
          const batches = all
            .filter(({ baseOffset }) => baseOffset >= fetchOffset)
            .slice(0, ANSWER_BATCHES);
          return { kind: "fetchAnswer", ...effect.position, outcome: { kind: "records", batches } };
        });
        break;
      case "sendSnapshotChunk":
        this.#read(effect.position.epoch, effect.to, () => {
          const { epoch, id, position } = effect.position;
          const { snapshots } = this.#replica.disk;
          const snapshot = snapshots.find((each) => each.id.endOffset === id.endOffset);
          if (snapshot?.id.epoch !== id.epoch) return { kind: "snapshotGone", epoch, id };
          const file = encodeSnapshot(snapshot);
          const bytes = file.subarray(position, position + CHUNK_BYTES);
          return { kind: "snapshotChunk", ...effect.position, sizeBytes: file.length, bytes };
        });
        break;
      case "writeSnapshot":
        this.#write(effect);
        break;
    }
  }

  /** A read of the disk, and what is to be sent, if this node leads then. */
  #read(epoch: number, to: number, messageOf: () => Message | null): void {
    this.#ports.queue.after(randomBelow(this.#ports.chance, 4), () => {
      if (this.#isDead || this.node.leadingEpoch !== epoch) return;
      const message = messageOf();
      if (message !== null) this.#ports.send(this.#replica.key, to, message);
    });
  }

  #write({ id, position, bytes, isLast }: Extract<Effect, { kind: "writeSnapshot" }>): void {
    const { chance } = this.#ports;
    if (position === 0) this.#part = { id, chunks: [] };
    const part = must(this.#part, "a snapshot begins at its beginning");
    part.chunks.push(bytes);
    if (!isLast) {
      const endPosition = position + bytes.length;
      this.#after(randomBelow(chance, 4), () => {
        if (this.#part === part) this.#step({ kind: "snapshotWritten", id, endPosition });
      });
      return;
    }
    const lookMs = randomBelow(chance, 2) === 0 ? randomBelow(chance, LONG_LOAD_MS) : 0;
    const isSound = randomBelow(chance, 10) > 0;
    this.#after(this.#syncMs() + lookMs, () => {
      if (this.#part !== part) return;
      if (!isSound) {
        this.#step({ kind: "snapshotRejected", id });
        return;
      }
      this.#loaded = decodeSnapshot(Buffer.concat(part.chunks));
      this.#step({ kind: "snapshotLoaded", id, voters: this.#loaded.voters });
    });
  }

  /** What its log, or the snapshot that it begins at, comes to. */
  #stateAt(endOffset: number): State {
    const { log, newestSnapshot } = this.#replica.disk;
    let state = this.#state;
    if (state.endOffset < log.start.endOffset) {
      const { id, hash } = must(this.#loaded ?? newestSnapshot, "a log begins at a snapshot");
      state = { endOffset: id.endOffset, hash };
    }
    for (const batch of log.batches) {
      if (batch.endOffset > endOffset) break;
      if (batch.baseOffset >= state.endOffset) state = applyBatch(state, batch);
    }
    return state;
  }

  /** One sync at a time; it covers what was there when it began. */
  #sync(): void {
    const { disk } = this.#replica;
    if (this.#isSyncing || !this.#isDirty || disk.isResetting) return;
    this.#isSyncing = true;
    this.#isDirty = false;
    const { log } = disk;
    const generation = this.#generation;
    this.#afterSync(
      () => {
        if (generation === this.#generation) {
          this.#step({ kind: "flushed", endOffset: endOffsetOf(log) });
        }
        this.#sync();
      },
      () => {
        this.#isSyncing = false;
        disk.durable = log;
      },
    );
  }

  /** The disk is done at its own time; the process hears of it when it runs. */
  #afterSync(action: () => void, onDisk: () => void = () => undefined): void {
    this.#ports.queue.after(this.#syncMs(), () => {
      if (this.#isDead) return;
      onDisk();
      this.#whenRunning(action);
    });
  }

  #syncMs(): number {
    return this.#ports.stallMs() + 1 + randomBelow(this.#ports.chance, 20);
  }

  #armTick(): void {
    const { deadlineMs } = this.node;
    const { queue } = this.#ports;
    if (deadlineMs === Infinity) return;
    queue.after(Math.max(0, deadlineMs - queue.nowMs), () => {
      // Another one has been armed since, unless this is the one.
      if (this.node.deadlineMs === deadlineMs) this.handle({ kind: "tick" });
    });
  }
}

function describeEvent(event: RaftEvent): string {
  if (event.kind !== "message") return JSON.stringify(event);
  const { from, message } = event;
  return `from ${from.nodeId} ${JSON.stringify(message, (key, value: unknown) =>
    key === "bytes" || key === "directoryId" ? undefined : value,
  )}`;
}

function epochStartOf({ baseOffset, leaderEpoch, recordCount, isFirst, voters }: EpochStart) {
  const name = `epoch-${leaderEpoch}`;
  const bytes = isFirst ? votersBytes(`${name} `, voters) : Buffer.from(name);
  return { baseOffset, endOffset: baseOffset + recordCount, leaderEpoch, bytes };
}

function votersBatchOf({ baseOffset, leaderEpoch, voters }: VotersAppend): Batch {
  return { baseOffset, endOffset: baseOffset + 1, leaderEpoch, bytes: votersBytes("", voters) };
}
