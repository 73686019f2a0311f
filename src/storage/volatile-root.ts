import { must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { type Disk, DiskError, type DiskFile, type OpenOptions } from "../base/disk.ts";
import { Mailbox } from "../base/mailbox.ts";
import type { Random } from "../base/random.ts";
import {
  directoriesOf,
  entriesOf,
  type NameChange,
  type NameStep,
  NameTree,
  type TreeNode,
  UNLINKED_PREFIX,
} from "./name-tree.ts";
import type { FileLayers } from "./file-layers.ts";
import { CachedFile, type FlushOrder } from "./volatile-file.ts";

export interface VolatileRootDependencies {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly owner: {
    onDirtyBytes(change: number): void;
    /** Something became dirty, by name or by bytes. */
    onDirty(): void;
    /** Runs `write` when there is room for more that is dirty. */
    admit(write: () => void): Promise<void>;
  };
}

type Node = TreeNode<CachedFile>;

/** One cached directory of a VolatileDisk: its names and files. */
export class VolatileRoot {
  readonly path: string;
  readonly tree: NameTree<CachedFile>;
  readonly #dependencies: VolatileRootDependencies;
  /** Whoever uses paths of the inner disk: they change with every commit. */
  readonly #innerNames = new Mailbox();
  readonly #loads = new Map<Node, Promise<void>>();
  /** Files in use or dirty, in the order in which they came. */
  readonly #files = new Map<CachedFile, Node>();
  #failure: DiskError | null = null;

  constructor(dependencies: VolatileRootDependencies, path: string) {
    this.path = path;
    this.tree = new NameTree(path);
    this.#dependencies = dependencies;
  }

  get hasFailed(): boolean {
    if (this.#failure !== null) return true;
    for (const file of this.#files.keys()) if (file.hasFailed) return true;
    return false;
  }

  /** When the oldest unsynced change was made; Infinity without one. */
  dirtySinceMs(): number {
    let sinceMs = this.tree.journal[0]?.atMs ?? Infinity;
    for (const file of this.#files.keys()) {
      if (!file.hasFailed) sinceMs = Math.min(sinceMs, file.dirtySinceMs ?? Infinity);
    }
    return this.#failure === null ? sinceMs : Infinity;
  }

  async open(path: string, names: string[], options: OpenOptions): Promise<DiskFile> {
    const parent = await this.#directory(path, names.slice(0, -1), "open");
    const name = names.at(-1);
    if (name === undefined) throw new DiskError("EISDIR", path, "open");
    let node = entriesOf(parent).get(name);
    if (node === undefined) {
      if (options.create !== true || !parent.isLinked) throw new DiskError("ENOENT", path, "open");
      node = this.tree.link("file", { directory: parent, name }, this.#nowMs());
      this.#dependencies.owner.onDirty();
    }
    if (node.kind === "directory") throw new DiskError("EISDIR", path, "open");
    const file = await this.#acquire(node, path);
    if (options.truncate === true && file.layers.length > 0) this.#truncate(file, 0);
    return this.#handle(node, file, path);
  }

  async rename(path: string, from: string[], to: string[]): Promise<void> {
    const source = await this.#slot(path, from, "rename");
    const target = await this.#slot(path, to, "rename");
    const node = entriesOf(source.directory).get(source.name);
    if (node === undefined || !target.directory.isLinked)
      throw new DiskError("ENOENT", path, "rename");
    const replaced = entriesOf(target.directory).get(target.name);
    if (replaced?.kind === "directory" && (replaced.entries?.size ?? 1) > 0) {
      throw new DiskError("ENOTEMPTY", path, "rename");
    }
    const gone = this.tree.move(source, target, this.#nowMs());
    if (gone !== null) this.#forget(gone);
    this.#dependencies.owner.onDirty();
  }

  async remove(path: string, names: string[]): Promise<void> {
    const slot = await this.#slot(path, names, "remove");
    if (!entriesOf(slot.directory).has(slot.name)) throw new DiskError("ENOENT", path, "remove");
    for (const node of this.tree.unlink(slot, this.#nowMs())) this.#forget(node);
    this.#dependencies.owner.onDirty();
  }

  async mkdir(path: string, names: string[]): Promise<void> {
    let directory = await this.#directory(path, [], "mkdir");
    for (const name of names) {
      const existing = entriesOf(directory).get(name);
      if (!directory.isLinked) throw new DiskError("ENOENT", path, "mkdir");
      if (existing === undefined) {
        directory = this.tree.link("directory", { directory, name }, this.#nowMs());
        this.#dependencies.owner.onDirty();
      } else {
        await this.#load(existing, path, "mkdir");
        directory = existing;
      }
    }
  }

  async list(path: string, names: string[]): Promise<readonly string[]> {
    const directory = await this.#directory(path, names, "list");
    return [...entriesOf(directory).keys()].sort();
  }

  async syncDir(path: string, names: string[]): Promise<void> {
    const directory = await this.#directory(path, names, "syncDir");
    const changes = this.tree.changesFor(directory);
    await this.#innerNames.run(() => this.#commit(changes, directory));
  }

  /** Writes back what has been dirty since a time that is old. Returns whether there was any. */
  async maybeWriteBack(isOld: (sinceMs: number) => boolean): Promise<boolean> {
    const files = [...this.#files.keys()].filter(
      ({ hasFailed, dirtySinceMs }) => !hasFailed && dirtySinceMs !== null && isOld(dirtySinceMs),
    );
    const changes = this.tree.journal.filter(({ atMs }) => isOld(atMs));
    if (this.#failure !== null || files.length + changes.length === 0) return false;
    try {
      if (changes.length > 0) await this.#innerNames.run(() => this.#commit(changes, null));
      const order: FlushOrder = { kind: "writeback", random: this.#dependencies.random };
      for (const file of files) await this.#flush(file, order);
    } catch (error) {
      // The failure stays with the file or the directory, and its next sync tells of it (R9).
      if (!(error instanceof DiskError)) throw error;
    }
    return true;
  }

  async flushAll(): Promise<void> {
    await this.#innerNames.run(() => this.#commit([...this.tree.journal], null));
    for (const file of [...this.#files.keys()]) await this.#flush(file, { kind: "sync" });
  }

  /** Files that may be dirty and have a place on the inner disk; for a simulated power cut. */
  *cachedFiles(): IterableIterator<{ readonly path: string; readonly layers: FileLayers }> {
    for (const [{ layers }, node] of this.#files) {
      const path = this.tree.findPath(node);
      if (path !== null) yield { path, layers };
    }
  }

  #nowMs(): number {
    return this.#dependencies.clock.nowMs();
  }

  async #flush(file: CachedFile, order: FlushOrder): Promise<void> {
    // Its last user has closed it while others were flushed.
    if (!this.#files.has(file)) return;
    await file.flush(order);
    if (file.openCount === 0 && !file.layers.isDirty) await this.#drop(file);
  }

  // --- names ---

  async #slot(path: string, names: string[], operation: string) {
    const name = names.at(-1);
    if (name === undefined) throw new DiskError("EBUSY", path, operation);
    return { directory: await this.#directory(path, names.slice(0, -1), operation), name };
  }

  /** The directory with that path, with its entries loaded. */
  async #directory(path: string, names: readonly string[], operation: string): Promise<Node> {
    let node: Node = this.tree.root;
    await this.#load(node, path, operation);
    for (const name of names) {
      const child = entriesOf(node).get(name);
      if (child === undefined) throw new DiskError("ENOENT", path, operation);
      await this.#load(child, path, operation);
      node = child;
    }
    return node;
  }

  /** Reads the entries from the inner disk at the first use of a directory. */
  async #load(node: Node, path: string, operation: string): Promise<void> {
    if (node.kind === "file") throw new DiskError("ENOTDIR", path, operation);
    if (node.entries !== null) return;
    let load = this.#loads.get(node);
    if (load === undefined) {
      load = this.#innerNames.run(() => this.#readEntries(node, path, operation));
      this.#loads.set(node, load);
    }
    try {
      await load;
    } finally {
      this.#loads.delete(node);
    }
  }

  async #readEntries(node: Node, virtualPath: string, operation: string): Promise<void> {
    const { disk } = this.#dependencies;
    const path = this.#innerPath(node, virtualPath, operation);
    const entries = new Map<string, Node>();
    for (const name of await disk.list(path)) {
      if (node === this.tree.root && name.startsWith(UNLINKED_PREFIX)) {
        // Left by a process that was killed: bytes that never had a durable name.
        await disk.remove(`${path}/${name}`);
        continue;
      }
      const place = { directory: node, name };
      entries.set(name, { kind: "unknown", place, entries: null, isLinked: true, payload: null });
    }
    node.kind = "directory";
    node.entries = entries;
  }

  /** Brings changes of names to the inner disk, one after the other; then they are durable. */
  async #commit(changes: readonly NameChange<CachedFile>[], synced: Node | null): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    try {
      const touched = new Set<Node>(synced === null ? [] : [synced]);
      for (const change of changes) {
        // Another commit may have been faster.
        if (!this.tree.journal.includes(change)) continue;
        for (const directory of directoriesOf(change)) {
          await this.#givePlace(directory);
          touched.add(directory);
        }
        await runStep(this.#dependencies.disk, this.tree.stepFor(change));
        this.tree.settle(change);
      }
      for (const directory of touched) {
        const path = this.tree.findPath(directory);
        if (path !== null) await this.#dependencies.disk.syncDir(path);
      }
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      // Whatever the inner disk refused, no room for a name, for one: here it is a sync that failed.
      this.#failure = new DiskError(error.code, error.path, "syncDir", { cause: error });
      throw this.#failure;
    }
  }

  async #givePlace(node: Node): Promise<void> {
    if (node.place !== null) return;
    const place = this.tree.unlinkedPlace();
    const path = must(this.tree.placePath(place), "the root has a place");
    if (node.kind === "directory") await this.#dependencies.disk.mkdir(path);
    else await (await this.#dependencies.disk.open(path, { create: true })).close();
    node.place = place;
  }

  // --- files ---

  /** The cached file of a node, counted as open once more. */
  async #acquire(node: Node, path: string): Promise<CachedFile> {
    let inner: DiskFile | null = null;
    let baseLength = 0;
    if (node.payload === null && node.place !== null) {
      inner = await this.#innerNames.run(() =>
        this.#dependencies.disk.open(this.#innerPath(node, path, "open")),
      );
      baseLength = await inner.size();
    }
    if (!node.isLinked) {
      await inner?.close();
      throw new DiskError("ENOENT", path, "open");
    }
    node.kind = "file";
    const existing = node.payload;
    const file = existing ?? this.#addFile(node, inner, baseLength);
    file.openCount += 1;
    // Another open of the same file may have been faster.
    if (existing !== null) await inner?.close();
    return file;
  }

  #addFile(node: Node, inner: DiskFile | null, baseLength: number): CachedFile {
    const { owner } = this.#dependencies;
    const file = new CachedFile(
      {
        openInner: () => this.#innerNames.run(() => this.#openInner(node)),
        isUnlinked: () => !node.isLinked,
        onDirtyBytes: (change) => owner.onDirtyBytes(change),
      },
      inner,
      baseLength,
    );
    node.payload = file;
    this.#files.set(file, node);
    return file;
  }

  async #openInner(node: Node): Promise<DiskFile> {
    await this.#givePlace(node);
    return this.#dependencies.disk.open(this.tree.pathOf(node));
  }

  #innerPath(node: Node, path: string, operation: string): string {
    const innerPath = this.tree.findPath(node);
    // Its removal was committed while we waited for our turn.
    if (innerPath === null) throw new DiskError("ENOENT", path, operation);
    return innerPath;
  }

  #truncate(file: CachedFile, length: number): void {
    file.truncate(length, this.#nowMs());
    this.#dependencies.owner.onDirty();
  }

  #handle(node: Node, file: CachedFile, path: string): DiskFile {
    let isClosed = false;
    const use = (operation: string): CachedFile => {
      if (isClosed) throw new DiskError("EBADF", path, operation);
      return file;
    };
    const { owner } = this.#dependencies;
    return {
      path,
      read: async (target, position) => use("read").read(target, position),
      writev: async (buffers, position) => {
        use("write");
        await owner.admit(() => {
          use("write").write(buffers, position, this.#nowMs());
          owner.onDirty();
        });
      },
      datasync: async () => use("datasync").flush({ kind: "sync" }),
      truncate: async (length) => {
        this.#truncate(use("truncate"), length);
        await Promise.resolve();
      },
      size: () => Promise.resolve(use("size").layers.length),
      close: async () => {
        if (isClosed) return;
        isClosed = true;
        file.openCount -= 1;
        if (file.openCount > 0) return;
        if (!node.isLinked) file.discard();
        if (!file.layers.isDirty) await this.#drop(file);
      },
    };
  }

  /** A node that has lost its last name. */
  #forget(node: Node): void {
    const file = node.payload;
    if (file === null) return;
    file.stopCounting();
    if (file.openCount === 0) {
      file.discard();
      void this.#drop(file);
    }
  }

  /** Nobody uses the file and nothing of it is dirty. */
  async #drop(file: CachedFile): Promise<void> {
    const node = this.#files.get(file);
    if (node === undefined) return;
    this.#files.delete(file);
    node.payload = null;
    await file.close();
  }
}

async function runStep(disk: Disk, step: NameStep): Promise<void> {
  switch (step.kind) {
    case "create-file":
      await (await disk.open(step.path, { create: true })).close();
      return;
    case "create-directory":
      return disk.mkdir(step.path);
    case "rename":
      return disk.rename(step.from, step.to);
    case "remove":
      return disk.remove(step.path);
  }
}
