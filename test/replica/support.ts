import type { Clock, Timer } from "../../src/base/clock.ts";
import { DiskError } from "../../src/base/disk.ts";
import type { Uuid } from "../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import {
  batchBaseOffset,
  batchBaseSequence,
  batchLastOffset,
  batchLeaderEpoch,
  batchNextOffset,
  batchProducerId,
  batchRecordCount,
  stampBatch,
} from "../../src/protocol/records/batch.ts";
import { buildBatch, type NewBatch } from "../../src/protocol/records/batch-builder.ts";
import { ClientBatches } from "../../src/replica/client-batches.ts";
import type { LeaderAssignment } from "../../src/replica/assignments.ts";
import type { LogStore } from "../../src/replica/log-store.ts";
import { ReplicaManager } from "../../src/replica/manager.ts";
import type { LeaderContext } from "../../src/replica/leader-context.ts";
import type { Partition } from "../../src/replica/partition.ts";
import type { PartitionLog } from "../../src/replica/partition-log.ts";
import type {
  LogAppendOptions,
  LogAppendResult,
  LogConfig,
  LogListener,
  LogReadOptions,
  LogReadResult,
  TimestampedOffset,
} from "../../src/storage/log.ts";
import type { ProducerSnapshotEntry } from "../../src/storage/producer-snapshot.ts";
import type { AbortedTransaction } from "../../src/storage/txn-index.ts";
import { DEFAULT_LOG_CONFIG } from "../../src/storage/log-config.ts";
import { NO_OFFLOAD } from "../server/handlers/support.ts";

export const TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ" as Uuid;
export const OTHER_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAg" as Uuid;

export const LOG_CONFIG: LogConfig = { ...DEFAULT_LOG_CONFIG, timestampAfterMaxMs: Infinity };

/** Time that moves only when a test says so. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #timers: { dueMs: number; callback: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_800_000_000_000 + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  afterPoll(callback: () => void): void {
    setImmediate(callback);
  }

  get pendingCount(): number {
    return this.#timers.length;
  }

  /** Runs all that falls due, each at its own time. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#timers
        .filter(({ dueMs }) => dueMs <= endMs)
        .reduce<{ dueMs: number; callback: () => void } | undefined>(
          (first, timer) => (first === undefined || timer.dueMs < first.dueMs ? timer : first),
          undefined,
        );
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.callback();
    }
    this.#nowMs = endMs;
  }
}

/** A log in memory whose bytes become safe only when the test says so. */
export class FakeLog implements PartitionLog {
  logStartOffset = 0;
  safeEndOffset = 0;
  unsyncedBytes = 0;
  failure: DiskError | null = null;
  config: LogConfig | null = null;
  /** Reads so far. */
  readCount = 0;
  /** The next read fails with this. */
  readError: Error | null = null;
  /** Runs in the middle of every read. */
  duringRead: () => void = noop;
  readonly batches: Buffer[] = [];
  unstableOffset: number | null = null;
  aborted: AbortedTransaction[] = [];
  producers: ProducerSnapshotEntry[] = [];
  /** Advancing the log's start waits for this. */
  startGate: Promise<void> = Promise.resolve();
  /** So does a cut. */
  cutGate: Promise<void> = Promise.resolve();
  #listener: LogListener | null = null;

  get logEndOffset(): number {
    const last = this.batches.at(-1);
    return last === undefined ? this.logStartOffset : batchNextOffset(last);
  }

  setListener(listener: LogListener): void {
    this.#listener = listener;
  }

  updateConfig(config: LogConfig): void {
    this.config = config;
  }

  append(batch: Buffer, options: LogAppendOptions): LogAppendResult {
    const producerId = batchProducerId(batch);
    const known = this.batches.find(
      (other) =>
        producerId >= 0 &&
        batchProducerId(other) === producerId &&
        batchBaseSequence(other) === batchBaseSequence(batch),
    );
    if (known === undefined) {
      stampBatch(batch, 0, this.logEndOffset, options.leaderEpoch);
      this.batches.push(batch);
    }
    const stored = known ?? batch;
    return {
      kind: known === undefined ? "appended" : "duplicate",
      baseOffset: batchBaseOffset(stored),
      lastOffset: batchLastOffset(stored),
      logAppendTimeMs: -1,
      logStartOffset: this.logStartOffset,
    };
  }

  appendReplicated(batch: Buffer): void {
    this.batches.push(Buffer.from(batch));
  }

  get writtenEndOffset(): number {
    return this.logEndOffset;
  }

  async flush(): Promise<void> {
    await Promise.resolve();
    this.makeSafe();
  }

