import type { Clock } from "../base/clock.ts";
import {
  type Disk,
  DiskError,
  type DiskFile,
  type DiskLock,
  type DiskSpace,
  type OpenOptions,
} from "../base/disk.ts";
import { callSite } from "./call-site.ts";
import {
  type Fault,
  type FaultOperation,
  type FaultRule,
  faultRule,
  type NewFaultRule,
  pathMatcher,
} from "./fault-rules.ts";

/** One call that reached a FaultyDisk. */
export interface DiskCall {
  readonly operation: FaultOperation;
  /** Of a rename, where from; `target` is where to. */
  readonly path: string;
  readonly target: string | null;
  readonly callSite: string;
}

export interface FaultyDiskDependencies {
  readonly disk: Disk;
  readonly clock: Clock;
}

/** A rule and how often it has applied. */
interface ActiveRule {
  readonly rule: FaultRule;
  readonly matchesPath: (path: string) => boolean;
  matchedCount: number;
}

/** The bytes of a read or write, as far as rules ask for them. */
interface Range {
  readonly position: number;
  readonly length: number;
}

/**
 * A disk on which calls go wrong as rules say: errors, delays, short writes, flipped bits, chosen by
 * operation, path, call site and count. Rules may change at any time and hold for files that are open
 * as well. Without rules and recorder it adds nothing.
 *
 * It lies over the page cache (VolatileDisk), where call sites are those of the broker, and where a
 * full disk is noticed as with a kernel: by the write, not by the sync. An error of the platter itself
 * comes from a second one below the cache, and reaches the broker by its next sync, as a kernel's
 * failed writeback does.
 */
export class FaultyDisk implements Disk {
  readonly #inner: Disk;
  readonly #clock: Clock;
  #rules: readonly ActiveRule[] = [];
  #recorder: ((call: DiskCall) => void) | null = null;
  #onFault: (rule: FaultRule, call: DiskCall) => void = () => undefined;

  constructor({ disk, clock }: FaultyDiskDependencies, rules: readonly NewFaultRule[] = []) {
    this.#inner = disk;
    this.#clock = clock;
    this.setRules(rules);
  }

