import fs from "node:fs";
import { dirname, resolve } from "node:path";
import { type Clock, SystemClock } from "../base/clock.ts";
import {
  type Disk,
  DiskError,
  type DiskFile,
  type DiskLock,
  type DiskSpace,
  isNotFound,
  type OpenOptions,
} from "../base/disk.ts";
import { type Random, SystemRandom } from "../base/random.ts";
import { type LockFiles, takeDirectoryLock } from "./directory-lock.ts";
import { type Callback, codeOf, Lanes, perform, translated } from "./disk-lanes.ts";
import { SyncDescriptors } from "./sync-descriptors.ts";

/** The kernel refuses a longer vector (IOV_MAX). */
const MAX_VECTORS = 1024;
/**
 * So much may be written synchronously before the event loop goes on: 5 µs against 41 for 16 KiB, and for
 * 1 MiB two thirds of the processor time. The loop waits for 2 MiB about a millisecond.
 */
const SYNCHRONOUS_WRITE_BYTES = 2 * 1024 * 1024;
/**
 * A synchronous write that takes longer has met writeback, and blocks the event loop. (A busy
 * processor makes up to 10 ms of it, and then the thread pool would be no faster.)
 */
const SLOW_WRITE_MS = 10;
/** After one, all writes of that directory go through the thread pool for so long. */
const SLOW_PAUSE_MS = 500;

export interface NodeDiskDependencies {
  /** Times synchronous writes. */
  readonly clock?: Clock;
  /** Makes the unique names of contenders for a lock. */
  readonly random?: Random;
}

/** The operating system's disk. Each directory that is locked gets lanes of its own. */
export class NodeDisk implements Disk {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #lanes = new Map<string, Lanes>();
  readonly #commonLanes = new Lanes();
  /** The true paths of the directories that this process holds the locks of. */
  readonly #locked = new Set<string>();

  constructor({
    clock = new SystemClock(),
    random = new SystemRandom(),
  }: NodeDiskDependencies = {}) {
    this.#clock = clock;
    this.#random = random;
  }

