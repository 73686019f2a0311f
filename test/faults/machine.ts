import { loopTurn } from "../../src/base/clock.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { must } from "../../src/base/assert.ts";
import { RaftDriver } from "../../src/raft/driver.ts";
import { InlineOffload } from "../../src/server/offload.ts";
import { startWithRoom } from "../../src/server/start-with-room.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { type DiskCall, FaultyDisk } from "../../src/storage/faulty-disk.ts";
import { LogManager } from "../../src/storage/log-manager.ts";
import { VolatileDisk } from "../../src/storage/volatile-disk.ts";
import { ManualClock } from "../storage/support/manual-clock.ts";

export const DIRECTORIES = ["/a", "/b"] as const;

const CLEANER = {
  initialDelayMs: 1_000,
  backoffMs: 1_000,
  dedupeBufferBytes: 1 << 20,
  maxBytesPerSecond: Infinity,
};

/** A process on the machine: its logs, and the metadata log in the first directory. */
export interface Life {
  readonly manager: LogManager;
  readonly raft: RaftDriver;
  readonly timers: TimerQueue;
  /** What the metadata log has delivered. */
  readonly committed: Set<string>;
}

/** Time that a promise of the broker may take; a start may wait for room. */
const STUCK_AFTER_MS = 30_000;

/** Something that a promise of the broker never came back from. */
export class StuckError extends Error {
  override readonly name = "StuckError";
}

/** A platter, a page cache, and a disk over it on which calls go wrong; processes come and go. */
export class Machine {
  readonly platter = new MemoryDisk();
  readonly clock = new ManualClock();
  /** Of the process that runs. */
  disk: FaultyDisk;
  /** Is given the disk of every later boot. */
  onBoot: (disk: FaultyDisk) => void = () => undefined;
  #onCall: ((call: DiskCall) => void) | null = null;
  #processCount = 0;
  #bootCount = 0;

  constructor() {
    this.disk = this.#boot();
  }

  /** Is told of every call from now on. Their call sites cost much time. */
  record(onCall: (call: DiskCall) => void): void {
    this.#onCall = onCall;
    this.disk.setRecorder(onCall);
  }

  /** How often the power has come so far. */
  get bootCount(): number {
    return this.#bootCount;
  }

  /** Processes that were started so far. */
  get processCount(): number {
    return this.#processCount;
  }

  /** As the broker starts: directories, metadata log. Rejects as that does. */
  async start(): Promise<Life> {
    this.#processCount += 1;
    const { clock, disk } = this;
    const life = await this.run(
      startWithRoom(
        { clock, disk, logger: SILENT_LOGGER },
        { directory: DIRECTORIES[0], isWanted: () => true },
        () => this.#start(new TimerQueue(clock)),
      ),
    );
    return must(life, "it is wanted");
  }

  /** SIGTERM. */
  async stop(life: Life): Promise<void> {
    await this.run(life.raft.close());
    await this.run(life.manager.close(1));
    life.timers.close();
  }

  /** The power goes: what was not synced is gone. */
  async cutPower(): Promise<void> {
    await this.turns(20);
    // The dead process reaches the platter no more.
    this.disk.setRecorder(null);
    this.disk.setFaultListener(() => undefined);
    this.disk.setRules([{ times: Infinity, fault: { kind: "error", code: "ENXIO" } }]);
    this.disk = this.#boot();
    this.onBoot(this.disk);
    await this.turns(20);
  }

  /** Lets time pass, a second at a time. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1_000) {
      await this.clock.advance(Math.min(1_000, ms - passed));
    }
  }

  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn += 1) await loopTurn();
  }

  /** Awaits a promise of the broker; rejects with StuckError when it never settles. */
  async run<T>(promise: Promise<T>): Promise<T> {
    const state = { isSettled: false };
    const mark = (): void => {
      state.isSettled = true;
    };
    promise.then(mark, mark);
    const startMs = this.clock.nowMs();
    while (this.clock.nowMs() - startMs < STUCK_AFTER_MS) {
      for (let turn = 0; turn < 50; turn += 1) {
        await loopTurn();
        if (state.isSettled) return promise;
      }
      await this.clock.advance(20);
    }
    throw new StuckError("a promise did not settle", { cause: new Error().stack });
  }

  async #start(timers: TimerQueue): Promise<Life> {
    const { clock, disk } = this;
    const logger = SILENT_LOGGER;
    const random = new SeededRandom(this.#processCount);
    const offload = await InlineOffload.open();
    const closers: (() => Promise<void>)[] = [];
    try {
      const manager = await LogManager.open(
        { disk, clock, logger, timers, random, offload },
        { logDirs: DIRECTORIES, nodeId: 1, clusterId: null, cleaner: CLEANER },
      );
      closers.push(() => manager.close(null));
      const raft = await RaftDriver.open(
        { disk, clock, logger, timers, random },
        {
          logDirectory: DIRECTORIES[0],
          nodeId: 1,
          directoryId: must(manager.directories[0]?.directoryId, "the first one is open"),
          onDiskFailure: (error) => manager.onDiskFailure(DIRECTORIES[0], error),
        },
      );
      closers.push(() => raft.close());
      manager.adopt(raft.log);
      const committed = new Set<string>();
      await raft.start({
        onCommitted: (batches) => {
          for (const { records } of batches)
            for (const value of records) committed.add(String(value));
        },
        onLeaderChange: () => undefined,
        onFailure: () => undefined,
      });
      return { manager, raft, timers, committed };
    } catch (error) {
      for (const close of closers.reverse()) await close();
      timers.close();
      throw error;
    }
  }

  #boot(): FaultyDisk {
    this.#bootCount += 1;
    // The lock of a dead process is free.
    this.platter.freeLocks();
    const { clock } = this;
    const cache = new VolatileDisk(
      { disk: this.platter, clock, random: new SeededRandom(3) },
      { directories: DIRECTORIES, ageMs: Infinity, capacityBytes: Infinity },
    );
    const disk = new FaultyDisk({ disk: cache, clock });
    disk.setRecorder(this.#onCall);
    return disk;
  }
}
