import type { Clock, Timer } from "./clock.ts";
import { must } from "./assert.ts";

interface Entry {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
  isCancelled: boolean;
}

/**
 * Many deadlines on one timer of the clock: sessions, parked requests, flush intervals. Entries run
 * in order of (due time, arrival). Adding and cancelling cost O(log n) and O(1).
 */
export class TimerQueue {
  readonly #clock: Clock;
  readonly #heap: Entry[] = [];
  #armed: { readonly dueMs: number; readonly timer: Timer } | null = null;
  #nextOrder = 0;
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `callback` once, `delayMs` or more from now. */
  after(delayMs: number, callback: () => void): Timer {
    const entry: Entry = {
      dueMs: this.#clock.nowMs() + Math.max(0, delayMs),
      order: this.#nextOrder++,
      callback,
      isCancelled: false,
    };
    push(this.#heap, entry);
    this.#arm();
    return {
      cancel: () => {
        entry.isCancelled = true;
        this.#dropCancelled();
      },
    };
  }

  /** Drops all that is pending; nothing runs any more. */
  close(): void {
    this.#isClosed = true;
    this.#heap.length = 0;
    this.#armed?.timer.cancel();
    this.#armed = null;
  }

  #dropCancelled(): void {
    while (this.#heap[0]?.isCancelled === true) pop(this.#heap);
    if (this.#heap.length === 0) {
      this.#armed?.timer.cancel();
      this.#armed = null;
    }
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || this.#isClosed) return;
    if (this.#armed !== null) {
      if (this.#armed.dueMs <= first.dueMs) return;
      this.#armed.timer.cancel();
    }
    const timer = this.#clock.after(first.dueMs - this.#clock.nowMs(), () => {
      this.#armed = null;
      this.#runDue();
    });
    this.#armed = { dueMs: first.dueMs, timer };
  }

  #runDue(): void {
    const nowMs = this.#clock.nowMs();
    try {
      while (this.#heap.length > 0) {
        const first = must(this.#heap[0], "the heap is not empty");
        if (!first.isCancelled && first.dueMs > nowMs) break;
        pop(this.#heap);
        if (!first.isCancelled) {
          first.isCancelled = true;
          first.callback();
        }
      }
    } finally {
      // Also when a callback throws: the deadlines of others must not be lost with it.
      this.#arm();
    }
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

function push(heap: Entry[], entry: Entry): void {
  let index = heap.length;
  heap.push(entry);
  while (index > 0) {
    const parentIndex = (index - 1) >> 1;
    const parent = must(heap[parentIndex], "a parent precedes its child");
    if (!isBefore(entry, parent)) break;
    heap[index] = parent;
    index = parentIndex;
  }
  heap[index] = entry;
}

function pop(heap: Entry[]): void {
  const last = must(heap.pop(), "the heap is not empty");
  if (heap.length === 0) return;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    const right = heap[child + 1];
    if (right !== undefined && isBefore(right, must(heap[child], "left exists"))) child += 1;
    const smallest = must(heap[child], "child exists");
    if (!isBefore(smallest, last)) break;
    heap[index] = smallest;
    index = child;
  }
  heap[index] = last;
}
