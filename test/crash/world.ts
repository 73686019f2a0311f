import { assert, must } from "../../src/base/assert.ts";
import { type Clock, loopTurn, type Timer } from "../../src/base/clock.ts";
import type { Uuid } from "../../src/base/ids.ts";
import type { Random } from "../../src/base/random.ts";
import { batchLeaderEpoch } from "../../src/protocol/records/batch.ts";
import {
  buildBatch,
  type NewBatch,
  type NewRecord,
} from "../../src/protocol/records/batch-builder.ts";
import type { Log } from "../../src/storage/log.ts";
import type { PartitionId } from "../../src/storage/log-manager.ts";
import { type Fact, History } from "./history.ts";
import { Node, type Setup, SMALL_CONFIG, WALL_MS } from "./node.ts";
import { RecordingDisk } from "./recorder.ts";
import { EMPTY_IMAGE, type Image, type Trace } from "./trace.ts";

/** No script waits longer: a product with a sync turned off may never come to rest. */
const MAX_STEPS = 10_000;

/** Thrown into a script whose machine has died where it was told to. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

interface OpenLog {
  readonly id: PartitionId;
  readonly log: Log;
  writtenEnd: number;
  flushedEnd: number;
  safeEnd: number;
}

export interface AppendOptions {
  readonly valueBytes?: number;
  readonly records?: readonly NewRecord[];
  readonly isIdempotent?: boolean;
  readonly isTransactional?: boolean;
  /** Which of the producers of this life. */
  readonly producer?: number;
}

/**
 * A machine with one process on a disk that records all. Scripts of workloads drive it: whatever they
 * wait for (`run`), the machine takes one step after the other until it is there.
 */
export class World {
  readonly setup: Setup;
  /** Facts of earlier lives, on disks whose changes are all durable or lost by now. */
  readonly earlierFacts: readonly Fact[];
  readonly base: Image;
  readonly disk: RecordingDisk;
  readonly #random: Random | null;
  readonly #logs = new Map<Uuid, OpenLog>();
  readonly #topics: { readonly id: PartitionId; isDeleting: boolean }[];
  #clock = new StepClock(0);
  #node: Node | null = null;
  #topicCount: number;
  #committedEnd = 0;
  #epoch: number;
  #life: number;
  #sequences = new Map<string, number>();
  /** What quorum-state is about to say of the process that runs; 0: nothing. */
  #votedEpoch = 0;
  /** The process dies once so many events have happened. */
  stopAt = Infinity;

  constructor(
    setup: Setup,
    options: {
      /** In which order calls that run side by side take effect; null: as they came. */
      readonly random: Random | null;
      /** The power was cut: what was left, and what had happened before. */
      readonly after?: { readonly image: Image; readonly facts: readonly Fact[] };
    },
  ) {
    this.setup = setup;
    this.#random = options.random;
    this.base = options.after?.image ?? EMPTY_IMAGE;
    this.earlierFacts = options.after?.facts ?? [];
    const history = new History();
    for (const fact of this.earlierFacts) history.apply(fact);
    this.#topics = [...history.logs.values()]
      .filter(({ life }) => life !== "deleted")
      .map(({ id, life }) => ({ id, isDeleting: life === "deleting" }));
    this.#topicCount = history.logs.size;
    this.#life = 100 * this.earlierFacts.filter(({ kind }) => kind === "crash").length;
    this.#epoch = this.#life;
    this.disk = new RecordingDisk(this.base);
    this.#watchEpochs();
  }

  /** An epoch is led in when its first batch is written, or when quorum-state was to be durable (K6, K7). */
  #watchEpochs(): void {
    this.disk.onWrite = (path, bytes) => {
      if (/__cluster_metadata-0\/quorum-state\.tmp$/.test(path)) {
        this.#votedEpoch = Number(/"leaderEpoch":(\d+)/.exec(bytes.toString("latin1"))?.[1] ?? 0);
      }
      if (!/__cluster_metadata-0\/\d+\.log$/.test(path)) return;
      this.#note({ kind: "leads", leaderEpoch: batchLeaderEpoch(bytes) });
    };
    this.disk.onSyncDir = (path) => {
      if (!path.endsWith("/__cluster_metadata-0") || this.#votedEpoch === 0) return;
      this.#note({ kind: "leads", leaderEpoch: this.#votedEpoch });
      this.#votedEpoch = 0;
    };
  }

