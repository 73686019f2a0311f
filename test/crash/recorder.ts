import { must } from "../../src/base/assert.ts";
import {
  type Disk,
  DiskError,
  type DiskFile,
  type DiskLock,
  type DiskSpace,
  type OpenOptions,
} from "../../src/base/disk.ts";
import { randomBelow, type Random } from "../../src/base/random.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { areSyncsSuppressed, useDisk } from "./site-switch.ts";
import { type Image, type NodeId, nodesOf, ROOT, type Slot, type TraceEvent } from "./trace.ts";
import { diskOf } from "./image.ts";

interface Name {
  readonly node: NodeId;
  /** null: a file. */
  readonly entries: Map<string, Name> | null;
}

/** The first call of that kind on a path like that fails with EIO; a write leaves half of its bytes. */
export interface FaultRule {
  readonly operation: "write" | "datasync" | "syncDir";
  readonly path: RegExp;
  /** So many of them go well before. Default: none. */
  readonly skipCount?: number;
}

interface PendingCall {
  readonly perform: () => void;
  /** Whether it is a sync of that file. */
  readonly syncedPath: string | null;
}

/**
 * A disk that notes every change and sync with the place in the product that asked for it. Reads are
 * answered at once; every other call waits until `performOne` lets it happen, so that the order in
 * which calls that run side by side take effect is the caller's choice.
 */
export class RecordingDisk implements Disk {
  readonly events: TraceEvent[] = [];
  /** Called before the bytes of a write count as written. */
  onWrite: (path: string, bytes: Buffer) => void = () => undefined;
  /** Called when a directory counts as synced. */
  onSyncDir: (path: string) => void = () => undefined;
  /** The call that is to fail next; null: none. */
  fault: FaultRule | null = null;
  /** How many have failed. */
  faultCount = 0;
  /** Syncs of files like that stay under way; null: none. */
  heldSyncs: RegExp | null = null;
  /** Without chance, the newest of the waiting calls takes effect first. */
  isNewestFirst = false;
  #skippedCount = 0;
  /** What a call has failed on: no such call may be made on it again (S8). */
  readonly #failed = new Map<NodeId, FaultRule["operation"]>();
  readonly #inner: MemoryDisk;
  readonly #root: Name = { node: ROOT, entries: new Map() };
  #pending: PendingCall[] = [];
  #nextNode: NodeId;

  constructor(base: Image) {
    useDisk(this);
    this.#inner = diskOf(base);
    const nodes = nodesOf(base);
    for (const { path, node, content } of nodes) {
      const { parent, name } = this.#locate(path);
      must(parent.entries, "a parent is a directory").set(name, {
        node,
        entries: content === null ? new Map() : null,
      });
    }
    this.#nextNode = nodes.length + 1;
  }

  /** Calls that wait, but for syncs that are held. */
  get pendingCount(): number {
    return this.#pending.length - this.heldCount;
  }

  /** Syncs that are held under way. */
  get heldCount(): number {
    return this.#pending.filter((call) => this.#isHeld(call)).length;
  }

  /** Lets one waiting call take effect: the oldest, or any that chance picks. */
  performOne(random: Random | null): void {
    const ready = this.#pending.filter((call) => !this.#isHeld(call));
    const first = this.isNewestFirst ? ready.length - 1 : 0;
    const call = ready[random === null ? first : randomBelow(random, ready.length)];
    if (call === undefined) return;
    this.#pending.splice(this.#pending.indexOf(call), 1);
    call.perform();
  }

