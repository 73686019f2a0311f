import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { TimeSlice } from "../base/time-slice.ts";
import { DiskError } from "../base/disk.ts";
import { KafkaError } from "../protocol/errors.ts";
import { BATCH_OVERHEAD } from "../protocol/records/batch.ts";
import type { LogReadOptions, LogReadResult } from "../storage/log-config.ts";
import { readCommittedBatches } from "./committed-batches.ts";
import type { SnapshotHead } from "./control-records.ts";
import type { SnapshotId } from "./core/messages.ts";
import { SnapshotError } from "./snapshot-file.ts";
import type { CommittedBatch, LeaderAndEpoch, RaftAppend, RaftListener } from "./raft-client.ts";

export interface DeliveryDependencies {
  readonly clock: Clock;
  readonly read: (options: LogReadOptions) => Promise<LogReadResult>;
  /** Gives all values of the snapshot to `visit`. Throws SnapshotError, DiskError. */
  readonly readSnapshot: (
    id: SnapshotId,
    visit: (head: SnapshotHead, values: Buffer[]) => void,
  ) => Promise<SnapshotHead>;
  /** All that is committed was delivered: so many bytes since the last time. */
  readonly onDelivered: (sizeBytes: number) => void;
  /** What is committed cannot be read: the node must not go on as if it had been (K17). */
  readonly onUnreadable: (error: Error) => void;
}

/** A batch of this node's own that is not committed yet. */
interface Uncommitted {
  readonly batch: CommittedBatch;
  readonly resolve: () => void;
  readonly reject: (error: KafkaError) => void;
}

/** What one slice of the replay reads: some hundred records, about a millisecond. */
const READ_BYTES = 64 * 1024;

/**
 * Gives the listener what is committed, each batch once and in the log's order (K5, K17), and tells it of
 * a leader when all that was committed before has been given. A leader's own batches come from memory
 * and at once, all others from the log.
 */
export class Delivery {
  readonly #dependencies: DeliveryDependencies;
  /** In order of their offsets; the first begins at or above `#deliveredOffset`. */
  readonly #uncommitted: Uncommitted[] = [];
  #listener: RaftListener | null = null;
  #deliveredOffset = 0;
  #highWatermark = 0;
  /** Holds what comes next, in place of the log. */
  #snapshotId: SnapshotId | null = null;
  /** Delivered since `onDelivered` was told. */
  #newBytes = 0;
  /** Not told yet: the newest only. */
  #leader: { readonly leader: LeaderAndEpoch; afterOffset: number } | null = null;
  #failure: Error | null = null;
  #isFailureTold = false;
  #isRunning = false;
  #isClosed = false;

