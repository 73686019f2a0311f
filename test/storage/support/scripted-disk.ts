import { type Disk, DiskError, type DiskFile, type OpenOptions } from "../../../src/base/disk.ts";
import { MemoryDisk } from "../../../src/sim/memory-disk.ts";

export type Operation =
  | "open"
  | "rename"
  | "remove"
  | "mkdir"
  | "list"
  | "syncDir"
  | "read"
  | "writev"
  | "datasync"
  | "truncate";

export interface Call {
  readonly operation: Operation;
  readonly path: string;
}

type Rule = { readonly matches: (call: Call) => boolean } & (
  | { readonly kind: "fail"; readonly code: string }
  | { readonly kind: "throw"; readonly error: Error }
  | { readonly kind: "hold"; readonly until: Promise<void> }
);

/** A disk in memory that tells what was asked of it, and fails or waits where a test says so. */
export class ScriptedDisk implements Disk {
  readonly memory: MemoryDisk;
  readonly calls: Call[] = [];
  #rules: Rule[] = [];
  #callsLeft = Infinity;

  constructor(memory: MemoryDisk = new MemoryDisk()) {
    this.memory = memory;
  }

  count(operation: Operation, pathEnd = ""): number {
    return this.calls.filter((call) => call.operation === operation && call.path.endsWith(pathEnd))
      .length;
  }

  fail(operation: Operation, pathEnd: string, code: string): void {
    this.#rules.push({ kind: "fail", code, matches: matching(operation, pathEnd) });
  }

  /** Such calls throw what no disk should. */
  throwFrom(operation: Operation, pathEnd: string, error: Error): void {
    this.#rules.push({ kind: "throw", error, matches: matching(operation, pathEnd) });
  }

  /** Nothing fails, throws or waits any more. */
  allow(): void {
    this.#rules = [];
  }

  /** Such calls wait until the returned function is called. */
  hold(operation: Operation, pathEnd: string): () => void {
    let release = (): void => undefined;
    const until = new Promise<void>((resolve) => {
      release = resolve;
    });
    const rule: Rule = { kind: "hold", until, matches: matching(operation, pathEnd) };
    this.#rules.push(rule);
    return () => {
      this.#rules = this.#rules.filter((other) => other !== rule);
      release();
    };
  }

  /** After so many calls the process is dead: no call has any effect, or comes back. */
  killAfter(callCount: number): void {
    this.#callsLeft = callCount;
  }

  /** The whole content of a file. */
  content(path: string): Buffer {
    const content = this.memory.files().get(path);
    if (content === undefined) throw new Error(`there is no ${path}`);
    return Buffer.from(content);
  }

  exists(path: string): boolean {
    return this.memory.files().has(path);
  }

  /** Replaces, or makes, a file behind the back of whoever uses the disk. */
  put(path: string, content: Buffer): void {
    this.memory.openNow(path, { create: true, truncate: true }).writeNow([content], 0);
  }

  names(directory: string): string[] {
    return [...this.memory.files().keys()]
      .filter((path) => path.startsWith(`${directory}/`))
      .map((path) => path.slice(directory.length + 1));
  }

  /** A disk with the same files, of its own. */
  clone(): ScriptedDisk {
    const memory = new MemoryDisk();
    for (const [path, content] of this.memory.files()) {
      void memory.mkdir(path.slice(0, path.lastIndexOf("/")));
      memory.openNow(path, { create: true }).writeNow([content], 0);
    }
    return new ScriptedDisk(memory);
  }

  async open(path: string, options?: OpenOptions): Promise<DiskFile> {
    const file = await this.#do("open", path, () => this.memory.open(path, options));
    return {
      path,
      read: (target, position) => this.#do("read", path, () => file.read(target, position)),
      writev: (buffers, position) => this.#do("writev", path, () => file.writev(buffers, position)),
      datasync: () => this.#do("datasync", path, () => file.datasync()),
      truncate: (length) => this.#do("truncate", path, () => file.truncate(length)),
      size: () => file.size(),
      close: () => file.close(),
    };
  }

  rename(from: string, to: string): Promise<void> {
    return this.#do("rename", from, () => this.memory.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#do("remove", path, () => this.memory.remove(path));
  }

  mkdir(path: string): Promise<void> {
    return this.#do("mkdir", path, () => this.memory.mkdir(path));
  }

  list(path: string): Promise<readonly string[]> {
    return this.#do("list", path, () => this.memory.list(path));
  }

  syncDir(path: string): Promise<void> {
    return this.#do("syncDir", path, () => this.memory.syncDir(path));
  }

  statfs(): ReturnType<Disk["statfs"]> {
    return this.memory.statfs();
  }

  lock(directory: string): ReturnType<Disk["lock"]> {
    return this.memory.lock(directory);
  }

  async #do<T>(operation: Operation, path: string, run: () => Promise<T>): Promise<T> {
    if (this.#callsLeft <= 0) await new Promise(() => undefined);
    this.#callsLeft -= 1;
    const call = { operation, path };
    this.calls.push(call);
    for (const rule of this.#rules) {
      if (!rule.matches(call)) continue;
      if (rule.kind === "fail") throw new DiskError(rule.code, path, operation);
      if (rule.kind === "throw") throw rule.error;
      await rule.until;
    }
    return await run();
  }
}

function matching(operation: Operation, pathEnd: string): Rule["matches"] {
  return (call) => call.operation === operation && call.path.endsWith(pathEnd);
}