  async open(path: string, options: OpenOptions = {}): Promise<DiskFile> {
    const { O_RDWR, O_CREAT, O_TRUNC } = fs.constants;
    const flags =
      O_RDWR | (options.create === true ? O_CREAT : 0) | (options.truncate === true ? O_TRUNC : 0);
    const lanes = this.#lanesOf(path);
    const descriptor = await perform<number>(lanes.operations, "open", path, (done) =>
      fs.open(path, flags, 0o644, done),
    );
    return new NodeFile(this.#clock, lanes, path, descriptor);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#run("rename", from, (done) => fs.rename(from, to, done));
  }

  async remove(path: string): Promise<void> {
    try {
      await this.#run("remove", path, (done) => fs.unlink(path, done));
    } catch (error) {
      // What Linux and macOS say of a directory.
      const mayBeDirectory =
        error instanceof DiskError && (error.code === "EISDIR" || error.code === "EPERM");
      if (!mayBeDirectory) throw error;
      // One after the other: the pool of threads is shared, and a huge directory would fill it.
      for (const name of await this.list(path)) await this.remove(`${path}/${name}`);
      await this.#run("remove", path, (done) => fs.rmdir(path, done));
    }
  }

  async mkdir(path: string): Promise<void> {
    try {
      await this.#mkdirOne(path);
    } catch (error) {
      const parent = dirname(path);
      if (!isNotFound(error) || parent === path) throw error;
      // Each parent once: Node's own recursion goes round for ever below /proc.
      await this.mkdir(parent);
      await this.#mkdirOne(path);
    }
  }

  async #mkdirOne(path: string): Promise<void> {
    try {
      await this.#run("mkdir", path, (done) => fs.mkdir(path, done));
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== "EEXIST") throw error;
      // ENOTDIR when it is a file.
      await this.list(path);
    }
  }

  async list(path: string): Promise<readonly string[]> {
    const names = await perform<string[]>(this.#lanesOf(path).operations, "list", path, (done) =>
      fs.readdir(path, done),
    );
    return names.sort();
  }

  async syncDir(path: string): Promise<void> {
    const lanes = this.#lanesOf(path);
    const { O_RDONLY, O_DIRECTORY } = fs.constants;
    const descriptor = await perform<number>(lanes.operations, "open", path, (done) =>
      fs.open(path, O_RDONLY | O_DIRECTORY, done),
    );
    try {
      await lanes.sync("syncDir", path, (done) => fs.fsync(descriptor, (error) => done(error)));
    } finally {
      await closeDescriptor(lanes, path, descriptor);
    }
  }

  async statfs(path: string): Promise<DiskSpace> {
    const stats = await perform<fs.StatsFs>(
      this.#lanesOf(path).operations,
      "statfs",
      path,
      (done) => fs.statfs(path, done),
    );
    return { totalBytes: stats.blocks * stats.bsize, usableBytes: stats.bavail * stats.bsize };
  }

  async lock(directory: string): Promise<DiskLock> {
    const place = attemptSync("lock", directory, () => fs.realpathSync(directory));
    if (this.#locked.has(place)) throw new DiskError("EDEADLK", directory, "lock");
    const lock = await takeDirectoryLock(
      { files: LOCK_FILES, random: this.#random },
      { directory, procDirectory: fs.existsSync("/proc/self/fd") ? "/proc/self/fd" : null },
    );
    const root = resolve(directory);
    this.#lanes.set(root, new Lanes());
    this.#locked.add(place);
    return {
      release: async () => {
        this.#lanes.delete(root);
        this.#locked.delete(place);
        await lock.release();
      },
    };
  }

  #lanesOf(path: string): Lanes {
    const absolute = resolve(path);
    for (const [root, lanes] of this.#lanes) {
      if (absolute === root || absolute.startsWith(`${root}/`)) return lanes;
    }
    return this.#commonLanes;
  }

  async #run(
    operation: string,
    path: string,
    start: (done: (error: NodeJS.ErrnoException | null) => void) => void,
  ): Promise<void> {
    await perform<undefined>(this.#lanesOf(path).operations, operation, path, (done) =>
      start((error) => done(error, undefined)),
    );
  }
}

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #clock: Clock;
  readonly #lanes: Lanes;
  readonly #descriptor: number;
  readonly #syncDescriptors: SyncDescriptors;
  #isClosed = false;
  /** Operations that still use the descriptor; a number closed too early could be another file's. */
  #inUseCount = 0;
  #whenUnused: (() => void) | null = null;

  constructor(clock: Clock, lanes: Lanes, path: string, descriptor: number) {
    this.path = path;
    this.#clock = clock;
    this.#lanes = lanes;
    this.#descriptor = descriptor;
    this.#syncDescriptors = new SyncDescriptors(descriptor, () => this.#reopen());
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let doneBytes = 0;
    while (doneBytes < target.length) {
      const readBytes = await this.#run<number>("read", (done) =>
        fs.read(
          this.#descriptor,
          target,
          doneBytes,
          target.length - doneBytes,
          position + doneBytes,
          done,
        ),
      );
      if (readBytes === 0) break;
      doneBytes += readBytes;
    }
    return doneBytes;
  }

  async writev(buffers: readonly Uint8Array[], position: number): Promise<void> {
    this.#enter("write");
    try {
      let rest = buffers.filter((buffer) => buffer.length > 0);
      let at = position;
      while (rest.length > 0) {
        const writtenBytes = await this.#writeFirst(rest, at);
        // A short write is no error: it is continued, and the reason for it, if it lasts, comes then.
        rest = withoutFirst(rest, writtenBytes);
        at += writtenBytes;
      }
    } finally {
      this.#leave();
    }
  }

  /** Writes some of the buffers, the first ones; returns how many bytes. */
  async #writeFirst(buffers: readonly Uint8Array[], position: number): Promise<number> {
    const slice = firstOf(buffers, SYNCHRONOUS_WRITE_BYTES);
    if (slice.length > 0 && this.#maySynchronously()) {
      const writtenBytes = this.#writeNow(slice, position);
      // What has gathered meanwhile is read in between; the thread pool would let more gather still.
      if (slice.length < buffers.length) await afterPoll(this.#clock);
      return writtenBytes;
    }
    const all = buffers.slice(0, MAX_VECTORS);
    return await perform<number>(this.#lanes.operations, "write", this.path, (done) =>
      fs.writev(this.#descriptor, all, position, done),
    );
  }

  async datasync(): Promise<void> {
    this.#enter("datasync");
    const descriptor = await this.#syncDescriptors.take();
    try {
      await this.#lanes.sync("datasync", this.path, (done) =>
        fs.fdatasync(descriptor, (error) => done(error)),
      );
    } finally {
      this.#syncDescriptors.giveBack(descriptor);
      this.#leave();
    }
  }

  /** Where the system has no such names, syncs of the file wait for each other. */
  async #reopen(): Promise<number | null> {
    // Its path may be another file's by now.
    const path = `/proc/self/fd/${this.#descriptor}`;
    try {
      return await perform<number>(this.#lanes.operations, "open", path, (done) =>
        fs.open(path, fs.constants.O_RDWR, done),
      );
    } catch (error) {
      if (error instanceof DiskError) return null;
      throw error;
    }
  }

  async truncate(length: number): Promise<void> {
    await this.#run<undefined>("truncate", (done) =>
      fs.ftruncate(this.#descriptor, length, (error) => done(error, undefined)),
    );
  }

  async size(): Promise<number> {
    const stats = await this.#run<fs.Stats>("size", (done) => fs.fstat(this.#descriptor, done));
    return stats.size;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#inUseCount > 0) {
      await new Promise<void>((settle) => {
        this.#whenUnused = settle;
      });
    }
    for (const descriptor of this.#syncDescriptors.all) {
      await closeDescriptor(this.#lanes, this.path, descriptor);
    }
  }

  #maySynchronously(): boolean {
    return this.#lanes.asyncUntilMs <= this.#clock.nowMs();
  }

  #writeNow(buffers: readonly Uint8Array[], position: number): number {
    const startMs = this.#clock.nowMs();
    try {
      return fs.writevSync(this.#descriptor, buffers, position);
    } catch (error) {
      if (codeOf(error) === "EINTR") return 0;
      throw translated(error, "write", this.path);
    } finally {
      const endMs = this.#clock.nowMs();
      if (endMs - startMs > SLOW_WRITE_MS) this.#lanes.asyncUntilMs = endMs + SLOW_PAUSE_MS;
    }
  }

  async #run<T>(operation: string, start: (done: Callback<T>) => void): Promise<T> {
    this.#enter(operation);
    try {
      return await perform(this.#lanes.operations, operation, this.path, start);
    } finally {
      this.#leave();
    }
  }

  #enter(operation: string): void {
    if (this.#isClosed) throw new DiskError("EBADF", this.path, operation);
    this.#inUseCount += 1;
  }

  #leave(): void {
    this.#inUseCount -= 1;
    if (this.#inUseCount === 0) this.#whenUnused?.();
  }
}

