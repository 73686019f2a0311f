import { must } from "../base/assert.ts";
import {
  type Disk,
  DiskError,
  type DiskFile,
  type DiskLock,
  type DiskSpace,
  type OpenOptions,
} from "../base/disk.ts";
import { randomBelow, type Random } from "../base/random.ts";
import { directoriesOf } from "../storage/name-tree.ts";
import { VolatileDisk } from "../storage/volatile-disk.ts";
import type { VolatileRoot } from "../storage/volatile-root.ts";
import { MemoryDisk } from "./memory-disk.ts";
import { type Survival, surviveBytes, survivingNames } from "./power-cut.ts";
import { ProcessClock, type SimClock } from "./sim-clock.ts";

export interface SimDiskOptions {
  readonly directories: readonly string[];
  /** Age of what the kernel writes back by itself. */
  readonly writebackAgeMs: number;
}

/** Delays in milliseconds: most operations take the first, one in a hundred up to the second. */
const DELAYS = {
  call: [0.05, 5],
  device: [0.4, 60],
} as const;

/**
 * The disk of a simulated machine: a platter (MemoryDisk), the kernel's page cache over it
 * (VolatileDisk, the same that real processes use), and a view for each process (`process`). Every
 * call of a process and of the kernel takes a seeded time, so the order of completion is chance.
 */
export class SimDisk {
  readonly platter = new MemoryDisk();
  readonly #clock: SimClock;
  readonly #random: Random;
  readonly #options: SimDiskOptions;
  readonly #locks = new Map<string, ProcessDisk>();
  #forkCount = 0;
  #kernel: {
    readonly clock: ProcessClock;
    readonly device: ProcessDisk;
    readonly cache: VolatileDisk;
  };

  constructor(
    dependencies: { readonly clock: SimClock; readonly random: Random },
    options: SimDiskOptions,
  ) {
    this.#clock = dependencies.clock;
    this.#random = dependencies.random;
    this.#options = options;
    for (const directory of options.directories) void this.platter.mkdir(directory);
    this.#kernel = this.#bootKernel();
  }

  /** Bytes that a power cut now would put at risk. */
  get dirtyBytes(): number {
    return this.#kernel.cache.dirtyBytes;
  }

  /** The disk as a new process sees it. */
  process(): ProcessDisk {
    return new ProcessDisk(this.#kernel.cache, {
      delay: this.#delays("call"),
      random: this.#fork("process"),
      locks: this.#locks,
    });
  }

  /**
   * The machine loses power and starts again: of what was not synced, what chance lets survive. The
   * processes must have been killed. Returns how the bytes of each dirty file fared.
   */
  cutPower(): { readonly path: string; readonly survival: Survival }[] {
    const { device, clock, cache } = this.#kernel;
    device.kill();
    clock.kill();
    const fates = cache.roots.flatMap((root) => this.#survive(root));
    this.#kernel = this.#bootKernel();
    return fates;
  }

  #survive(root: VolatileRoot): { path: string; survival: Survival }[] {
    const { tree } = root;
    for (const change of survivingNames(tree.journal, this.#random)) {
      // A directory that was synced before its own name was lies where the next start sweeps it.
      for (const directory of directoriesOf(change)) {
        if (directory.place !== null) continue;
        const place = tree.unlinkedPlace();
        void this.platter.mkdir(must(tree.placePath(place), "the root has a place"));
        directory.place = place;
      }
      const step = tree.stepFor(change);
      switch (step.kind) {
        case "create-file":
          this.platter.openNow(step.path, { create: true });
          break;
        case "create-directory":
          void this.platter.mkdir(step.path);
          break;
        case "rename":
          void this.platter.rename(step.from, step.to);
          break;
        case "remove":
          void this.platter.remove(step.path);
          break;
      }
      tree.settle(change);
    }
    return [...root.cachedFiles()].flatMap(({ path, layers }) => {
      const survival = surviveBytes(layers, this.platter.openNow(path), this.#random);
      return survival === null ? [] : [{ path, survival }];
    });
  }

  #bootKernel() {
    const clock = new ProcessClock(this.#clock);
    const device = new ProcessDisk(this.platter, {
      delay: this.#delays("device"),
      random: this.#fork("device"),
      locks: new Map(),
    });
    const cache = new VolatileDisk(
      { disk: device, clock, random: this.#fork("writeback") },
      {
        directories: this.#options.directories,
        ageMs: this.#options.writebackAgeMs,
        capacityBytes: Infinity,
      },
    );
    return { clock, device, cache };
  }

  /** A source of chance of its own for each process and each boot. */
  #fork(name: string): Random {
    this.#forkCount += 1;
    return this.#random.fork(`${name}-${this.#forkCount}`);
  }

  #delays(kind: keyof typeof DELAYS): (run: () => void) => void {
    const [usualMs, rareMs] = DELAYS[kind];
    const random = this.#fork(kind);
    return (run) => {
      const isRare = randomBelow(random, 100) === 0;
      const fraction = random.uint32() / 2 ** 32;
      this.#clock.schedule("io", (isRare ? rareMs : usualMs) * fraction + 0.001, run);
    };
  }
}

