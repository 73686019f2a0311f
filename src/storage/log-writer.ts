import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { DiskError } from "../base/disk.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { KafkaError } from "../protocol/errors.ts";
import { FlushPolicy } from "./flush-policy.ts";
import type { LogConfig } from "./log-config.ts";
import type { Segment } from "./segment.ts";

export interface LogWriterDependencies {
  readonly clock: Clock;
  readonly timers: TimerQueue;
  /** Makes the log's other files durable; resolves to whether names have changed by it. */
  readonly syncFiles: () => Promise<boolean>;
  /** Makes the names of the log's files durable. */
  readonly syncNames: () => Promise<void>;
  readonly onAdvance: () => void;
  readonly onFailure: (error: DiskError) => void;
}

/** Batches that go to one segment, one after the other: one `writev`. */
interface Run {
  readonly segment: Segment;
  readonly buffers: Buffer[];
  readonly batchEnds: number[];
  byteCount: number;
}

interface FlushWaiter {
  readonly endOffset: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The one writer of a log's files. Batches that were queued in one turn of the event loop, or while
 * a write was running, leave in one `writev`; syncs run beside the writes, and one sync covers all
 * that was written before it began (group commit). A failed write or sync is final (R9, S8).
 */
export class LogWriter {
  readonly #dependencies: LogWriterDependencies;
  readonly #policy: FlushPolicy;
  /** Segments that are not finished, oldest first; the last one is active. */
  readonly #segments: Segment[];
  #queue: Run[] = [];
  #isPumping = false;
  #isFlushing = false;
  #isFlushWanted = false;
  /** The parts of the last sync, which outlive it when one of them fails. */
  #syncing: Promise<unknown> | null = null;
  #flushTimer: Timer | null = null;
  #waiters: FlushWaiter[] = [];
  #idleWaiters: (() => void)[] = [];
  #failure: DiskError | null = null;
  /** What went wrong that no disk is to blame for: nothing that was begun can be trusted after it. */
  #bug: { readonly error: unknown } | null = null;
  #isStopped = false;
  /** Files were made whose names no sync has covered. */
  #hasNewNames: boolean;

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
    this.#policy = new FlushPolicy(options.config, options.endOffset);
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

  get failure(): DiskError | null {
    return this.#failure;
  }

  updateConfig(config: LogConfig): void {
    this.#policy.update(config);
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
    if (this.#isPumping) return;
    this.#isPumping = true;
    // After the poll all requests that have arrived in this turn are in the queue.
    this.#dependencies.clock.afterPoll(() => void this.#pump());
  }

  /** Resolves when all below the offset is durable. Throws KafkaError KAFKA_STORAGE_ERROR. */
  flush(endOffset: number): Promise<void> {
    if (this.#failure !== null) return Promise.reject(storageError(this.#failure));
    assert(this.#bug === null, "a writer that met a bug flushes nothing");
    if (this.flushedEndOffset >= endOffset) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ endOffset, resolve, reject });
      this.#requestFlush();
    });
  }

  /**
   * Resolves when all that was queued is written, synced and finished, and nothing runs any more; or
   * when the writer has failed. Nothing may be queued meanwhile. Throws the bug that has stopped it:
   * what it left half done must not be called an orderly end.
   */
  async settle(): Promise<void> {
    while (!this.#isStopped && !this.#isSettled) {
      const isUnflushed = this.writtenEndOffset > this.flushedEndOffset || this.#isDirty;
      if (isUnflushed && !this.#isFlushing) this.#requestFlush();
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
    if (this.#bug !== null) throw this.#bug.error;
  }

  /** Nothing more is written: the log is closed, its directory is offline, or its disk has failed. */
  fail(error: DiskError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.stop();
    this.#refuseWaiters(storageError(error));
    this.#dependencies.onFailure(error);
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake();
    this.#queue = [];
    this.#flushTimer?.cancel();
    this.#flushTimer = null;
  }

  /** After `stop`: resolves when no write or sync of ours can reach the disk any more. */
  async quiet(): Promise<void> {
    while (this.#isPumping || this.#isFlushing) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
    await this.#syncing;
  }

  async #pump(): Promise<void> {
    try {
      for (;;) {
        const run = this.#queue.shift();
        if (run === undefined) break;
        if (!run.segment.isCreated) await this.#createSegment(run.segment);
        if (this.#hasEnded()) break;
        await run.segment.write(run.buffers, run.byteCount);
        if (this.#hasEnded()) break;
        this.#afterWrite(run);
      }
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isPumping = false;
      this.#wake();
    }
  }

  async #createSegment(segment: Segment): Promise<void> {
    await segment.create();
    this.#hasNewNames = true;
    // The one before takes no more: it is finished beside the writes to this one.
    if (this.#segments.length > 1) this.#requestFlush();
  }

  #afterWrite(run: Run): void {
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
    if (this.#isFlushing || this.#isStopped) return;
    this.#isFlushing = true;
    void this.#runFlushes();
  }

  async #runFlushes(): Promise<void> {
    try {
      while (this.#isFlushWanted && !this.#isStopped) {
        this.#isFlushWanted = false;
        this.#flushTimer?.cancel();
        this.#flushTimer = null;
        const endOffset = this.#policy.startFlush();
        await this.#sync();
        if (this.#hasEnded()) break;
        this.#policy.flushed(endOffset);
        if (this.#policy.isFlushDue()) this.#isFlushWanted = true;
        this.#armTimer();
        this.#settleWaiters();
        this.#dependencies.onAdvance();
      }
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#isFlushing = false;
      this.#wake();
    }
  }

  /** Makes durable what is written now, and with it the names without which it would not be found. */
  async #sync(): Promise<void> {
    const dirty = this.#segments.filter((segment) => segment.needsFlush);
    const hasFinished = dirty.some((segment) => segment.isFinishable);
    const hasNewNames = this.#hasNewNames || hasFinished;
    this.#hasNewNames = false;
    const files = this.#dependencies.syncFiles();
    const segments = dirty.map((one) => (one.isFinishable ? one.finish() : one.datasync()));
    // The first failure is told at once, but what runs beside it can still reach the disk.
    this.#syncing = Promise.allSettled([files, ...segments]);
    const [isRenamed] = await Promise.all([files, ...segments]);
    if (hasNewNames || isRenamed) await this.#dependencies.syncNames();
    if (hasFinished) {
      const rest = this.#segments.filter((segment) => segment.state !== "inactive");
      this.#segments.splice(0, this.#segments.length, ...rest);
    }
  }

  get #isSettled(): boolean {
    const isIdle = !this.#isPumping && !this.#isFlushing;
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
    const { flushedEndOffset } = this;
    const ready = this.#waiters.filter((waiter) => waiter.endOffset <= flushedEndOffset);
    if (ready.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.endOffset > flushedEndOffset);
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
    this.stop();
    this.#refuseWaiters(error);
    throw error;
  }
}

function storageError(cause: DiskError): KafkaError {
  return new KafkaError("KAFKA_STORAGE_ERROR", `the disk has failed: ${cause.message}`, { cause });
}
