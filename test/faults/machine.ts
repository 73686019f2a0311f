import { loopTurn } from "../../src/base/clock.ts";
import type { Uuid } from "../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { RaftDriver } from "../../src/raft/driver.ts";
import { InlineOffload } from "../../src/server/offload.ts";
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
  /** What the metadata log has delivered. */
  readonly committed: Set<string>;
}

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
  readonly #onCall: (call: DiskCall) => void;
  #processCount = 0;

  constructor(onCall: (call: DiskCall) => void) {
    this.#onCall = onCall;
    this.disk = this.#boot();
  }

  /** Processes that were started so far. */
  get processCount(): number {
    return this.#processCount;
  }

  /** As the broker starts: directories, metadata log. Rejects as that does. */
  async start(): Promise<Life> {
    this.#processCount += 1;
    const { clock, disk } = this;
    const timers = new TimerQueue(clock);
    const logger = SILENT_LOGGER;
    const random = new SeededRandom(this.#processCount);
    const offload = await InlineOffload.open();
    const manager = await this.run(
      LogManager.open(
        { disk, clock, logger, timers, random, offload },
        { logDirs: DIRECTORIES, nodeId: 1, clusterId: null, cleaner: CLEANER },
      ),
    );
    const committed = new Set<string>();
    try {
      const raft = await this.run(
        RaftDriver.open(
          { disk, clock, logger, timers },
          {
            logDirectory: DIRECTORIES[0],
            nodeId: 1,
            directoryId: manager.directories[0]!.directoryId as Uuid,
            onDiskFailure: (error) => manager.onDiskFailure(DIRECTORIES[0], error),
          },
        ),
      );
      manager.adopt(raft.log);
      await this.run(
        raft.start({
          onCommitted: (batches) => {
            for (const { records } of batches)
              for (const value of records) committed.add(String(value));
          },
          onLeaderChange: () => undefined,
          onFailure: () => undefined,
        }),
      );
      return { manager, raft, committed };
    } catch (error) {
      await this.run(manager.close(null));
      throw error;
    }
  }

  /** SIGTERM. */
  async stop(life: Life): Promise<void> {
    await this.run(life.raft.close());
    await this.run(life.manager.close(1));
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
    for (let turn = 0; turn < 5_000; turn += 1) {
      await loopTurn();
      if (state.isSettled) return promise;
      if (turn % 50 === 49) await this.clock.advance(20);
    }
    throw new StuckError("a promise did not settle", { cause: new Error().stack });
  }

  #boot(): FaultyDisk {
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