  #isHeld({ syncedPath }: PendingCall): boolean {
    return syncedPath !== null && this.heldSyncs?.test(syncedPath) === true;
  }

  /** The process has died: what it still waited for does not happen, and its locks are free. */
  killProcess(): void {
    this.#pending = [];
    this.heldSyncs = null;
    this.isNewestFirst = false;
    this.#inner.freeLocks();
    this.#failed.clear();
  }

  note(event: TraceEvent): void {
    this.events.push(event);
  }

  open(path: string, options: OpenOptions = {}): Promise<DiskFile> {
    const where = caller(`open ${path}`);
    const isChange = options.create === true || options.truncate === true;
    if (!isChange) return this.#openNow(path, options, where);
    return this.#later(() => this.#openNow(path, options, where));
  }

  rename(from: string, to: string): Promise<void> {
    const where = caller(`rename ${from} to ${to}`);
    return this.#later(async () => {
      await this.#inner.rename(from, to);
      const source = this.#locate(from);
      const target = this.#locate(to);
      const moved = must(source.parent.entries?.get(source.name), "what was renamed was known");
      source.parent.entries?.delete(source.name);
      target.parent.entries?.set(target.name, moved);
      const slots = { from: slotOf(source), to: slotOf(target) };
      this.events.push({ kind: "move", node: moved.node, ...slots, where });
    });
  }

  /** A directory goes entry by entry, as it does on a real disk. */
  remove(path: string): Promise<void> {
    const where = caller(`remove ${path}`);
    return this.#later(async () => {
      await this.#inner.remove(path);
      const { parent, name } = this.#locate(path);
      const removed = must(parent.entries?.get(name), "what was removed was known");
      this.#unlink(removed, parent, name, where);
    });
  }

  mkdir(path: string): Promise<void> {
    const where = caller(`mkdir ${path}`);
    return this.#later(async () => {
      await this.#inner.mkdir(path);
      let parent = this.#root;
      for (const name of namesOf(path)) {
        const found = parent.entries?.get(name);
        if (found === undefined) this.#link(parent, name, true, where);
        parent = must(parent.entries?.get(name), "the directory was made");
      }
    });
  }

  list(path: string): Promise<readonly string[]> {
    return this.#inner.list(path);
  }

  syncDir(path: string): Promise<void> {
    const where = caller(`syncDir ${path}`);
    const find = (): NodeId => must(this.#find(path), "the directory exists").node;
    return this.#sync("syncDir", path, find, where);
  }

  statfs(): Promise<DiskSpace> {
    return this.#inner.statfs();
  }

  lock(directory: string): Promise<DiskLock> {
    return this.#inner.lock(directory);
  }

  async #openNow(path: string, options: OpenOptions, where: () => string): Promise<DiskFile> {
    const inner = await this.#inner.open(path, options);
    const { parent, name } = this.#locate(path);
    const isNew = parent.entries?.has(name) !== true;
    if (isNew) this.#link(parent, name, false, where);
    const { node } = must(this.#find(path), "an open file has a name");
    if (options.truncate === true && !isNew) {
      this.events.push({ kind: "truncate", node, length: 0, where });
    }
    return this.#file(inner, node);
  }

  #file(inner: DiskFile, node: NodeId): DiskFile {
    const { path } = inner;
    return {
      path,
      read: (target, position) => inner.read(target, position),
      size: () => inner.size(),
      close: () => inner.close(),
      writev: (buffers, position) => {
        const where = caller(`write ${path}`);
        this.#noteRetry("write", node, where);
        return this.#later(async () => {
          const isFailing = this.#isFailing("write", path, node);
          const all = Buffer.concat(buffers);
          const bytes = isFailing ? all.subarray(0, all.length / 2) : all;
          this.onWrite(path, bytes);
          await inner.writev([bytes], position);
          if (bytes.length > 0) this.events.push({ kind: "write", node, position, bytes, where });
          if (isFailing) throw new DiskError("EIO", path, "write");
        });
      },
      truncate: (length) => {
        const where = caller(`truncate ${path}`);
        return this.#later(async () => {
          await inner.truncate(length);
          this.events.push({ kind: "truncate", node, length, where });
        });
      },
      datasync: () => this.#sync("datasync", path, () => node, caller(`datasync ${path}`)),
    };
  }

  #sync(
    kind: "datasync" | "syncDir",
    path: string,
    find: () => NodeId,
    where: () => string,
  ): Promise<void> {
    const known = kind === "datasync" ? find() : this.#find(path)?.node;
    if (known !== undefined) this.#noteRetry(kind, known, where);
    const coveredEvents = this.events.length;
    const isSuppressed = areSyncsSuppressed();
    const syncedPath = kind === "datasync" ? path : null;
    return this.#later(() => {
      const node = find();
      if (this.#isFailing(kind, path, node)) {
        this.events.push({ kind: "failed-sync", node, where });
        return Promise.reject(new DiskError("EIO", path, kind));
      }
      if (!isSuppressed) this.events.push({ kind, node, coveredEvents, where });
      if (kind === "syncDir") this.onSyncDir(path);
      return Promise.resolve();
    }, syncedPath);
  }

  /** A call that was under way when another one failed is none. */
  #noteRetry(operation: FaultRule["operation"], node: NodeId, where: () => string): void {
    if (this.#failed.get(node) !== operation) return;
    this.events.push({ kind: "fact", fact: { kind: "retried", what: where() }, where });
  }

  #isFailing(operation: FaultRule["operation"], path: string, node: NodeId): boolean {
    if (this.fault?.operation !== operation || !this.fault.path.test(path)) return false;
    const { skipCount = 0 } = this.fault;
    if (this.#skippedCount < skipCount) {
      this.#skippedCount += 1;
      return false;
    }
    this.fault = null;
    this.faultCount += 1;
    this.#failed.set(node, operation);
    return true;
  }

  #link(parent: Name, name: string, isDirectory: boolean, where: () => string): void {
    const node = this.#nextNode;
    this.#nextNode += 1;
    parent.entries?.set(name, { node, entries: isDirectory ? new Map() : null });
    this.events.push({
      kind: "link",
      node,
      isDirectory,
      to: { directory: parent.node, name },
      where,
    });
  }

  #unlink(removed: Name, parent: Name, name: string, where: () => string): void {
    for (const [childName, child] of removed.entries ?? []) {
      this.#unlink(child, removed, childName, where);
    }
    parent.entries?.delete(name);
    const from = { directory: parent.node, name };
    this.events.push({ kind: "unlink", node: removed.node, from, where });
  }

  #later<T>(call: () => Promise<T>, syncedPath: string | null = null): Promise<T> {
    return new Promise((resolve) => {
      this.#pending.push({ perform: () => resolve(call()), syncedPath });
    });
  }

  #find(path: string): Name | undefined {
    let found: Name | undefined = this.#root;
    for (const name of namesOf(path)) found = found?.entries?.get(name);
    return found;
  }

  #locate(path: string): { parent: Name; name: string } {
    const at = path.lastIndexOf("/");
    const parent = must(this.#find(path.slice(0, at)), "the parent is known");
    return { parent, name: path.slice(at + 1) };
  }
}

function slotOf({ parent, name }: { parent: Name; name: string }): Slot {
  return { directory: parent.node, name };
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "");
}

/** The call and, when somebody asks, the innermost line of the product that made it. */
function caller(what: string): () => string {
  const error = new Error();
  return () => {
    const frame = (error.stack ?? "")
      .split("\n")
      .find((line) => /\/src\/(storage|raft)\//.test(line));
    const place = /at (?:async )?(?:(\S+) .*)?\/(src\/[^:]+:\d+)/.exec(frame ?? "");
    return place === null ? what : `${what} (${place[1] ?? "?"}, ${place[2] ?? "?"})`;
  };
}