  constructor(dependencies: DeliveryDependencies) {
    this.#dependencies = dependencies;
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  /** How many of this node's own batches wait to be committed. */
  get uncommittedCount(): number {
    return this.#uncommitted.length;
  }

  /** A batch of this node's own is being appended. */
  expect(batch: CommittedBatch): RaftAppend {
    const committed = new Promise<void>((resolve, reject) => {
      this.#uncommitted.push({ batch, resolve, reject });
    });
    const { baseOffset, lastOffset } = batch;
    return { baseOffset, lastOffset, committed };
  }

  /** All below is committed. Below what is known already nothing changes (K9). */
  commit(highWatermark: number): void {
    this.#highWatermark = Math.max(this.#highWatermark, highWatermark);
  }

  /** The log begins at the end of the snapshot from now on, and what is in it is committed. */
  beginAt(id: SnapshotId): void {
    if (id.endOffset > this.#deliveredOffset) this.#snapshotId = id;
  }

  /** Told when all below `afterOffset` has been delivered; one that was not told yet is forgotten. */
  leaderChange(leader: LeaderAndEpoch, afterOffset: number): void {
    this.#leader = { leader, afterOffset };
  }

  /** This node leads no longer: who waits for what it has appended will not learn here what became of it. */
  leadershipLost(): void {
    const error = new KafkaError(
      "NOT_CONTROLLER",
      "this node leads the metadata log no longer; the change may survive",
    );
    // What is committed already is only waiting for its turn.
    for (const { reject } of this.#uncommitted.splice(this.#committedCount)) reject(error);
  }

  /** The log has failed: nothing is delivered before `resume`, and then from the log. */
  fail(error: Error): void {
    this.#failure = error;
    this.#rejectAll(logFailed(error));
    this.#tellFailure();
  }

  resume(): void {
    this.#failure = null;
  }

  /** Delivers what is committed now, and then all that `run` finds. Throws as the reads do. */
  async start(listener: RaftListener): Promise<void> {
    assert(this.#listener === null, "the log is delivered once");
    this.#listener = listener;
    this.#isRunning = true;
    try {
      await this.#deliverFromDisk(listener);
    } finally {
      this.#isRunning = false;
    }
    this.#tellFailure();
    this.run();
  }

  /** To be called when something has changed, and never from inside a step of the core. */
  run(): void {
    const listener = this.#listener;
    if (listener === null) {
      // Whoever starts to listen is given it from the log.
      this.#takeCommitted();
      return;
    }
    // The listener appends from inside its calls.
    if (this.#isRunning || this.#isHalted) return;
    this.#isRunning = true;
    this.#deliverOwn(listener);
    if (this.#isSnapshotNext || this.#deliveredOffset < this.#storedEndOffset) {
      void this.#runFromDisk(listener);
      return;
    }
    this.#isRunning = false;
    this.#tellDelivered();
    if (this.#maybeTellLeader(listener)) this.run();
  }

  close(): void {
    this.#isClosed = true;
    this.#rejectAll(new KafkaError("NOT_CONTROLLER", "the node is shutting down"));
  }

  get #isHalted(): boolean {
    return this.#failure !== null || this.#isClosed;
  }

  get #isSnapshotNext(): boolean {
    return this.#snapshotId !== null && this.#highWatermark >= this.#snapshotId.endOffset;
  }

  /** Up to where only the log has what is to be delivered. */
  get #storedEndOffset(): number {
    // What a snapshot holds is in the log no longer.
    if (this.#snapshotId !== null) return this.#deliveredOffset;
    const ownOffset = this.#uncommitted[0]?.batch.baseOffset ?? Infinity;
    return Math.min(this.#highWatermark, ownOffset);
  }

  #deliverOwn(listener: RaftListener): void {
    while (this.#uncommitted[0]?.batch.baseOffset === this.#deliveredOffset) {
      const done = this.#takeCommitted();
      const last = done.at(-1);
      if (last === undefined) return;
      this.#deliveredOffset = last.lastOffset + 1;
      for (const { records } of done) this.#newBytes += sizeOf(records);
      listener.onCommitted(done);
    }
  }

  /** Takes this node's own batches that are committed from the list; who waits for one goes on later. */
  #takeCommitted(): CommittedBatch[] {
    const done = this.#uncommitted.splice(0, this.#committedCount);
    for (const { resolve } of done) resolve();
    return done.map(({ batch }) => batch);
  }

  get #committedCount(): number {
    const count = this.#uncommitted.findIndex(
      ({ batch }) => batch.lastOffset >= this.#highWatermark,
    );
    return count === -1 ? this.#uncommitted.length : count;
  }

  #rejectAll(error: KafkaError): void {
    for (const { reject } of this.#uncommitted.splice(0)) reject(error);
  }

  async #runFromDisk(listener: RaftListener): Promise<void> {
    const fromOffset = this.#deliveredOffset;
    try {
      await this.#deliverFromDisk(listener);
    } catch (error) {
      const isOfDisk = error instanceof KafkaError || error instanceof DiskError;
      if (!isOfDisk && !(error instanceof SnapshotError)) throw error;
      if (!this.#isHalted) this.#dependencies.onUnreadable(error);
      return;
    } finally {
      this.#isRunning = false;
    }
    // What is not written yet is read when it is.
    if (this.#deliveredOffset > fromOffset || this.#isSnapshotNext) this.run();
  }

  async #deliverFromDisk(listener: RaftListener): Promise<void> {
    if (this.#snapshotId !== null && this.#isSnapshotNext) {
      await this.#deliverSnapshot(listener, this.#snapshotId);
    }
    await this.#deliverStored(listener);
  }

  async #deliverSnapshot(listener: RaftListener, id: SnapshotId): Promise<void> {
    const { endOffset, epoch: leaderEpoch } = id;
    const given = { isFirst: true };
    const give = ({ timestampMs }: SnapshotHead, records: Buffer[], isLast: boolean): void => {
      assert(listener.onSnapshot !== undefined, "a listener of a log with snapshots takes them");
      const { isFirst } = given;
      given.isFirst = false;
      listener.onSnapshot({ endOffset, leaderEpoch, timestampMs, records, isFirst, isLast });
    };
    const head = await this.#dependencies.readSnapshot(id, (...part) => give(...part, false));
    give(head, [], true);
    this.#deliveredOffset = endOffset;
    if (this.#snapshotId === id) this.#snapshotId = null;
  }

  /** In slices, so that nothing else waits for long. */
  async #deliverStored(listener: RaftListener): Promise<void> {
    const { clock } = this.#dependencies;
    const timeSlice = new TimeSlice(clock);
    while (!this.#isHalted && this.#deliveredOffset < this.#storedEndOffset) {
      const slice = await this.#readSlice();
      if (slice.nextOffset === this.#deliveredOffset) return;
      this.#deliveredOffset = slice.nextOffset;
      this.#newBytes += slice.records.length;
      listener.onCommitted(readCommittedBatches(slice.records));
      if (timeSlice.isOver) await timeSlice.next();
    }
  }

  async #readSlice(): Promise<{ readonly records: Buffer; readonly nextOffset: number }> {
    const offset = this.#deliveredOffset;
    const endOffset = this.#storedEndOffset;
    try {
      const { read } = this.#dependencies;
      return await read({ offset, endOffset, maxBytes: READ_BYTES, minOneBatch: true });
    } catch (error) {
      // The log was emptied meanwhile, to begin at a snapshot that holds what was to be read.
      const isEmptied = error instanceof KafkaError && error.errorName === "OFFSET_OUT_OF_RANGE";
      if (!isEmptied || this.#snapshotId === null) throw error;
      return { records: Buffer.alloc(0), nextOffset: offset };
    }
  }

  #tellDelivered(): void {
    if (this.#newBytes === 0) return;
    const sizeBytes = this.#newBytes;
    this.#newBytes = 0;
    this.#dependencies.onDelivered(sizeBytes);
  }

  #maybeTellLeader(listener: RaftListener): boolean {
    const change = this.#leader;
    if (change === null || this.#deliveredOffset < change.afterOffset) return false;
    this.#leader = null;
    this.#isFailureTold = false;
    listener.onLeaderChange(change.leader);
    return true;
  }

  /** Once for each time that the log fails: after one that has healed it may fail again. */
  #tellFailure(): void {
    if (this.#listener === null || this.#failure === null || this.#isFailureTold) return;
    this.#isFailureTold = true;
    this.#listener.onFailure(this.#failure);
  }
}

/** About what a batch of these takes in the log. */
function sizeOf(records: readonly Buffer[]): number {
  return records.reduce((sum, { length }) => sum + length, BATCH_OVERHEAD);
}

export function logFailed(cause: Error): KafkaError {
  return new KafkaError("KAFKA_STORAGE_ERROR", "the metadata log has failed", { cause });
}
