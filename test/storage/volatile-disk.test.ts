import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Disk, DiskError, type DiskFile } from "../../src/base/disk.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { ManualClock } from "../base/manual-clock.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { VolatileDisk, type VolatileDiskOptions } from "../../src/storage/volatile-disk.ts";

const OFF = { ageMs: Infinity, capacityBytes: Infinity };

async function mounted(
  inner: Disk = new MemoryDisk(),
  options: Omit<VolatileDiskOptions, "directories"> = OFF,
) {
  await inner.mkdir("/data/logs");
  const clock = new ManualClock();
  const volatile = (): VolatileDisk =>
    new VolatileDisk(
      { disk: inner, clock, random: new SeededRandom(1) },
      { directories: ["/data/logs/"], ...options },
    );
  return { inner, clock, volatile };
}

async function write(file: DiskFile, text: string, position = 0): Promise<void> {
  await file.writev([Buffer.from(text)], position);
}

async function textOf(disk: Disk, path: string): Promise<string | null> {
  try {
    const file = await disk.open(path);
    const target = Buffer.alloc(await file.size());
    expect(await file.read(target, 0)).toBe(target.length);
    await file.close();
    return target.toString("latin1");
  } catch (error) {
    if (error instanceof DiskError && error.code === "ENOENT") return null;
    throw error;
  }
}

/** Files and directories, as seen through the disk. */
async function tree(disk: Disk, path: string): Promise<Record<string, unknown>> {
  const result: Record<string, unknown> = {};
  for (const name of await disk.list(path)) {
    try {
      result[name] = await textOf(disk, `${path}/${name}`);
    } catch {
      result[name] = await tree(disk, `${path}/${name}`);
    }
  }
  return result;
}