  async truncateTo(endOffset: number): Promise<void> {
    await this.cutGate;
    const first = this.batches.findIndex((each) => batchNextOffset(each) > endOffset);
    if (first >= 0) this.batches.splice(first);
    this.safeEndOffset = Math.min(this.safeEndOffset, this.logEndOffset);
  }

  async truncateFullyAndStartAt(offset: number): Promise<void> {
    await this.cutGate;
    this.batches.splice(0);
    this.logStartOffset = offset;
    this.safeEndOffset = offset;
  }

  async read(options: LogReadOptions): Promise<LogReadResult> {
    this.readCount += 1;
    await Promise.resolve();
    this.duringRead();
    if (this.readError !== null) throw this.readError;
    const { offset, endOffset, maxBytes, minOneBatch } = options;
    if (offset < this.logStartOffset || offset > this.logEndOffset) {
      throw new KafkaError("OFFSET_OUT_OF_RANGE");
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    let nextOffset = offset;
    for (const batch of this.batches) {
      if (batchNextOffset(batch) <= offset || batchNextOffset(batch) > endOffset) continue;
      if (bytes + batch.length > maxBytes && !(minOneBatch && chunks.length === 0)) break;
      chunks.push(batch);
      bytes += batch.length;
      nextOffset = batchNextOffset(batch);
    }
    return { records: Buffer.concat(chunks), nextOffset };
  }

  /** Batches of one record each, whose timestamp is their time. */
  async findByTimestamp(timestampMs: bigint, endOffset: number): Promise<TimestampedOffset | null> {
    await Promise.resolve();
    const batch = this.batches.find(
      (each) => batchNextOffset(each) <= endOffset && timestampOf(each) >= timestampMs,
    );
    return batch === undefined ? null : place(batch);
  }

  async findMaxTimestamp(endOffset: number): Promise<TimestampedOffset | null> {
    await Promise.resolve();
    const visible = this.batches.filter((each) => batchNextOffset(each) <= endOffset);
    const [first] = visible.toSorted((a, b) => Number(timestampOf(b) - timestampOf(a)));
    return first === undefined ? null : place(first);
  }

  leaderEpochAt(offset: number): number {
    const batch = this.batches.find((each) => batchNextOffset(each) > offset);
    return batch === undefined ? -1 : batchLeaderEpoch(batch);
  }

  endOffsetForEpoch(epoch: number): { leaderEpoch: number; endOffset: number } {
    const last = this.batches.findLast((each) => batchLeaderEpoch(each) <= epoch);
    return last === undefined
      ? { leaderEpoch: -1, endOffset: -1 }
      : { leaderEpoch: batchLeaderEpoch(last), endOffset: batchNextOffset(last) };
  }

  get latestLeaderEpoch(): number {
    return this.batches.reduce((epoch, each) => Math.max(epoch, batchLeaderEpoch(each)), -1);
  }

  producerEntries(): readonly ProducerSnapshotEntry[] {
    return this.producers;
  }

  firstUnstableOffset(): number | null {
    return this.unstableOffset;
  }

  async abortedTransactions(startOffset: number, endOffset: number) {
    await Promise.resolve();
    return this.aborted.filter(
      ({ firstOffset, lastOffset }) => firstOffset < endOffset && lastOffset >= startOffset,
    );
  }

  async advanceLogStartOffset(offset: number): Promise<void> {
    this.logStartOffset = Math.max(this.logStartOffset, offset);
    await this.startGate;
  }

  /** There was no room; and there is again, but what was not safe is gone. */
  heal(): void {
    this.failure = null;
    const lost = this.batches.findIndex((each) => batchNextOffset(each) > this.safeEndOffset);
    if (lost >= 0) this.batches.splice(lost);
    this.#listener?.onHealed?.();
  }

  /** All that was appended, or all below `endOffset`, is now safe (R4). */
  makeSafe(endOffset = this.logEndOffset): void {
    this.safeEndOffset = endOffset;
    this.#listener?.onAdvance();
  }

  fail(): void {
    this.failure = new DiskError("EIO", "/data/t-0/00000000000000000000.log", "fdatasync");
    this.#listener?.onFailure(this.failure);
  }
}

/** Keeps FakeLogs by name; what was deleted stays deleted. */
export class FakeLogStore implements LogStore {
  readonly logs = new Map<string, FakeLog>();
  readonly deleted: string[] = [];
  readonly checkpoint = new Map<string, number>();
  /** Opening fails with this. */
  openError: Error | null = null;
  /** Opening waits for this. */
  gate: Promise<void> = Promise.resolve();
  /** Noting a log's start waits for this. */
  checkpointGate: Promise<void> = Promise.resolve();
  readonly checkpointedStarts: number[] = [];
  highWatermark: (topic: string, partitionIndex: number) => number | undefined = noop;

