import { resolve } from "node:path";
import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "../base/clock.ts";
import {
  type Disk,
  DiskError,
  type DiskFile,
  type DiskLock,
  type DiskSpace,
  type OpenOptions,
} from "../base/disk.ts";
import type { Random } from "../base/random.ts";
import { namesBelow } from "./name-tree.ts";
import { VolatileRoot } from "./volatile-root.ts";

export interface VolatileDiskDependencies {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Orders the pages of writeback. */
  readonly random: Random;
}

export interface VolatileDiskOptions {
  /** Log directories: what is below them is cached. Everything else goes straight through. */
  readonly directories: readonly string[];
  /** `holdfast.disk.page.cache.age.ms`: what is dirty for longer is written back. */
  readonly ageMs: number;
  /** `holdfast.disk.page.cache.bytes`: above half of it writeback begins, above it writers wait. */
  readonly capacityBytes: number;
}

/**
 * A page cache in our own memory, so that `kill -9` of the process is a power cut: bytes,
 * truncations, creations, renames and removals that were not synced are then gone, as the rules of
 * Disk say, except for what writeback happened to bring to the inner disk. Every other way to end
 * calls `flushAll`, as a kernel would write back after an exit.
 */
export class VolatileDisk implements Disk {
  readonly #inner: Disk;
  readonly #clock: Clock;
  readonly #options: VolatileDiskOptions;
  readonly #roots: readonly VolatileRoot[];
  #dirtyBytes = 0;
  #writebackTimer: Timer | null = null;
  #isWritingBack = false;
  #isClosed = false;
  readonly #waitingWriters: (() => void)[] = [];

  constructor(dependencies: VolatileDiskDependencies, options: VolatileDiskOptions) {
    this.#inner = dependencies.disk;
    this.#clock = dependencies.clock;
    this.#options = options;
    const owner = {
      onDirtyBytes: (change: number) => this.#onDirtyBytes(change),
      onDirty: () => this.#armWriteback(),
      admit: (write: () => void) => this.#admit(write),
    };
    this.#roots = options.directories.map(
      (path) => new VolatileRoot({ ...dependencies, owner }, resolve(path)),
    );
  }

  /** Bytes that a power cut would lose. */
  get dirtyBytes(): number {
    return this.#dirtyBytes;
  }

  /** The cached directories, for those that decide what survives a simulated power cut. */
  get roots(): readonly VolatileRoot[] {
    return this.#roots;
  }

  open(path: string, options: OpenOptions = {}): Promise<DiskFile> {
    const at = this.#locate(path);
    return at === null ? this.#inner.open(path, options) : at.root.open(path, at.names, options);
  }

  async rename(from: string, to: string): Promise<void> {
    const source = this.#locate(from);
    const target = this.#locate(to);
    if (source === null && target === null) return this.#inner.rename(from, to);
    if (source === null || source.root !== target?.root)
      throw new DiskError("EXDEV", from, "rename");
    return source.root.rename(from, source.names, target.names);
  }

  remove(path: string): Promise<void> {
    const at = this.#locate(path);
    return at === null || at.names.length === 0
      ? this.#inner.remove(path)
      : at.root.remove(path, at.names);
  }

  mkdir(path: string): Promise<void> {
    const at = this.#locate(path);
    return at === null || at.names.length === 0
      ? this.#inner.mkdir(path)
      : at.root.mkdir(path, at.names);
  }

  list(path: string): Promise<readonly string[]> {
    const at = this.#locate(path);
    return at === null ? this.#inner.list(path) : at.root.list(path, at.names);
  }

  syncDir(path: string): Promise<void> {
    const at = this.#locate(path);
    return at === null ? this.#inner.syncDir(path) : at.root.syncDir(path, at.names);
  }

  statfs(path: string): Promise<DiskSpace> {
    const at = this.#locate(path);
    return this.#inner.statfs(at === null ? path : at.root.path);
  }

  lock(directory: string): Promise<DiskLock> {
    return this.#inner.lock(directory);
  }

  /** Brings all that is dirty to the inner disk and ends the writeback. For every orderly exit. */
  async flushAll(): Promise<void> {
    this.#isClosed = true;
    this.#writebackTimer?.cancel();
    this.#writebackTimer = null;
    for (const root of this.#roots) await root.flushAll();
  }

  #locate(path: string): { root: VolatileRoot; names: string[] } | null {
    // Other spellings of a path ("./data", "data") must not slip past the cache.
    const absolute = resolve(path);
    for (const root of this.#roots) {
      const names = namesBelow(root.path, absolute);
      if (names !== null) return { root, names };
    }
    return null;
  }

  #onDirtyBytes(change: number): void {
    this.#dirtyBytes += change;
    assert(this.#dirtyBytes >= 0, "dirty bytes are counted once");
    if (change < 0) this.#wakeWriters();
  }

  /** Runs `write` at once, or in turn when what is dirty has become less. */
  #admit(write: () => void): Promise<void> {
    const { capacityBytes } = this.#options;
    return new Promise((settle, reject) => {
      const attempt = (): void => {
        try {
          write();
          settle();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      if (this.#dirtyBytes < capacityBytes && this.#waitingWriters.length === 0) attempt();
      else this.#waitingWriters.push(attempt);
      if (this.#dirtyBytes > capacityBytes / 2) void this.#writeBack();
    });
  }

  #wakeWriters(): void {
    // Where writeback has failed room never comes; the writers learn of it from their next sync.
    while (this.#dirtyBytes < this.#options.capacityBytes || this.#hasFailed()) {
      const write = this.#waitingWriters.shift();
      if (write === undefined) return;
      write();
    }
  }

  #hasFailed(): boolean {
    return this.#roots.some((root) => root.hasFailed);
  }

  #armWriteback(): void {
    // What becomes dirty now is no older than what the running timer waits for.
    if (this.#isClosed || this.#isWritingBack || this.#writebackTimer !== null) return;
    const oldestMs = Math.min(...this.#roots.map((root) => root.dirtySinceMs()));
    if (oldestMs === Infinity || this.#options.ageMs === Infinity) return;
    const delayMs = Math.max(1, oldestMs + this.#options.ageMs - this.#clock.nowMs());
    this.#writebackTimer = this.#clock.after(delayMs, () => {
      this.#writebackTimer = null;
      void this.#writeBack();
    });
  }

  /** Writes back what is old, and while more than half of the room is dirty also what is newer. */
  async #writeBack(): Promise<void> {
    if (this.#isWritingBack || this.#isClosed) return;
    this.#isWritingBack = true;
    const { ageMs, capacityBytes } = this.#options;
    let hasMore = true;
    while (hasMore) {
      const isTight = this.#dirtyBytes > capacityBytes / 2;
      const nowMs = this.#clock.nowMs();
      // The same sum as when the timer was armed, or rounding could arm it again for no time at all.
      const isOld = (sinceMs: number): boolean => isTight || sinceMs + ageMs <= nowMs;
      hasMore = false;
      for (const root of this.#roots) {
        if (await root.maybeWriteBack(isOld)) hasMore = true;
      }
    }
    this.#isWritingBack = false;
    this.#wakeWriters();
    this.#armWriteback();
  }
}