describe("VolatileDisk", () => {
  test("unsynced bytes are read back, and are gone with the process", async () => {
    const { volatile } = await mounted();
    const disk = volatile();
    const file = await disk.open("/data/logs/a", { create: true });
    await disk.syncDir("/data/logs");
    await write(file, "durable");
    await file.datasync();
    await write(file, " not", 7);
    expect(await textOf(disk, "/data/logs/a")).toBe("durable not");
    expect(await textOf(volatile(), "/data/logs/a")).toBe("durable");
  });

  test("other spellings of a path do not slip past the cache", async () => {
    const { volatile, inner } = await mounted();
    const disk = volatile();
    const file = await disk.open("/data//logs/./x/../a", { create: true });
    await write(file, "cached");
    expect(await textOf(disk, "/data/logs/a")).toBe("cached");
    expect(await inner.list("/data/logs")).toEqual([]);
  });

  test("a synced file without a synced name is gone; with it, it is there", async () => {
    const { volatile, inner } = await mounted();
    const disk = volatile();
    const file = await disk.open("/data/logs/a", { create: true });
    await write(file, "x");
    await file.datasync();
    const afterKill = volatile();
    expect(await afterKill.list("/data/logs")).toEqual([]);
    // Nothing is left on the inner disk either once the next process has looked.
    expect(await inner.list("/data/logs")).toEqual([]);
    const again = volatile();
    const second = await again.open("/data/logs/a", { create: true });
    await write(second, "y");
    await second.datasync();
    await again.syncDir("/data/logs");
    expect(await tree(volatile(), "/data/logs")).toEqual({ a: "y" });
  });

  test("an unsynced rename over a synced file leaves the old content", async () => {
    const { volatile } = await mounted();
    const disk = volatile();
    for (const [name, text] of [
      ["checkpoint", "old"],
      ["checkpoint.tmp", "new"],
    ] as const) {
      const file = await disk.open(`/data/logs/${name}`, { create: true });
      await write(file, text);
      await file.datasync();
      await disk.syncDir("/data/logs");
    }
    await disk.rename("/data/logs/checkpoint.tmp", "/data/logs/checkpoint");
    expect(await tree(disk, "/data/logs")).toEqual({ checkpoint: "new" });
    expect(await tree(volatile(), "/data/logs")).toEqual({
      checkpoint: "old",
      "checkpoint.tmp": "new",
    });
  });

  test("a rename that is synced before the bytes are leaves an empty file", async () => {
    const { volatile } = await mounted();
    const disk = volatile();
    const file = await disk.open("/data/logs/tmp", { create: true });
    await write(file, "never synced");
    await disk.rename("/data/logs/tmp", "/data/logs/checkpoint");
    await disk.syncDir("/data/logs");
    expect(await tree(volatile(), "/data/logs")).toEqual({ checkpoint: "" });
  });

  test("an unsynced truncation is undone, a removal too", async () => {
    const { volatile } = await mounted();
    const disk = volatile();
    const file = await disk.open("/data/logs/a", { create: true });
    await write(file, "0123456789");
    await file.datasync();
    await disk.syncDir("/data/logs");
    await file.truncate(3);
    await write(file, "xyz", 5);
    expect(await textOf(disk, "/data/logs/a")).toBe("012\0\0xyz");
    expect(await textOf(volatile(), "/data/logs/a")).toBe("0123456789");
    await file.datasync();
    expect(await textOf(volatile(), "/data/logs/a")).toBe("012\0\0xyz");
    await disk.remove("/data/logs/a");
    expect(await disk.list("/data/logs")).toEqual([]);
    expect(await textOf(volatile(), "/data/logs/a")).toBe("012\0\0xyz");
    await disk.syncDir("/data/logs");
    expect(await volatile().list("/data/logs")).toEqual([]);
  });

  test("a sync covers what was written before it was called, and no more", async () => {
    const { volatile } = await mounted();
    const disk = volatile();
    const file = await disk.open("/data/logs/a", { create: true });
    await disk.syncDir("/data/logs");
    await write(file, "one");
    const sync = file.datasync();
    await write(file, "two", 3);
    await sync;
    expect(await textOf(disk, "/data/logs/a")).toBe("onetwo");
    expect(await textOf(volatile(), "/data/logs/a")).toBe("one");
  });

  test("flushAll leaves nothing to lose", async () => {
    const { volatile, clock } = await mounted(new MemoryDisk(), { ...OFF, ageMs: 1000 });
    const disk = volatile();
    await disk.mkdir("/data/logs/t-0");
    const file = await disk.open("/data/logs/t-0/a", { create: true });
    await write(file, "kept");
    await disk.flushAll();
    expect(disk.dirtyBytes).toBe(0);
    expect(clock.pendingCount).toBe(0);
    expect(await tree(volatile(), "/data/logs")).toEqual({ "t-0": { a: "kept" } });
  });

  test("writeback brings old bytes and names to the disk without a sync", async () => {
    const { volatile, clock } = await mounted(new MemoryDisk(), { ...OFF, ageMs: 30_000 });
    const disk = volatile();
    const file = await disk.open("/data/logs/a", { create: true });
    await write(file, "x".repeat(20_000));
    await clock.advance(29_999);
    expect(await volatile().list("/data/logs")).toEqual([]);
    await clock.advance(1);
    expect((await textOf(volatile(), "/data/logs/a"))?.length).toBe(20_000);
    expect(disk.dirtyBytes).toBe(0);
    expect(clock.pendingCount).toBe(0);
  });

  test("writers wait while too much is dirty, and none is lost", async () => {
    const { volatile } = await mounted(new MemoryDisk(), { ...OFF, capacityBytes: 10_000 });
    const disk = volatile();
    const file = await disk.open("/data/logs/a", { create: true });
    let mostBytes = 0;
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        await file.writev([Buffer.alloc(1000, index)], index * 1000);
        mostBytes = Math.max(mostBytes, disk.dirtyBytes);
      }),
    );
    expect(mostBytes).toBeLessThanOrEqual(11_000);
    await disk.flushAll();
    const text = await textOf(volatile(), "/data/logs/a");
    expect(text).toBe(
      Array.from({ length: 50 }, (_, i) => String.fromCharCode(i).repeat(1000)).join(""),
    );
  });

  test("a failed sync is final for its file (R9)", async () => {
    const memory = new MemoryDisk();
    let fails = true;
    const failing: Disk = Object.assign(Object.create(memory) as Disk, {
      open: async (path: string, options?: object) => {
        const file = await memory.open(path, options);
        file.datasync = () =>
          fails ? Promise.reject(new DiskError("EIO", path, "datasync")) : Promise.resolve();
        return file;
      },
      rename: (from: string, to: string) => memory.rename(from, to),
      remove: (path: string) => memory.remove(path),
      mkdir: (path: string) => memory.mkdir(path),
      list: (path: string) => memory.list(path),
      syncDir: (path: string) => memory.syncDir(path),
    });
    const { volatile } = await mounted(failing);
    const file = await volatile().open("/data/logs/a", { create: true });
    await write(file, "x");
    await expect(file.datasync()).rejects.toThrow("EIO");
    fails = false;
    await expect(file.datasync()).rejects.toThrow("EIO");
  });
});

