import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { DiskError, isOutOfSpace } from "../base/disk.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { KafkaError } from "../protocol/errors.ts";
import { FlushPolicy } from "./flush-policy.ts";
import type { LogConfig } from "./log-config.ts";
import type { Segment } from "./segment.ts";

export interface LogWriterDependencies {
  readonly clock: Clock;
  readonly timers: TimerQueue;
  /** Whether the log's other files lag behind what is in memory. */
  readonly hasDirtyFiles: () => boolean;
  /** Makes them durable; resolves to whether names have changed by it. */
  readonly syncFiles: () => Promise<boolean>;
  /** Makes the names of the log's files durable. */
  readonly syncNames: () => Promise<void>;
  readonly onAdvance: () => void;
  readonly onFailure: (error: DiskError) => void;
}

/**
 * Syncs of batches alone that may be under way at once. With one, a producer whose requests wait for it
 * would have only every other sync work for it.
 */
const MAX_SYNCS = 2;

/** A sync of more than that takes so long that zeros would cost what they save. */
const MAX_RUN_OVER_ZEROS = 128 * 1024;

/** Batches that go to one segment, one after the other: one `writev`. */
interface Run {
  readonly segment: Segment;
  readonly buffers: Buffer[];
  readonly batchEnds: number[];
  byteCount: number;
}

interface FlushWaiter {
  readonly isDone: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The one writer of a log's files. Batches that were queued in one turn of the event loop, or while
 * a write was running, leave in one `writev`; syncs run beside the writes and beside each other, and one
 * sync covers all that was written before it began (group commit). It counts when those that began
 * before it have succeeded, too. A failed write or sync is final (R9, S8).
 */
export class LogWriter {
  readonly #dependencies: LogWriterDependencies;
  readonly #policy: FlushPolicy;
  /** Up to where a segment has zeros ahead of its batches; 0: none are written. */
  #preallocatedBytes: number;
  /** Segments that are not finished, oldest first; the last one is active. */
  readonly #segments: Segment[];
  #queue: Run[] = [];
  /** Taken, written and made durable since this writer began. */
  #takenBytes = 0;
  #writtenBytes = 0;
  #flushedBytes = 0;
  #isPumping = false;
  #isFlushWanted = false;
  /** Flushes under way; more than one only of batches alone. */
  #flushCount = 0;
  #isFlushOfBatches = false;
  /** The flush that was begun last. */
  #lastFlush: Promise<void> = Promise.resolve();
  #flushTimer: Timer | null = null;
  #waiters: FlushWaiter[] = [];
  #idleWaiters: (() => void)[] = [];
  #failure: DiskError | null = null;
  /** What went wrong that no disk is to blame for: nothing that was begun can be trusted after it. */
  #bug: { readonly error: unknown } | null = null;
  #isStopped = false;
  /** Files were made whose names no sync has covered. */
  #hasNewNames: boolean;
  /** The segments among them. */
  readonly #unnamed = new Set<Segment>();

  constructor(
    dependencies: LogWriterDependencies,
    options: {
      readonly segment: Segment;
      readonly endOffset: number;
      /** Durable for certain: what lies above it must be synced before it counts. */
      readonly flushedEndOffset: number;
      /** Files exist whose names may not be durable. */
      readonly hasNewNames: boolean;
      readonly config: LogConfig;
    },
  ) {
    this.#dependencies = dependencies;
    this.#segments = [options.segment];
    this.#hasNewNames = options.hasNewNames;
    if (options.hasNewNames && options.segment.isCreated) this.#unnamed.add(options.segment);
    this.#policy = new FlushPolicy(options.config, options.endOffset);
    this.#preallocatedBytes = preallocatedBytes(options.config);
    this.#policy.distrustFrom(options.flushedEndOffset, dependencies.clock.nowMs());
  }

  get writtenEndOffset(): number {
    return this.#policy.writtenEndOffset;
  }

  get flushedEndOffset(): number {
    return this.#policy.flushedEndOffset;
  }