  get trace(): Trace {
    return { base: this.base, events: this.disk.events };
  }

  get node(): Node {
    return must(this.#node, "the process runs");
  }

  get logs(): readonly { readonly id: PartitionId; readonly log: Log }[] {
    return [...this.#logs.values()];
  }

  log(id: PartitionId): Log {
    return must(this.#logs.get(id.topicId), "the log is open").log;
  }

  /** Starts the process and opens the logs of all topics that are not deleted. */
  async start(): Promise<void> {
    this.#epoch += 1;
    this.#life += 1;
    this.#sequences = new Map();
    this.#note({ kind: "starting" });
    const ports = { disk: this.disk, clock: this.#clock, seed: `node-${this.#epoch}` };
    const node = await this.run(Node.start(ports, this.setup));
    this.#node = node;
    this.#note({ kind: "started" });
    const { raft, committed } = node;
    if (raft !== null) {
      const batchCount = committed.filter(({ records }) => records.length > 0).length;
      this.#note({ kind: "replayed", batchCount, endOffset: raft.highWatermark });
      this.#committedEnd = raft.highWatermark;
    }
    await this.run(
      Promise.all(this.#topics.map(({ id, isDeleting }) => this.#reopen(id, isDeleting))),
    );
  }

  async #reopen(id: PartitionId, isDeleting: boolean): Promise<void> {
    if (!isDeleting) {
      await this.#open(id);
      return;
    }
    const isThere = this.node.manager
      .partitionsOnDisk()
      .some(({ topicId }) => topicId === id.topicId);
    if (isThere) await this.node.manager.deleteLog(id.topic, id.partitionIndex);
    this.#note({ kind: "deleted", topicId: id.topicId });
  }

  async stop(): Promise<void> {
    this.#note({ kind: "stopping", brokerEpoch: this.#epoch });
    await this.run(this.node.close(this.#epoch));
    this.observe();
    this.#note({ kind: "stopped", brokerEpoch: this.#epoch });
    this.#forgetProcess();
  }

  /** kill -9: what is in the page cache stays there. */
  kill(): void {
    this.disk.killProcess();
    this.#note({ kind: "crash", of: "process" });
    this.#forgetProcess();
  }

  #forgetProcess(): void {
    this.#logs.clear();
    this.#node = null;
    this.#votedEpoch = 0;
    this.#clock = new StepClock(this.#clock.nowMs());
  }

  async create(topic: string, partitionIndex = 0): Promise<PartitionId> {
    this.#topicCount += 1;
    const topicId = Buffer.alloc(16, this.#topicCount).toString("base64url") as Uuid;
    const id = { topic, partitionIndex, topicId };
    this.#topics.push({ id, isDeleting: false });
    const { cleanupPolicy, flushMessages } = this.setup.configs[topic] ?? SMALL_CONFIG;
    this.#note({ kind: "created", topicId, id, compacts: cleanupPolicy.compacts, flushMessages });
    await this.run(this.#open(id));
    return id;
  }

  async #open(id: PartitionId): Promise<void> {
    const log = await this.node.openLog(id);
    this.#note({ kind: "recovered", topicId: id.topicId, endOffset: log.logEndOffset });
    this.#logs.set(id.topicId, { id, log, writtenEnd: -1, flushedEnd: -1, safeEnd: -1 });
    this.observe();
  }

  async delete(id: PartitionId): Promise<void> {
    must(
      this.#topics.find((topic) => topic.id.topicId === id.topicId),
      "the topic is known",
    ).isDeleting = true;
    this.#note({ kind: "deleting", topicId: id.topicId });
    this.#logs.delete(id.topicId);
    await this.run(this.node.manager.deleteLog(id.topic, id.partitionIndex));
    this.#note({ kind: "deleted", topicId: id.topicId });
  }

  /** Appends a batch; nothing of it has reached the disk when this returns. */
  append(id: PartitionId, options: AppendOptions = {}): void {
    const { valueBytes = 40, isIdempotent = false, producer = 0 } = options;
    const { isTransactional = false } = options;
    const records = options.records ?? [
      { key: Buffer.from("key"), value: this.#value(valueBytes) },
    ];
    const producerId = 10 * this.#life + producer;
    const key = `${id.topicId} ${producerId}`;
    const baseSequence = this.#sequences.get(key) ?? 0;
    const hasProducer = isIdempotent || isTransactional;
    if (hasProducer) this.#sequences.set(key, baseSequence + records.length);
    this.#append(id, {
      timestampMs: this.#clock.wallMs(),
      records,
      isTransactional,
      ...(hasProducer ? { producerId, producerEpoch: 0, baseSequence } : {}),
    });
  }

  /** The coordinator's marker: the producer's transaction has ended. */
  endTransaction(id: PartitionId, end: "commit" | "abort", producer = 0): void {
    const key = Buffer.alloc(4);
    key.writeInt16BE(end === "commit" ? 1 : 0, 2);
    this.#append(id, {
      timestampMs: this.#clock.wallMs(),
      records: [{ key, value: Buffer.alloc(6) }],
      producerId: 10 * this.#life + producer,
      producerEpoch: 0,
      isTransactional: true,
      isControl: true,
    });
  }

  #append(id: PartitionId, batch: NewBatch): void {
    const log = this.log(id);
    const bytes = buildBatch(batch);
    const epoch = this.setup.isEpochKept === true ? 0 : this.#epoch;
    const leaderEpoch = Math.max(epoch, log.latestLeaderEpoch);
    log.append(bytes, { leaderEpoch, origin: batch.isControl === true ? "coordinator" : "client" });
    this.#note({ kind: "appended", topicId: id.topicId, batch: Buffer.from(bytes) });
  }

  async flush(id: PartitionId): Promise<void> {
    await this.run(this.log(id).flush());
  }

  /** Appends two batches, and leaves the syncs of both under way until `disk.heldSyncs` is null again. */
  async overlapSyncs(id: PartitionId): Promise<void> {
    this.disk.heldSyncs = /\.log$/;
    for (let count = 0; count < 2; count += 1) {
      this.append(id, { isIdempotent: true });
      await this.settle();
    }
    assert(this.disk.heldCount === 2, "two syncs of the log are under way");
  }

  /** The next batches are of a new leader epoch. */
  bumpEpoch(): void {
    this.#epoch += 1;
  }

  propose(values: readonly Buffer[]): void {
    const raft = must(this.node.raft, "the machine has a metadata log");
    const { baseOffset } = raft.append(raft.leader.leaderEpoch, values);
    this.#note({ kind: "proposed", baseOffset, values });
  }

  async truncate(id: PartitionId, endOffset: number): Promise<void> {
    const { topicId } = id;
    this.#note({ kind: "truncating", topicId, endOffset });
    await this.run(this.log(id).truncateTo(endOffset));
    this.#note({ kind: "truncated", topicId, endOffset: this.log(id).logEndOffset });
    // Producers that lost batches would send them again; new ones have none.
    this.#life += 1;
  }

  async restartAt(id: PartitionId, offset: number): Promise<void> {
    const { topicId } = id;
    this.#note({ kind: "restarting", topicId, offset });
    await this.run(this.log(id).truncateFullyAndStartAt(offset));
    this.#note({ kind: "restarted", topicId, offset });
    this.#life += 1;
  }

  /** As the handler does it: the log first, then its checkpoint, then the answer. */
  async deleteRecords(id: PartitionId, offset: number): Promise<void> {
    const { topicId } = id;
    this.#note({ kind: "start-may", topicId, offset });
    const deleted = this.log(id)
      .advanceLogStartOffset(offset)
      .then(() => this.node.manager.checkpointLogStart(this.log(id)));
    await this.run(deleted);
    this.#note({ kind: "start-must", topicId, offset });
  }

  /** As retention does it: whole segments, which do not come back. */
  async removeSegments(id: PartitionId, offset: number): Promise<void> {
    const { topicId } = id;
    this.#note({ kind: "start-may", topicId, offset });
    await this.run(this.log(id).removeSegmentsBelow(offset, "they are old"));
    this.#note({ kind: "start-must", topicId, offset: this.log(id).segmentBaseOffsets[0] ?? 0 });
  }

  /** As the replica manager does it (replica-moves.ts). Nothing is appended meanwhile. */
  async move(id: PartitionId, path: string): Promise<void> {
    const { topicId } = id;
    const move = await this.run(this.node.manager.beginMove(id, path));
    this.#note({ kind: "move-begun", topicId, path });
    await this.run(move.copy());
    this.#note({ kind: "move-ending", topicId });
    const highWatermark = (): number => this.log(id).flushedEndOffset;
    const log = await this.run(move.complete({ highWatermark, assign: () => Promise.resolve() }));
    this.#logs.set(topicId, { id, log, writtenEnd: -1, flushedEnd: -1, safeEnd: -1 });
    this.#note({ kind: "moved", topicId, path });
  }

  /** The metadata log has had the time to note up to where it is durable. */
  noteDurablePoint(): void {
    const { highWatermark } = must(this.node.raft, "the machine has a metadata log");
    this.#note({ kind: "metadata-noted", endOffset: highWatermark });
  }

  /** Steps until the promise settles. Throws Interrupted once `stopAt` is reached. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    for (let steps = 0; ; steps += 1) {
      if (steps > MAX_STEPS) throw new Error("the machine goes round for ever");
      const isBusy = await this.step();
      // Set while the step ran.
      // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition
      if (isSettled) return await promise;
      if (!isBusy) throw new Error("the machine waits for something that never comes");
    }
  }

  /** So many steps, whatever they bring. */
  async steps(count: number): Promise<void> {
    for (let step = 0; step < count; step += 1) await this.step();
  }

  /** Until nothing is left to do without time passing. */
  async settle(): Promise<void> {
    while (await this.step());
  }

  async advance(ms: number): Promise<void> {
    this.#clock.advance(ms);
    await this.settle();
  }

  /** One call takes effect, or what came after a poll runs. Returns whether there was anything. */
  async step(): Promise<boolean> {
    await loopTurn();
    this.observe();
    if (this.disk.events.length >= this.stopAt) throw new Interrupted();
    if (this.#clock.runPolls()) return true;
    if (this.disk.pendingCount === 0) return false;
    this.disk.performOne(this.#random);
    await loopTurn();
    this.observe();
    return true;
  }

  /** Takes note of every mark that has moved. */
  observe(): void {
    for (const [topicId, open] of this.#logs) {
      const { writtenEndOffset: writtenEnd, flushedEndOffset: flushedEnd } = open.log;
      const { safeEndOffset: safeEnd } = open.log;
      const marks = { writtenEnd, flushedEnd, safeEnd };
      if (marksOf(open) === marksOf(marks)) continue;
      Object.assign(open, marks);
      this.#note({ kind: "marks", topicId, ...marks });
    }
    const committedEnd = this.#node?.raft?.highWatermark ?? this.#committedEnd;
    if (committedEnd === this.#committedEnd) return;
    this.#committedEnd = committedEnd;
    this.#note({ kind: "committed", endOffset: committedEnd });
  }

  #note(fact: Fact): void {
    this.disk.note({ kind: "fact", fact, where: () => fact.kind });
  }

  #value(bytes: number): Buffer {
    const value = Buffer.alloc(bytes);
    // No two values alike, and no zeros: what a hole leaves must not pass for data.
    for (let at = 0; at < bytes; at += 1)
      value[at] = 1 + ((this.disk.events.length * 31 + at * 7) % 255);
    return value;
  }
}

function marksOf({ writtenEnd, flushedEnd, safeEnd }: Omit<OpenLog, "id" | "log">): string {
  return `${writtenEnd} ${flushedEnd} ${safeEnd}`;
}

/** Time passes when the script says so. */
class StepClock implements Clock {
  #nowMs: number;
  #polls: (() => void)[] = [];
  #timers: { readonly dueMs: number; readonly callback: () => void }[] = [];

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return WALL_MS + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  afterPoll(callback: () => void): void {
    this.#polls.push(callback);
  }

  runPolls(): boolean {
    const polls = this.#polls;
    this.#polls = [];
    for (const poll of polls) poll();
    return polls.length > 0;
  }

  /** Runs what is due, in order. */
  advance(ms: number): void {
    this.#nowMs += ms;
    const due = this.#timers.filter(({ dueMs }) => dueMs <= this.#nowMs);
    this.#timers = this.#timers.filter(({ dueMs }) => dueMs > this.#nowMs);
    for (const { callback } of due.sort((a, b) => a.dueMs - b.dueMs)) callback();
  }
}