/** The rules of Disk, said as plainly as possible: what the process sees, and what a kill leaves. */
interface Rules {
  readonly root: RuleDirectory;
}
interface RuleFile {
  kind: "file";
  bytes: string;
  synced: string;
}
interface RuleDirectory {
  kind: "directory";
  entries: Map<string, RuleFile | RuleDirectory>;
  synced: Map<string, RuleFile | RuleDirectory>;
}
function directory(): RuleDirectory {
  return { kind: "directory", entries: new Map(), synced: new Map() };
}
function view(node: RuleDirectory, isAfterCut: boolean): Record<string, unknown> {
  const entries = [...(isAfterCut ? node.synced : node.entries)].map(([name, child]) => [
    name,
    child.kind === "directory" ? view(child, isAfterCut) : isAfterCut ? child.synced : child.bytes,
  ]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}

type Step =
  | { kind: "write"; directory: string; name: string; position: number; text: string }
  | { kind: "truncate"; directory: string; name: string; length: number }
  | { kind: "datasync"; directory: string; name: string }
  | { kind: "rename"; directory: string; name: string; to: string }
  | { kind: "remove"; directory: string; name: string }
  | { kind: "syncDir"; directory: string }
  | { kind: "removeDirectory"; directory: string };

const directoryName = fc.constantFrom("", "d", "e");
const fileName = fc.constantFrom("a", "b", "c");
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      directory: directoryName,
      name: fileName,
      position: fc.nat(12),
      text: fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom("x", "y", "z") }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("truncate" as const),
      directory: directoryName,
      name: fileName,
      length: fc.nat(15),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("datasync" as const),
      directory: directoryName,
      name: fileName,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("rename" as const),
      directory: directoryName,
      name: fileName,
      to: fileName,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("remove" as const),
      directory: directoryName,
      name: fileName,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("syncDir" as const), directory: directoryName }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("removeDirectory" as const),
      directory: fc.constantFrom("d", "e"),
    }),
  },
);

function splice(bytes: string, position: number, text: string): string {
  const padded = bytes.padEnd(position, "\0");
  return padded.slice(0, position) + text + padded.slice(position + text.length);
}

async function runStep(disk: Disk, rules: Rules, one: Step): Promise<void> {
  const base = one.directory === "" ? "/data/logs" : `/data/logs/${one.directory}`;
  let node: RuleDirectory = rules.root;
  if (one.directory !== "") {
    const child = rules.root.entries.get(one.directory);
    if (one.kind === "removeDirectory") {
      if (child === undefined) return;
      await disk.remove(base);
      rules.root.entries.delete(one.directory);
      return;
    }
    await disk.mkdir(base);
    node = child?.kind === "directory" ? child : directory();
    rules.root.entries.set(one.directory, node);
  }
  if (one.kind === "syncDir") {
    await disk.syncDir(base);
    node.synced = new Map(node.entries);
    return;
  }
  if (one.kind === "removeDirectory") return;
  const path = `${base}/${one.name}`;
  let file = node.entries.get(one.name);
  if (one.kind === "write") {
    file ??= { kind: "file", bytes: "", synced: "" };
    node.entries.set(one.name, file);
  }
  if (file?.kind !== "file") {
    if (one.kind === "remove") await expect(disk.remove(path)).rejects.toThrow("ENOENT");
    return;
  }
  switch (one.kind) {
    case "rename":
      await disk.rename(path, `${base}/${one.to}`);
      node.entries.delete(one.name);
      node.entries.set(one.to, file);
      return;
    case "remove":
      await disk.remove(path);
      node.entries.delete(one.name);
      return;
    default: {
      const handle = await disk.open(path, { create: one.kind === "write" });
      if (one.kind === "write") {
        await write(handle, one.text, one.position);
        file.bytes = splice(file.bytes, one.position, one.text);
      } else if (one.kind === "truncate") {
        await handle.truncate(one.length);
        file.bytes = file.bytes.slice(0, one.length).padEnd(one.length, "\0");
      } else {
        await handle.datasync();
        file.synced = file.bytes;
      }
      await handle.close();
    }
  }
}

describe("VolatileDisk against the rules of Disk", () => {
  test("whatever was done, the process sees all of it, and a kill leaves what was synced", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { volatile } = await mounted();
        const disk = volatile();
        const rules: Rules = { root: directory() };
        for (const one of steps) await runStep(disk, rules, one);
        expect(await tree(disk, "/data/logs")).toEqual(view(rules.root, false));
        expect(await tree(volatile(), "/data/logs")).toEqual(view(rules.root, true));
      }),
      { numRuns: 400 },
    );
  });

  test("after flushAll a kill leaves everything", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { volatile } = await mounted();
        const disk = volatile();
        const rules: Rules = { root: directory() };
        for (const one of steps) await runStep(disk, rules, one);
        await disk.flushAll();
        expect(disk.dirtyBytes).toBe(0);
        expect(await tree(volatile(), "/data/logs")).toEqual(view(rules.root, false));
      }),
      { numRuns: 150 },
    );
  });
});
