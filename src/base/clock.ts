/** A pending callback of a Clock. Cancelling twice, or after it ran, does nothing. */
export interface Timer {
  cancel(): void;
}

/** The only source of time (design.md, section 2). */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary start; fractions allowed. For every decision. */
  nowMs(): number;
  /** Whole milliseconds since the Unix epoch; may jump. For record timestamps and logs only. */
  wallMs(): number;
  /** Runs `callback` once, `delayMs` or more from now. */
  after(delayMs: number, callback: () => void): Timer;
  /** Runs `callback` after what has already arrived from disk and network was handed over. */
  afterPoll(callback: () => void): void;
}

/** A timer that fires later than this has been through a stall. */
const STALL_MS = 100;

/**
 * `clock.after` for a decision about a *peer* (session, election, lag). After a stall Node runs due
 * timers before it reads what has arrived meanwhile, so a late timer first lets the loop read once:
 * the callback must look at its state anew, and may find that there is nothing to do.
 */
export function afterForPeer(clock: Clock, delayMs: number, callback: () => void): Timer {
  const dueMs = clock.nowMs() + delayMs;
  let isCancelled = false;
  const timer = clock.after(delayMs, () => {
    if (clock.nowMs() - dueMs <= STALL_MS) {
      callback();
      return;
    }
    clock.afterPoll(() => {
      if (!isCancelled) callback();
    });
  });
  return {
    cancel: () => {
      isCancelled = true;
      timer.cancel();
    },
  };
}

/** Resolves after `delayMs`. */
export function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve));
}

/** Taken when the module is loaded: the simulator's guard replaces the global one. */
const systemSetImmediate = setImmediate;

/**
 * Resolves after one real turn of the event loop, when all promises that follow from what has
 * happened are settled. For whoever runs a simulation, never for what runs inside it.
 */
export function loopTurn(): Promise<void> {
  return new Promise((resolve) => systemSetImmediate(resolve));
}

/** Longest delay that Node's timers take; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** The operating system's clocks. Pending timers keep the process alive: whoever starts one stops it. */
export class SystemClock implements Clock {
  nowMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = setTimeout(callback, Math.min(delayMs, MAX_DELAY_MS));
    return { cancel: () => clearTimeout(timer) };
  }

  afterPoll(callback: () => void): void {
    setImmediate(callback);
  }
}