async function closeDescriptor(lanes: Lanes, path: string, descriptor: number): Promise<void> {
  await new Promise<void>((settle, reject) => {
    lanes.operations.enter(() =>
      fs.close(descriptor, (error) => {
        lanes.operations.leave();
        // After EINTR the descriptor is closed all the same; closing again could hit another file.
        if (error && error.code !== "EINTR") reject(translated(error, "close", path));
        else settle();
      }),
    );
  });
}

/** The first buffers that have no more than so many bytes together; perhaps none. */
function firstOf(buffers: readonly Uint8Array[], maxBytes: number): readonly Uint8Array[] {
  let bytes = 0;
  const count = buffers.findIndex((buffer, index) => {
    bytes += buffer.length;
    return index === MAX_VECTORS || bytes > maxBytes;
  });
  return count === -1 ? buffers : buffers.slice(0, count);
}

function afterPoll(clock: Clock): Promise<void> {
  return new Promise((settle) => {
    clock.afterPoll(settle);
  });
}

function withoutFirst(buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let rest = bytes;
  let index = 0;
  for (; index < buffers.length; index += 1) {
    const length = buffers[index]?.length ?? 0;
    if (rest < length) break;
    rest -= length;
  }
  const left = buffers.slice(index);
  const first = left[0];
  if (rest > 0 && first !== undefined) left[0] = first.subarray(rest);
  return left;
}

/** The calls that the lock's protocol is made of; each is atomic in the file system. */
const LOCK_FILES: LockFiles = {
  list: (directory) => attemptSync("lock", directory, () => fs.readdirSync(directory)),
  rename: (from, to) => attemptSync("lock", from, () => fs.renameSync(from, to)),
  unlink: (path) =>
    attemptSync("lock", path, () => {
      fs.rmSync(path, { force: true });
    }),
  openDirectory: (directory) =>
    attemptSync("lock", directory, () =>
      fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY),
    ),
  closeDirectory: (descriptor) => fs.closeSync(descriptor),
};

function attemptSync<T>(operation: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw translated(error, operation, path);
  }
}
