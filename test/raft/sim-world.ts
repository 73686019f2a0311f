import { type Disk, DiskError } from "../../src/base/disk.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { type Random, SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { ProcessClock, SimClock } from "../../src/sim/sim-clock.ts";
import { type ProcessDisk, SimDisk } from "../../src/sim/sim-disk.ts";

export const LOG_DIRECTORY = "/data";

/** What one process of the machine gets. */
export interface SimProcess {
  readonly disk: ProcessDisk;
  readonly clock: ProcessClock;
  readonly timers: TimerQueue;
  readonly random: Random;
}

/** One machine on virtual time, whose processes can be killed and whose power can be cut. */
export class SimWorld {
  readonly clock = new SimClock();
  readonly random: Random;
  readonly disk: SimDisk;
  #process: SimProcess | null = null;
  #startCount = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.disk = new SimDisk(
      { clock: this.clock, random: this.random.fork("disk") },
      { directories: [LOG_DIRECTORY], writebackAgeMs: 1_000 },
    );
  }

  /** A new process; the one before must be dead. */
  startProcess() {
    const clock = new ProcessClock(this.clock);
    const process = {
      disk: this.disk.process(),
      clock,
      timers: new TimerQueue(clock),
      random: this.random.fork(`process-${(this.#startCount += 1)}`),
      logger: SILENT_LOGGER,
    };
    this.#process = process;
    return process;
  }

  /** kill -9: what is in the page cache stays (R1). */
  kill(): void {
    this.#process?.disk.kill();
    this.#process?.clock.kill();
    this.#process = null;
  }

  /** kill -9, and the page cache goes as well. */
  cutPower(): void {
    this.kill();
    this.disk.cutPower();
  }

  /** Runs the world until the promise settles. */
  async run<T>(promise: Promise<T>): Promise<T> {
    const outcomes: unknown[] = [];
    const note = () => outcomes.push(null);
    promise.then(note, note);
    await settle();
    while (outcomes.length === 0) {
      if ((await this.steps(1)) === 0) throw new Error("it will never settle");
    }
    return promise;
  }

  /** Runs at most so many events, each to its end, and says how many there were. */
  async steps(maxCount: number): Promise<number> {
    for (let count = 0; count < maxCount; count += 1) {
      const event = this.clock.next();
      if (event === null) return count;
      event();
      await settle();
    }
    return maxCount;
  }
}

/** A disk whose syncs begin to fail when it is told to, as a dying device's do. */
export function breakable(disk: Disk): { readonly disk: Disk; readonly breakSyncs: () => void } {
  let isBroken = false;
  const open: Disk["open"] = async (path, options) => {
    const file = await disk.open(path, options);
    const datasync = () =>
      isBroken ? Promise.reject(new DiskError("EIO", path, "datasync")) : file.datasync();
    return { ...file, datasync };
  };
  return {
    disk: {
      open,
      rename: (from, to) => disk.rename(from, to),
      remove: (path) => disk.remove(path),
      mkdir: (path) => disk.mkdir(path),
      list: (path) => disk.list(path),
      syncDir: (path) => disk.syncDir(path),
      statfs: (path) => disk.statfs(path),
      lock: (path) => disk.lock(path),
    },
    breakSyncs: () => {
      isBroken = true;
    },
  };
}

/** A disk that takes no more bytes and files while it is full. */
export function fillable(disk: Disk): { readonly disk: Disk; setFull(isFull: boolean): void } {
  let isFull = false;
  const room = (path: string, operation: string): void => {
    if (isFull) throw new DiskError("ENOSPC", path, operation);
  };
  const open: Disk["open"] = async (path, options) => {
    if (options?.create === true) room(path, "open");
    const file = await disk.open(path, options);
    const writev: typeof file.writev = async (buffers, position) => {
      room(path, "writev");
      await file.writev(buffers, position);
    };
    return { ...file, writev };
  };
  return {
    disk: { ...breakable(disk).disk, open },
    setFull: (value) => {
      isFull = value;
    },
  };
}

/** Lets all promises run that can. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
