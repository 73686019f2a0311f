import {
  type Disk,
  DiskError,
  type DiskFile,
  type DiskLock,
  type DiskSpace,
  type OpenOptions,
} from "../base/disk.ts";

interface FileNode {
  readonly kind: "file";
  /** May be longer than the file. */
  buffer: Buffer;
  length: number;
}

interface DirectoryNode {
  readonly kind: "directory";
  readonly entries: Map<string, FileNode | DirectoryNode>;
}

type Node = FileNode | DirectoryNode;

/** Nothing in a simulation comes near this; it is what statfs says. */
const TOTAL_BYTES = 2 ** 40;

/**
 * A disk in memory on which all is durable at once: the platter under a simulated page cache. Every
 * call takes effect before it returns; errors are rejections, as with any Disk.
 */
export class MemoryDisk implements Disk {
  readonly #root: DirectoryNode = directoryNode();
  readonly #locks = new Set<string>();

  open(path: string, options: OpenOptions = {}): Promise<DiskFile> {
    return settle(() => this.openNow(path, options));
  }

  rename(from: string, to: string): Promise<void> {
    return settle(() => {
      const source = this.#slot(from, "rename");
      const target = this.#slot(to, "rename");
      const node = source.parent.entries.get(source.name);
      if (node === undefined) throw new DiskError("ENOENT", from, "rename");
      const replaced = target.parent.entries.get(target.name);
      if (replaced === node) return;
      if (replaced?.kind === "directory") {
        if (node.kind !== "directory") throw new DiskError("EISDIR", to, "rename");
        if (replaced.entries.size > 0) throw new DiskError("ENOTEMPTY", to, "rename");
      } else if (replaced !== undefined && node.kind === "directory") {
        throw new DiskError("ENOTDIR", to, "rename");
      }
      source.parent.entries.delete(source.name);
      target.parent.entries.set(target.name, node);
    });
  }

  remove(path: string): Promise<void> {
    return settle(() => {
      const { parent, name } = this.#slot(path, "remove");
      if (!parent.entries.delete(name)) throw new DiskError("ENOENT", path, "remove");
    });
  }

  mkdir(path: string): Promise<void> {
    return settle(() => {
      let node = this.#root;
      for (const name of namesOf(path)) {
        let child = node.entries.get(name);
        if (child === undefined) {
          child = directoryNode();
          node.entries.set(name, child);
        }
        if (child.kind === "file") throw new DiskError("ENOTDIR", path, "mkdir");
        node = child;
      }
    });
  }

  list(path: string): Promise<readonly string[]> {
    return settle(() => [...this.#directory(namesOf(path), path, "list").entries.keys()].sort());
  }

  syncDir(path: string): Promise<void> {
    return settle(() => {
      this.#directory(namesOf(path), path, "syncDir");
    });
  }

  statfs(): Promise<DiskSpace> {
    return settle(() => ({ totalBytes: TOTAL_BYTES, usableBytes: TOTAL_BYTES }));
  }

  lock(directory: string): Promise<DiskLock> {
    return settle(() => {
      this.#directory(namesOf(directory), directory, "lock");
      if (this.#locks.has(directory)) throw new DiskError("EBUSY", directory, "lock");
      this.#locks.add(directory);
      return {
        release: () =>
          settle(() => {
            this.#locks.delete(directory);
          }),
      };
    });
  }

  /** The process that held them has died. */
  freeLocks(): void {
    this.#locks.clear();
  }

  /** The file as it is; for the simulated power cut, which has no time to wait. */
  openNow(path: string, options: OpenOptions = {}): MemoryFile {
    const { parent, name } = this.#slot(path, "open");
    let node = parent.entries.get(name);
    if (node === undefined) {
      if (options.create !== true) throw new DiskError("ENOENT", path, "open");
      node = { kind: "file", buffer: Buffer.alloc(0), length: 0 };
      parent.entries.set(name, node);
    }
    if (node.kind === "directory") throw new DiskError("EISDIR", path, "open");
    if (options.truncate === true) node.length = 0;
    return new MemoryFile(path, node);
  }

  /** All files by path, for checkers. */
  files(): Map<string, Buffer> {
    const files = new Map<string, Buffer>();
    this.#visit((path, node) => {
      if (node.kind === "file") files.set(path, node.buffer.subarray(0, node.length));
    });
    return files;
  }

  /** The paths of all directories, parents first. */
  directories(): string[] {
    const paths: string[] = [];
    this.#visit((path, node) => {
      if (node.kind === "directory" && path !== "") paths.push(path);
    });
    return paths;
  }

  #visit(look: (path: string, node: Node) => void): void {
    const visit = (node: Node, path: string): void => {
      look(path, node);
      if (node.kind === "file") return;
      for (const [name, child] of node.entries) visit(child, `${path}/${name}`);
    };
    visit(this.#root, "");
  }

  #slot(path: string, operation: string): { parent: DirectoryNode; name: string } {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) throw new DiskError("EBUSY", path, operation);
    return { parent: this.#directory(names, path, operation), name };
  }

  #directory(names: readonly string[], path: string, operation: string): DirectoryNode {
    let node: Node = this.#root;
    for (const name of names) {
      if (node.kind === "file") throw new DiskError("ENOTDIR", path, operation);
      const child = node.entries.get(name);
      if (child === undefined) throw new DiskError("ENOENT", path, operation);
      node = child;
    }
    if (node.kind === "file") throw new DiskError("ENOTDIR", path, operation);
    return node;
  }
}

/** An open file of a MemoryDisk; as on Unix it stays usable when its name is removed. */
export class MemoryFile implements DiskFile {
  readonly path: string;
  readonly #node: FileNode;
  #isClosed = false;

  constructor(path: string, node: FileNode) {
    this.path = path;
    this.#node = node;
  }

  get length(): number {
    return this.#node.length;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#use("read", ({ buffer, length }) => {
      const bytes = Math.max(0, Math.min(target.length, length - position));
      target.set(buffer.subarray(position, position + bytes));
      return bytes;
    });
  }

  writev(buffers: readonly Uint8Array[], position: number): Promise<void> {
    return this.#use("write", () => this.writeNow(buffers, position));
  }

  datasync(): Promise<void> {
    return this.#use("datasync", () => undefined);
  }

  truncate(length: number): Promise<void> {
    return this.#use("truncate", () => this.truncateNow(length));
  }

  size(): Promise<number> {
    return this.#use("size", ({ length }) => length);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  writeNow(buffers: readonly Uint8Array[], position: number): void {
    let at = position;
    for (const buffer of buffers) {
      if (buffer.length === 0) continue;
      if (at + buffer.length > this.#node.length) this.truncateNow(at + buffer.length);
      this.#node.buffer.set(buffer, at);
      at += buffer.length;
    }
  }

  truncateNow(length: number): void {
    const node = this.#node;
    if (length > node.buffer.length) {
      const grown = Buffer.alloc(Math.max(length, 2 * node.buffer.length));
      node.buffer.copy(grown, 0, 0, node.length);
      node.buffer = grown;
    }
    if (length < node.length) node.buffer.fill(0, length, node.length);
    node.length = length;
  }

  #use<T>(operation: string, call: (node: FileNode) => T): Promise<T> {
    return settle(() => {
      if (this.#isClosed) throw new DiskError("EBADF", this.path, operation);
      return call(this.#node);
    });
  }
}

function directoryNode(): DirectoryNode {
  return { kind: "directory", entries: new Map() };
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function settle<T>(call: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(call());
  });
}
