import type { Clock, Timer } from "../base/clock.ts";

/** What an event stands for in Node's loop: timers run before what has arrived is read. */
export type EventKind = "timer" | "io";

interface Event {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
  isCancelled: boolean;
}

/** 2027-01-15: any fixed day does. */
const START_WALL_MS = 1_800_000_000_000;

/**
 * The time of a simulated world: a queue of events, run one at a time by whoever calls `next`. It
 * keeps to the phases of Node's loop: all due timers, then all due input, then what was put off by
 * `afterPoll`; only when nothing is due does time pass, and then straight to the next event.
 */
export class SimClock {
  readonly #queues: { readonly [kind in EventKind]: EventQueue } = {
    timer: new EventQueue(),
    io: new EventQueue(),
  };
  #polls: Event[] = [];
  /** Those of `#polls` that were there when their phase began. */
  #pollsInTurn: Event[] = [];
  #phase: "timers" | "io" | "polls" = "timers";
  #nowMs = 0;
  #nextOrder = 0;
  #eventCount = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  get wallMs(): number {
    return START_WALL_MS + Math.floor(this.#nowMs);
  }

  /** Events run so far. */
  get eventCount(): number {
    return this.#eventCount;
  }

  schedule(kind: EventKind, delayMs: number, callback: () => void): Timer {
    const event = this.#event(this.#nowMs + Math.max(0, delayMs), callback);
    this.#queues[kind].push(event);
    return cancelling(event);
  }

  afterPoll(callback: () => void): Timer {
    const event = this.#event(this.#nowMs, callback);
    this.#polls.push(event);
    return cancelling(event);
  }

  /** The loop is busy for so long: all that falls due meanwhile comes late, timers first. */
  stall(ms: number): void {
    this.#nowMs += ms;
    this.#phase = "timers";
  }

  /** The next event, or null when nothing will ever happen. Time is moved to it. */
  next(): (() => void) | null {
    for (;;) {
      const event = this.#nextDue();
      if (event !== null) {
        this.#eventCount += 1;
        return event.callback;
      }
      const { timer, io } = this.#queues;
      // What a poll has put off again has its turn before any time passes.
      if (this.#polls.length + this.#pollsInTurn.length > 0) continue;
      const nextMs = Math.min(timer.firstMs(), io.firstMs());
      if (nextMs === Infinity) return null;
      this.#nowMs = Math.max(this.#nowMs, nextMs);
    }
  }

  /** One pass through the phases, from where the last event was found. */
  #nextDue(): Event | null {
    for (let passed = 0; passed < 3; passed += 1) {
      const event = this.#nextOfPhase();
      if (event !== null) return event;
      if (this.#phase === "timers") this.#phase = "io";
      else if (this.#phase === "io") {
        this.#phase = "polls";
        // A stall may have come before all of the last turn had run.
        this.#pollsInTurn.push(...this.#polls);
        this.#polls = [];
      } else this.#phase = "timers";
    }
    return null;
  }

  #nextOfPhase(): Event | null {
    switch (this.#phase) {
      case "timers":
        return this.#queues.timer.takeDue(this.#nowMs);
      case "io":
        return this.#queues.io.takeDue(this.#nowMs);
      case "polls": {
        let event = this.#pollsInTurn.shift();
        while (event?.isCancelled === true) event = this.#pollsInTurn.shift();
        return event ?? null;
      }
    }
  }

  #event(dueMs: number, callback: () => void): Event {
    return { dueMs, order: this.#nextOrder++, callback, isCancelled: false };
  }
}

/** The clock of one simulated process: what it has pending dies with it. */
export class ProcessClock implements Clock {
  readonly #clock: SimClock;
  readonly #pending = new Set<Timer>();

  constructor(clock: SimClock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.nowMs;
  }

  wallMs(): number {
    return this.#clock.wallMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    // Node's timers fire on whole milliseconds, never early.
    return this.#track(callback, (run) => this.#clock.schedule("timer", Math.ceil(delayMs), run));
  }

  afterPoll(callback: () => void): void {
    this.#track(callback, (run) => this.#clock.afterPoll(run));
  }

  kill(): void {
    for (const timer of this.#pending) timer.cancel();
    this.#pending.clear();
  }

  #track(callback: () => void, schedule: (run: () => void) => Timer): Timer {
    const timer = schedule(() => {
      this.#pending.delete(timer);
      callback();
    });
    this.#pending.add(timer);
    return {
      cancel: () => {
        this.#pending.delete(timer);
        timer.cancel();
      },
    };
  }
}

function cancelling(event: Event): Timer {
  return {
    cancel: () => {
      event.isCancelled = true;
    },
  };
}

/** A heap of events by (due time, order of scheduling). */
class EventQueue {
  readonly #heap: Event[] = [];

  firstMs(): number {
    this.#dropCancelled();
    return this.#heap[0]?.dueMs ?? Infinity;
  }

  push(event: Event): void {
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = event;
  }

  takeDue(nowMs: number): Event | null {
    this.#dropCancelled();
    const first = this.#heap[0];
    if (first === undefined || first.dueMs > nowMs) return null;
    this.#pop();
    return first;
  }

  #dropCancelled(): void {
    while (this.#heap[0]?.isCancelled === true) this.#pop();
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      if (left === undefined) break;
      const isRight = right !== undefined && isBefore(right, left);
      const child = isRight ? right : left;
      if (!isBefore(child, last)) break;
      heap[index] = child;
      index = 2 * index + (isRight ? 2 : 1);
    }
    heap[index] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