interface ProcessDiskOptions {
  readonly delay: (run: () => void) => void;
  readonly random: Random;
  readonly locks: Map<string, ProcessDisk>;
}

/**
 * A disk whose calls take effect after a while, until `kill`: then no call settles any more, a write
 * in flight happens in part or not at all, and files and locks are given back.
 */
export class ProcessDisk implements Disk {
  readonly #inner: Disk;
  readonly #options: ProcessDiskOptions;
  readonly #openFiles = new Set<DiskFile>();
  readonly #writesInFlight = new Set<{
    readonly file: DiskFile;
    readonly buffers: readonly Uint8Array[];
    readonly position: number;
  }>();
  #isDead = false;

  constructor(inner: Disk, options: ProcessDiskOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  async open(path: string, options?: OpenOptions): Promise<DiskFile> {
    const inner = await this.#later(() => this.#inner.open(path, options));
    this.#openFiles.add(inner);
    return this.#file(inner);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#later(() => this.#inner.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#later(() => this.#inner.remove(path));
  }

  mkdir(path: string): Promise<void> {
    return this.#later(() => this.#inner.mkdir(path));
  }

  list(path: string): Promise<readonly string[]> {
    return this.#later(() => this.#inner.list(path));
  }

  syncDir(path: string): Promise<void> {
    return this.#later(() => this.#inner.syncDir(path));
  }

  statfs(path: string): Promise<DiskSpace> {
    return this.#later(() => this.#inner.statfs(path));
  }

  lock(directory: string): Promise<DiskLock> {
    const { locks } = this.#options;
    return this.#later(() => {
      if (locks.has(directory)) throw new DiskError("EBUSY", directory, "lock");
      locks.set(directory, this);
      return {
        release: () =>
          this.#later(() => {
            if (locks.get(directory) === this) locks.delete(directory);
          }),
      };
    });
  }

  kill(): void {
    this.#isDead = true;
    const { random, locks } = this.#options;
    for (const { file, buffers, position } of this.#writesInFlight) {
      const bytes = Buffer.concat(buffers);
      const doneBytes = [0, randomBelow(random, bytes.length + 1), bytes.length];
      const cut = must(doneBytes[randomBelow(random, 3)], "one of three fates");
      if (cut > 0) void file.writev([bytes.subarray(0, cut)], position);
    }
    for (const file of this.#openFiles) void file.close();
    for (const [directory, owner] of locks) if (owner === this) locks.delete(directory);
  }

  #file(inner: DiskFile): DiskFile {
    return {
      path: inner.path,
      read: (target, position) => this.#later(() => inner.read(target, position)),
      writev: (buffers, position) => {
        const write = { file: inner, buffers, position };
        this.#writesInFlight.add(write);
        return this.#later(() => {
          this.#writesInFlight.delete(write);
          return inner.writev(buffers, position);
        });
      },
      // Starts now, so that it covers no write that comes after it; the device takes its time.
      datasync: () => this.#alive(inner.datasync()).then((value) => this.#later(() => value)),
      truncate: (length) => this.#later(() => inner.truncate(length)),
      size: () => this.#later(() => inner.size()),
      close: () =>
        this.#later(() => {
          this.#openFiles.delete(inner);
          return inner.close();
        }),
    };
  }

  #later<T>(call: () => T | Promise<T>): Promise<T> {
    return this.#alive(
      new Promise<T>((resolve, reject) => {
        this.#options.delay(() => {
          if (this.#isDead) return;
          try {
            resolve(call());
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        });
      }),
    );
  }

  /** What a dead process waits for never comes. */
  #alive<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => {
          if (!this.#isDead) resolve(value);
        },
        (error: unknown) => {
          if (!this.#isDead) reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }
}