  /** These and no other from now on; all counts begin anew. */
  setRules(rules: readonly NewFaultRule[]): void {
    this.#rules = rules.map((given) => {
      const rule = faultRule(given);
      return { rule, matchesPath: pathMatcher(rule.path), matchedCount: 0 };
    });
  }

  /** Is told of every call before it is made; null: nobody. */
  setRecorder(recorder: ((call: DiskCall) => void) | null): void {
    this.#recorder = recorder;
  }

  /** Is told of every fault, before the caller meets it. */
  setFaultListener(onFault: (rule: FaultRule, call: DiskCall) => void): void {
    this.#onFault = onFault;
  }

  async open(path: string, options: OpenOptions = {}): Promise<DiskFile> {
    const operation = options.create === true ? "create" : "open";
    const file = await this.#call(operation, path, () => this.#inner.open(path, options));
    return this.#file(file);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call("rename", from, () => this.#inner.rename(from, to), to);
  }

  remove(path: string): Promise<void> {
    return this.#call("remove", path, () => this.#inner.remove(path));
  }

  mkdir(path: string): Promise<void> {
    return this.#call("mkdir", path, () => this.#inner.mkdir(path));
  }

  list(path: string): Promise<readonly string[]> {
    return this.#call("list", path, () => this.#inner.list(path));
  }

  syncDir(path: string): Promise<void> {
    return this.#call("syncDir", path, () => this.#inner.syncDir(path));
  }

  async statfs(path: string): Promise<DiskSpace> {
    const space = await this.#call("statfs", path, () => this.#inner.statfs(path));
    return this.#isFull(path) ? { ...space, usableBytes: 0 } : space;
  }

  lock(directory: string): Promise<DiskLock> {
    return this.#call("lock", directory, () => this.#inner.lock(directory));
  }

  #file(inner: DiskFile): DiskFile {
    const { path } = inner;
    return {
      path,
      read: (target, position) => this.#read(inner, target, position),
      writev: (buffers, position) => this.#write(inner, buffers, position),
      datasync: () => this.#call("datasync", path, () => inner.datasync()),
      truncate: (length) => this.#call("truncate", path, () => inner.truncate(length)),
      size: () => this.#call("size", path, () => inner.size()),
      close: () => this.#call("close", path, () => inner.close()),
    };
  }

  #read(inner: DiskFile, target: Uint8Array, position: number): Promise<number> {
    const faults = this.#faults("read", inner.path, null, { position, length: target.length });
    if (faults.length === 0) return inner.read(target, position);
    return this.#applying(faults, "read", inner.path, async () => {
      const readBytes = await inner.read(target, position);
      const bytes = target.subarray(0, readBytes);
      for (const fault of faults) if (fault.kind === "flipBit") flip(bytes, position, fault);
      return readBytes;
    });
  }

  #write(inner: DiskFile, buffers: readonly Uint8Array[], position: number): Promise<void> {
    const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    const faults = this.#faults("writev", inner.path, null, { position, length });
    if (faults.length === 0) return inner.writev(buffers, position);
    return this.#applying(faults, "writev", inner.path, async () => {
      // A copy: the caller's bytes are as they were, whatever reaches the disk.
      const bytes = Buffer.concat(buffers);
      for (const fault of faults) if (fault.kind === "flipBit") flip(bytes, position, fault);
      const cut = faults.find((fault) => fault.kind === "shortWrite");
      await inner.writev([bytes.subarray(0, cut?.bytes ?? length)], position);
      if (cut !== undefined) throw new DiskError(cut.code, inner.path, "writev");
    });
  }

  /** Any other call: it can be late, or refused. */
  #call<T>(
    operation: FaultOperation,
    path: string,
    call: () => Promise<T>,
    target: string | null = null,
  ): Promise<T> {
    const faults = this.#faults(operation, path, target, null);
    return faults.length === 0 ? call() : this.#applying(faults, operation, path, call);
  }

  async #applying<T>(
    faults: readonly Fault[],
    operation: FaultOperation,
    path: string,
    call: () => Promise<T>,
  ): Promise<T> {
    const refusal = faults.find((fault) => fault.kind === "error");
    let delayMs = 0;
    for (const fault of faults) if (fault.kind === "delay") delayMs += fault.ms;
    // A sync covers what was written before it was asked for, and no more: it starts now.
    const isSync = operation === "datasync" || operation === "syncDir";
    const early = isSync && refusal === undefined ? settled(call()) : null;
    if (delayMs > 0) {
      await new Promise<void>((resume) => this.#clock.after(delayMs, resume));
    }
    if (refusal !== undefined) throw new DiskError(refusal.code, path, operation);
    return await (early === null ? call() : early());
  }

  /** Where writes are always refused for want of room, there is none. */
  #isFull(path: string): boolean {
    return this.#rules.some(({ rule, matchesPath, matchedCount }) => {
      const { fault } = rule;
      const isNoRoom =
        (fault.kind === "error" || fault.kind === "shortWrite") && fault.code === "ENOSPC";
      const isActive = rule.times === Infinity && matchedCount >= rule.after;
      return isNoRoom && isActive && matchesPath(path);
    });
  }

  /** What shall go wrong with this call. Counts it, so it is asked once for each. */
  #faults(
    operation: FaultOperation,
    path: string,
    target: string | null,
    range: Range | null,
  ): readonly Fault[] {
    if (this.#rules.length === 0 && this.#recorder === null) return NO_FAULTS;
    let site: string | null = null;
    const call = (): DiskCall => {
      site ??= callSite();
      return { operation, path, target, callSite: site };
    };
    this.#recorder?.(call());
    const faults: Fault[] = [];
    for (const active of this.#rules) {
      const { rule } = active;
      if (!matches(active, operation, path, target, range)) continue;
      if (rule.callSite !== null && rule.callSite !== call().callSite) continue;
      active.matchedCount += 1;
      if (active.matchedCount <= rule.after) continue;
      if (active.matchedCount > rule.after + rule.times) continue;
      faults.push(rule.fault);
      this.#onFault(rule, call());
    }
    return faults;
  }
}

const NO_FAULTS: readonly Fault[] = [];

function matches(
  { rule, matchesPath }: ActiveRule,
  operation: FaultOperation,
  path: string,
  target: string | null,
  range: Range | null,
): boolean {
  const { operations, fault } = rule;
  if (operations.length > 0 && !operations.includes(operation)) return false;
  if (!matchesPath(path) && (target === null || !matchesPath(target))) return false;
  if (fault.kind === "shortWrite") return operation === "writev";
  if (fault.kind !== "flipBit") return true;
  if (range === null || range.length === 0) return false;
  const { position } = fault;
  if (position === null) return true;
  return position >= range.position && position < range.position + range.length;
}

/** Turns one bit over; nothing where a read came to the file's end before it. */
function flip(
  bytes: Uint8Array,
  position: number,
  fault: Extract<Fault, { kind: "flipBit" }>,
): void {
  const index = fault.position === null ? bytes.length >> 1 : fault.position - position;
  const byte = bytes[index];
  if (byte !== undefined) bytes[index] = byte ^ (1 << fault.bit);
}

/** Keeps the outcome of a call until it is asked for, so that nobody finds it unhandled. */
function settled<T>(promise: Promise<T>): () => Promise<T> {
  promise.catch(() => undefined);
  return () => promise;
}
