import type { Timer } from "../base/clock.ts";
import { must } from "../base/assert.ts";
import { KafkaError } from "../protocol/errors.ts";

/** Waits until a mark of a partition (safe position, high watermark) reaches `endOffset`. */
export interface AckWaiter {
  readonly endOffset: number;
  /** Called once. null: the mark is there; else it never will be, as far as this waiter goes. */
  settle(refusal: KafkaError | null): void;
}

/**
 * Waiters of one mark, sorted by the offset that they wait for: an advance wakes all that it
 * satisfies by looking at those alone. Appends arrive in order, so that adding is a push; only a
 * repeat of an idempotent batch (X2) is inserted further in front.
 */
export class AckQueue {
  readonly #waiters: AckWaiter[] = [];

  get length(): number {
    return this.#waiters.length;
  }

  add(waiter: AckWaiter): void {
    const last = this.#waiters.at(-1);
    if (last === undefined || last.endOffset <= waiter.endOffset) {
      this.#waiters.push(waiter);
    } else {
      this.#waiters.splice(this.#countUpTo(waiter.endOffset), 0, waiter);
    }
  }

  /** Forgets a waiter that has given up; it is not called any more. */
  remove(waiter: AckWaiter): void {
    const index = this.#waiters.lastIndexOf(waiter);
    if (index >= 0) this.#waiters.splice(index, 1);
  }

  /** Whether anybody waits for no more than that. */
  isDue(endOffset: number): boolean {
    const first = this.#waiters[0];
    return first !== undefined && first.endOffset <= endOffset;
  }

  /** The mark has reached `endOffset`. */
  release(endOffset: number): void {
    if (!this.isDue(endOffset)) return;
    const released = this.#waiters.splice(0, this.#countUpTo(endOffset));
    for (const waiter of released) waiter.settle(null);
  }

  /** The mark will move no more. */
  refuse(refusal: KafkaError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.settle(refusal);
  }

  /** How many wait for `endOffset` or less. */
  #countUpTo(endOffset: number): number {
    let low = 0;
    let high = this.#waiters.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (must(this.#waiters[middle], "middle is inside").endOffset <= endOffset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Where the acks of a request come from: a partition that this replica leads. */
export interface AckSource {
  awaitAck(waiter: AckWaiter, requiredAcks: RequiredAcks): void;
  forgetAck(waiter: AckWaiter): void;
}

/** -1 (all): the high watermark; 1 and 0: the leader's own safe position (R4). */
export type RequiredAcks = -1 | 0 | 1;

/** One partition's ack within an AckGroup. */
export interface PendingAck extends AckWaiter {
  /** Why the append must not be acknowledged; null: it may be. Read it when the group is done. */
  readonly refusal: KafkaError | null;
}

/** A parked request, as Deadlines sees it. */
export interface Expirable {
  /** Called at most once, in an event of its own. */
  expire(): void;
}

/** All acks that one Produce request waits for; it is answered when the last has come, or in time. */
export class AckGroup implements Expirable {
  readonly #acks: GroupAck[] = [];
  #pendingCount = 0;
  #resolve: (() => void) | null = null;
  #deadline: Deadline | null = null;

  /** Waits for the partition's mark too. Before `wait`. */
  add(source: AckSource, endOffset: number, requiredAcks: RequiredAcks): PendingAck {
    const ack = new GroupAck(this, source, endOffset);
    this.#acks.push(ack);
    this.#pendingCount += 1;
    source.awaitAck(ack, requiredAcks);
    return ack;
  }

  /**
   * Resolves when every ack is settled. Those that are not after `timeoutMs` are refused with
   * REQUEST_TIMED_OUT: the records stay in the log, and may yet be committed.
   */
  wait(deadlines: Deadlines, timeoutMs: number): Promise<void> {
    if (this.#pendingCount === 0) return Promise.resolve();
    this.#deadline = deadlines.add(timeoutMs, this);
    return this.#settled();
  }

  /** As `wait`, for a request that has no deadline. */
  waitForever(): Promise<void> {
    return this.#pendingCount === 0 ? Promise.resolve() : this.#settled();
  }

  expire(): void {
    const refusal = new KafkaError("REQUEST_TIMED_OUT");
    for (const ack of this.#acks) {
      if (ack.isSettled) continue;
      ack.source.forgetAck(ack);
      ack.settle(refusal);
    }
  }

  /** Only its own acks call it. */
  onSettled(): void {
    this.#pendingCount -= 1;
    if (this.#pendingCount > 0) return;
    this.#deadline?.cancel();
    this.#resolve?.();
  }

  #settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
}

class GroupAck implements PendingAck {
  readonly endOffset: number;
  readonly source: AckSource;
  readonly #group: AckGroup;
  isSettled = false;
  refusal: KafkaError | null = null;

  constructor(group: AckGroup, source: AckSource, endOffset: number) {
    this.#group = group;
    this.source = source;
    this.endOffset = endOffset;
  }

  settle(refusal: KafkaError | null): void {
    this.isSettled = true;
    this.refusal = refusal;
    this.#group.onSettled();
  }
}

/** A place in Deadlines. */
export interface Deadline {
  cancel(): void;
}

/** What Deadlines needs of a clock or a timer queue. */
export interface DeadlineTimers {
  after(delayMs: number, callback: () => void): Timer;
}

/** The longest that a request is parked, whatever it asks for: bounds the number of buckets. */
export const MAX_PARKED_MS = 600_000;

/**
 * Deadlines of parked requests. Nearly all requests are answered long before, thousands a second, so
 * a deadline costs one entry of a Set and leaves nothing behind when it is cancelled; a timer belongs
 * to a whole bucket. A request expires up to `granularityMs` late, never early.
 */
export class Deadlines {
  readonly #clock: { nowMs(): number };
  readonly #timers: DeadlineTimers;
  readonly #granularityMs: number;
  readonly #buckets = new Map<number, Bucket>();

  constructor(
    dependencies: { readonly clock: { nowMs(): number }; readonly timers: DeadlineTimers },
    options: { readonly granularityMs: number },
  ) {
    this.#clock = dependencies.clock;
    this.#timers = dependencies.timers;
    this.#granularityMs = options.granularityMs;
  }

  /** How many requests are parked. */
  get parkedCount(): number {
    let count = 0;
    for (const bucket of this.#buckets.values()) count += bucket.size;
    return count;
  }

  /** Expires `parked` in `delayMs` (at most MAX_PARKED_MS) or a little more, unless cancelled before. */
  add(delayMs: number, parked: Expirable): Deadline {
    const nowMs = this.#clock.nowMs();
    const dueMs = nowMs + Math.min(Math.max(0, delayMs), MAX_PARKED_MS);
    const index = Math.ceil(dueMs / this.#granularityMs);
    let bucket = this.#buckets.get(index);
    if (bucket === undefined) {
      bucket = new Set();
      this.#buckets.set(index, bucket);
      this.#timers.after(index * this.#granularityMs - nowMs, () => this.#expire(index));
    }
    return new BucketEntry(bucket, parked);
  }

  #expire(index: number): void {
    const bucket = must(this.#buckets.get(index), "a bucket lives until its timer runs");
    this.#buckets.delete(index);
    for (const entry of bucket) entry.parked.expire();
  }
}

type Bucket = Set<BucketEntry>;

class BucketEntry implements Deadline {
  readonly parked: Expirable;
  readonly #bucket: Bucket;

  constructor(bucket: Bucket, parked: Expirable) {
    this.#bucket = bucket;
    this.parked = parked;
    bucket.add(this);
  }

  cancel(): void {
    this.#bucket.delete(this);
  }
}