  async openLog(id: { topic: string; partitionIndex: number }): Promise<FakeLog> {
    await this.gate;
    if (this.openError !== null) throw this.openError;
    const log = this.logs.get(`${id.topic}-${id.partitionIndex}`) ?? new FakeLog();
    this.logs.set(`${id.topic}-${id.partitionIndex}`, log);
    return log;
  }

  async checkpointLogStart(log: PartitionLog): Promise<void> {
    await this.checkpointGate;
    this.checkpointedStarts.push(log.logStartOffset);
  }

  readonly recoveryPointsOf: PartitionLog[] = [];

  async checkpointRecoveryPoint(log: PartitionLog): Promise<void> {
    await this.checkpointGate;
    this.recoveryPointsOf.push(log);
  }

  async deleteLog(topic: string, partitionIndex: number): Promise<void> {
    await Promise.resolve();
    this.deleted.push(`${topic}-${partitionIndex}`);
    this.logs.delete(`${topic}-${partitionIndex}`);
  }

  checkpointedHighWatermark(topic: string, partitionIndex: number): number | undefined {
    return this.checkpoint.get(`${topic}-${partitionIndex}`);
  }

  setHighWatermarkSource(
    source: (topic: string, partitionIndex: number) => number | undefined,
  ): void {
    this.highWatermark = source;
  }

  log(topic: string, partitionIndex: number): FakeLog {
    return this.logs.get(`${topic}-${partitionIndex}`)!;
  }
}

/** A node with a manual clock and fake logs. */
export class Node {
  readonly clock = new ManualClock();
  readonly logs = new FakeLogStore();
  readonly replicas = new ReplicaManager({
    clock: this.clock,
    logger: SILENT_LOGGER,
    logs: this.logs,
    nodeId: 1,
  });
  /** Of batches that need no opening. */
  readonly clientBatches = new ClientBatches({ clock: this.clock, offload: NO_OFFLOAD });

  /** Nobody leads elsewhere. */
  leaderOf(): null {
    return null;
  }

  lead(assignment: Partial<LeaderAssignment> = {}): Promise<Partition> {
    return this.replicas.becomeLeader(assignmentOf(assignment));
  }

  log(topic = "t", partitionIndex = 0): FakeLog {
    return this.logs.log(topic, partitionIndex);
  }
}

export function assignmentOf(assignment: Partial<LeaderAssignment> = {}): LeaderAssignment {
  return {
    topic: "t",
    partitionIndex: 0,
    topicId: TOPIC_ID,
    leaderEpoch: 3,
    partitionEpoch: 0,
    replicas: [1],
    isr: [1],
    isElectableElsewhere: false,
    config: LOG_CONFIG,
    minInsyncReplicas: 1,
    ...assignment,
  };
}

/** A leader that has a lease and waits for nobody. */
export function leaderContext(context: Partial<LeaderContext> = {}): LeaderContext {
  return {
    nodeId: 1,
    nowMs: () => 0,
    holdsLease: () => true,
    onHeldBack: noop,
    onIsrNews: noop,
    ...context,
  };
}

/** A batch as a client sends it. */
export function batch(
  count = 1,
  options: Partial<NewBatch> & { valueBytes?: number } = {},
): Buffer {
  const value = Buffer.alloc(options.valueBytes ?? 10, 0x61);
  return buildBatch({
    records: Array.from({ length: count }, () => ({ key: null, value })),
    timestampMs: 1_000,
    ...options,
  });
}

/** Lets all promises that can settle now do so, also those behind a few turns of the loop. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** What has become of a promise by now. */
export async function stateOf(promise: Promise<unknown>): Promise<string> {
  let state = "pending";
  promise.then(
    () => (state = "resolved"),
    (error: unknown) => (state = error instanceof KafkaError ? error.errorName : String(error)),
  );
  await settle();
  return state;
}

function timestampOf(bytes: Buffer): bigint {
  return bytes.readBigInt64BE(35);
}

function place(bytes: Buffer): TimestampedOffset {
  return {
    offset: batchLastOffset(bytes) - batchRecordCount(bytes) + 1,
    timestampMs: Number(timestampOf(bytes)),
    leaderEpoch: batchLeaderEpoch(bytes),
  };
}

function noop(): undefined {
  return undefined;
}