  get safeEndOffset(): number {
    return this.#policy.safeEndOffset(this.#dependencies.clock.nowMs());
  }

  /** Of the batches that were taken and that no sync has covered yet. */
  get unsyncedBytes(): number {
    return this.#takenBytes - this.#flushedBytes;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  get failure(): DiskError | null {
    return this.#failure;
  }

  updateConfig(config: LogConfig): void {
    this.#policy.update(config);
    this.#preallocatedBytes = preallocatedBytes(config);
    this.#flushTimer?.cancel();
    this.#flushTimer = null;
    // The new policy may be stricter than what is written now; the borders are known after a sync.
    if (this.writtenEndOffset > this.flushedEndOffset) this.#requestFlush();
  }

  /** Queues the batch; it is written, as it lies, after all that were queued before. */
  write(segment: Segment, batch: Buffer, endOffset: number): void {
    assert(!this.#isStopped, "a writer that was stopped takes no batches");
    let run = this.#queue.at(-1);
    if (run?.segment !== segment) {
      run = { segment, buffers: [], batchEnds: [], byteCount: 0 };
      this.#queue.push(run);
      if (this.#segments.at(-1) !== segment) this.#segments.push(segment);
    }
    run.buffers.push(batch);
    run.batchEnds.push(endOffset);
    run.byteCount += batch.length;
    this.#takenBytes += batch.length;
    this.#startPump();
  }

  /** Makes the file of a segment that has no batches yet, after all that were queued before. */
  begin(segment: Segment): void {
    assert(!this.#isStopped, "a writer that was stopped makes no files");
    this.#queue.push({ segment, buffers: [], batchEnds: [], byteCount: 0 });
    this.#segments.push(segment);
    this.#startPump();
  }

  /** Resolves when the segment's file exists under a durable name. Throws KafkaError. */
  nameDurably(segment: Segment): Promise<void> {
    return this.#waitFor(() => segment.isCreated && !this.#unnamed.has(segment));
  }

  /** Resolves when all below the offset is durable. Throws KafkaError KAFKA_STORAGE_ERROR. */
  flush(endOffset: number): Promise<void> {
    return this.#waitFor(() => this.flushedEndOffset >= endOffset);
  }

  #waitFor(isDone: () => boolean): Promise<void> {
    if (this.#failure !== null) return Promise.reject(storageError(this.#failure));
    assert(this.#bug === null, "a writer that met a bug flushes nothing");
    if (isDone()) return Promise.resolve();
    if (this.#isStopped) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      this.#waiters.push({ isDone, resolve, reject });
      this.#requestFlush();
    });
  }

  /** What lies from the offset on is about to be cut off: it no longer counts as durable. */
  distrustFrom(endOffset: number): void {
    this.#policy.distrustFrom(endOffset, this.#dependencies.clock.nowMs());
  }

  /**
   * Resolves when all that was queued is written, synced and finished, and nothing runs any more; or
   * when the writer has failed. Nothing may be queued meanwhile. Throws the bug that has stopped it:
   * what it left half done must not be called an orderly end.
   */
  async settle(): Promise<void> {
    while (!this.#isStopped && !this.#isSettled) {
      const isUnflushed = this.writtenEndOffset > this.flushedEndOffset || this.#isDirty;
      if (isUnflushed && this.#flushCount === 0) this.#requestFlush();
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
    if (this.#bug !== null) throw this.#bug.error;
  }

  /** Nothing more is written: the log is closed, its directory is offline, or its disk has failed. */
  fail(error: DiskError): void {
    // A failure that could have healed gives way to one that cannot.
    const isWorse = this.#failure !== null && isOutOfSpace(this.#failure) && !isOutOfSpace(error);
    if (this.#failure !== null && !isWorse) return;
    this.#failure = error;
    this.#refuseWaiters(storageError(error));
    this.stop();
    this.#dependencies.onFailure(error);
  }

  /** Nothing more is written or synced; who waits for a flush is refused. */
  stop(): void {
    this.#isStopped = true;
    this.#refuseWaiters(closedError());
    this.#wake();
    this.#queue = [];
    this.#flushTimer?.cancel();
    this.#flushTimer = null;
  }

  /** After `stop`: resolves when no write or sync of ours can reach the disk any more. */
  async quiet(): Promise<void> {
    while (this.#isPumping || this.#flushCount > 0) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
  }

  #startPump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    // After the poll all requests that have arrived in this turn are in the queue.
    this.#dependencies.clock.afterPoll(() => void this.#pump());
  }

  async #pump(): Promise<void> {
    try {
      for (;;) {
        const run = this.#queue.shift();
        if (run === undefined) break;
        if (!run.segment.isCreated) await this.#createSegment(run.segment);
        if (this.#hasEnded()) break;
        if (run.byteCount === 0) continue;
        await run.segment.write(run.buffers, run.byteCount);
        if (this.#hasEnded()) break;
        this.#afterWrite(run);
        if (this.#preallocatedBytes > 0 && run.byteCount <= MAX_RUN_OVER_ZEROS) {
          await run.segment.preallocate(this.#preallocatedBytes);
          if (this.#hasEnded()) break;
        }
      }
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isPumping = false;
      this.#wake();
    }
  }

  async #createSegment(segment: Segment): Promise<void> {
    // Names become durable in any order: a log must not begin in its middle after a power cut, nor lie
    // in a directory that is not known to be its own.
    if (this.#hasNewNames || this.#unnamed.size > 0) await this.#nameAll();
    // What ends in zeros is not followed: the death of the process would leave a log with a hole (R1).
    for (const before of this.#segments) if (before !== segment) await before.trim();
    if (this.#hasEnded()) return;
    await segment.create();
    this.#hasNewNames = true;
    this.#unnamed.add(segment);
    // The one before takes no more: it is finished beside the writes to this one.
    if (this.#segments.length > 1 || this.#waiters.length > 0) this.#requestFlush();
  }

  async #nameAll(): Promise<void> {
    const unnamed = [...this.#unnamed];
    this.#hasNewNames = false;
    await this.#dependencies.syncNames();
    for (const segment of unnamed) this.#unnamed.delete(segment);
  }

  #afterWrite(run: Run): void {
    this.#writtenBytes += run.byteCount;
    this.#policy.wrote(run.batchEnds, this.#dependencies.clock.nowMs());
    if (run.segment.hasIndexPortion) {
      run.segment.storeIndexes(false).catch((error: unknown) => {
        this.#failed(error);
      });
    }
    if (this.#waiters.length > 0 || this.#policy.isFlushDue()) this.#requestFlush();
    else this.#armTimer();
    this.#dependencies.onAdvance();
  }

  #armTimer(): void {
    const { oldestUnflushedMs, flushMs } = this.#policy;
    if (this.#flushTimer !== null || oldestUnflushedMs === null || flushMs === Infinity) return;
    const dueMs = oldestUnflushedMs + flushMs - this.#dependencies.clock.nowMs();
    this.#flushTimer = this.#dependencies.timers.after(dueMs, () => {
      this.#flushTimer = null;
      this.#requestFlush();
    });
  }

  #requestFlush(): void {
    this.#isFlushWanted = true;
    this.#startFlush();
  }

  /** Begins the flush that is wanted, if there is one and it may run beside those under way. */
  #startFlush(): void {
    if (!this.#isFlushWanted || this.#isStopped) return;
    const isOfBatches = this.#isOfBatches;
    const maxCount = isOfBatches && this.#isFlushOfBatches ? MAX_SYNCS : 1;
    if (this.#flushCount >= maxCount) return;
    this.#isFlushWanted = false;
    this.#isFlushOfBatches = isOfBatches;
    this.#flushCount += 1;
    this.#lastFlush = this.#flush(this.#lastFlush);
  }

  /** Makes durable what is written now. It counts when what began before it has ended well. */
  async #flush(before: Promise<void>): Promise<void> {
    this.#flushTimer?.cancel();
    this.#flushTimer = null;
    const endOffset = this.#policy.startFlush();
    const flushedBytes = this.#writtenBytes;
    const parts: Promise<unknown>[] = [];
    try {
      await Promise.all([before, this.#sync(parts)]);
      if (!this.#hasEnded()) this.#flushed(endOffset, flushedBytes);
    } catch (error) {
      this.#failed(error);
    } finally {
      // The first failure is told at once, but what runs beside it can still reach the disk.
      await Promise.allSettled(parts);
      this.#flushCount -= 1;
      this.#startFlush();
      this.#wake();
    }
  }

  #flushed(endOffset: number, flushedBytes: number): void {
    this.#flushedBytes = flushedBytes;
    this.#policy.flushed(endOffset);
    if (this.#policy.isFlushDue()) this.#isFlushWanted = true;
    this.#armTimer();
    this.#settleWaiters();
    this.#dependencies.onAdvance();
  }

  /** Makes durable what is written now, and with it the names without which it would not be found. */
  async #sync(parts: Promise<unknown>[]): Promise<void> {
    // There is no file yet, nor the directory: the first write makes it.
    if (!this.#segments.some((segment) => segment.isCreated)) return;
    const dirty = this.#segments.filter((segment) => segment.needsFlush);
    const hasFinished = dirty.some((segment) => segment.isFinishable);
    const hasNewNames = this.#hasNewNames || hasFinished;
    const unnamed = [...this.#unnamed];
    this.#hasNewNames = false;
    const files = this.#dependencies.syncFiles();
    const segments = dirty.map((one) => (one.isFinishable ? one.finish() : one.datasync()));
    parts.push(files, ...segments);
    const [isRenamed] = await Promise.all([files, ...segments]);
    if (hasNewNames || isRenamed) await this.#dependencies.syncNames();
    for (const segment of unnamed) this.#unnamed.delete(segment);
    if (hasFinished) {
      const rest = this.#segments.filter((segment) => segment.state !== "inactive");
      this.#segments.splice(0, this.#segments.length, ...rest);
    }
  }

  /** Whether a flush would sync the batches of one segment and nothing else. */
  get #isOfBatches(): boolean {
    const hasNames = this.#hasNewNames || this.#unnamed.size > 0;
    return this.#segments.length === 1 && !hasNames && !this.#dependencies.hasDirtyFiles();
  }

  get #isSettled(): boolean {
    const isIdle = !this.#isPumping && this.#flushCount === 0;
    return isIdle && this.#segments.length === 1 && !this.#isDirty;
  }

  get #isDirty(): boolean {
    return this.#segments.some((segment) => segment.needsFlush);
  }

  /** Something has come to its end: whoever waits for quiet looks again. */
  #wake(): void {
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }

  /** Looked up anew after every wait. */
  #hasEnded(): boolean {
    return this.#isStopped;
  }

  #settleWaiters(): void {
    const ready = this.#waiters.filter((waiter) => waiter.isDone());
    if (ready.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const waiter of ready) waiter.resolve();
  }

  #refuseWaiters(error: unknown): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }

  /** Throws what is no disk's failure but a bug: nobody waits for that throw, so the process ends. */
  #failed(error: unknown): void {
    if (error instanceof DiskError) {
      if (!this.#isStopped) this.fail(error);
      return;
    }
    this.#bug ??= { error };
    this.#refuseWaiters(error);
    this.stop();
    throw error;
  }
}

/** Only where a count asks for syncs: to others zeros bring nothing but writes. */
function preallocatedBytes({ preallocate, flushMessages, segmentBytes }: LogConfig): number {
  return preallocate && flushMessages !== Infinity ? segmentBytes : 0;
}

function storageError(cause: DiskError): KafkaError {
  return new KafkaError("KAFKA_STORAGE_ERROR", `the disk has failed: ${cause.message}`, { cause });
}

function closedError(): KafkaError {
  return new KafkaError("NOT_LEADER_OR_FOLLOWER", "the log is closed");
}
