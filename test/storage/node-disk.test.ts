import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DiskError } from "../../src/base/disk.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-disk-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DiskError);
  return (error as DiskError).code;
}

describe("NodeDisk", () => {
  test("mkdir makes missing parents, bears one that is there, and never hangs", async () => {
    const disk = new NodeDisk();
    await disk.mkdir(join(directory, "a/b/c"));
    await disk.mkdir(join(directory, "a/b/c"));
    expect(await disk.list(join(directory, "a/b"))).toEqual(["c"]);
    writeFileSync(join(directory, "file"), "");
    expect(await codeOf(disk.mkdir(join(directory, "file")))).toBe("ENOTDIR");
    expect(await codeOf(disk.mkdir(join(directory, "file/x")))).toBe("ENOTDIR");
    expect(await codeOf(disk.mkdir("/proc/holdfast/x"))).toBe("ENOENT");
  });

  test("remove takes a directory with all that is in it", async () => {
    const disk = new NodeDisk();
    await disk.mkdir(join(directory, "a/b"));
    for (let i = 0; i < 50; i += 1) writeFileSync(join(directory, `a/b/${i}`), "x");
    await disk.remove(join(directory, "a"));
    expect(await disk.list(directory)).toEqual([]);
    expect(await codeOf(disk.remove(join(directory, "a")))).toBe("ENOENT");
  });

  test("a directory is locked once, whatever it is called", async () => {
    const disk = new NodeDisk();
    await disk.mkdir(join(directory, "a"));
    symlinkSync(join(directory, "a"), join(directory, "b"));
    const lock = await disk.lock(join(directory, "a"));
    expect(await codeOf(disk.lock(join(directory, "b")))).toBe("EDEADLK");
    expect(await codeOf(new NodeDisk().lock(join(directory, "b")))).toBe("EBUSY");
    await lock.release();
    await (await disk.lock(join(directory, "b"))).release();
  });

  test("what was written is read back, whatever the cut into buffers", async () => {
    const disk = new NodeDisk();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }),
        fc.nat(100),
        async (buffers, position) => {
          const file = await disk.open(join(directory, "f"), { create: true, truncate: true });
          await file.writev(buffers, position);
          const bytes = Buffer.concat(buffers);
          const target = Buffer.alloc(bytes.length + 10);
          expect(await file.read(target, position)).toBe(bytes.length);
          expect(target.subarray(0, bytes.length).equals(bytes)).toBe(true);
          expect(await file.size()).toBe(bytes.length === 0 ? 0 : position + bytes.length);
          await file.close();
        },
      ),
      { numRuns: 50 },
    );
  });

  test("more buffers than one system call takes are all written", async () => {
    const file = await new NodeDisk().open(join(directory, "f"), { create: true });
    const buffers = Array.from({ length: 2500 }, (_, i) => Buffer.from([i & 0xff, i >> 8]));
    await file.writev(buffers, 0);
    const target = Buffer.alloc(5000);
    expect(await file.read(target, 0)).toBe(5000);
    expect(target.equals(Buffer.concat(buffers))).toBe(true);
    await file.close();
  });

  test("small and large writes at the same time land where they were sent", async () => {
    const disk = new NodeDisk();
    const file = await disk.open(join(directory, "f"), { create: true });
    const blocks = Array.from({ length: 40 }, (_, i) =>
      Buffer.alloc(i % 2 === 0 ? 1000 : 200_000, i),
    );
    let position = 0;
    const writes = blocks.map((block) => {
      const write = file.writev([block], position);
      position += block.length;
      return Promise.all([write, file.datasync()]);
    });
    await Promise.all(writes);
    const target = Buffer.alloc(position);
    expect(await file.read(target, 0)).toBe(position);
    expect(target.equals(Buffer.concat(blocks))).toBe(true);
    await file.close();
  });

  test("a write of many megabytes leaves the event loop turns, and close waits for all of it", async () => {
    const disk = new NodeDisk();
    const file = await disk.open(join(directory, "f"), { create: true });
    const megabyte = 1024 * 1024;
    const buffers = [1, 1, 1, 5, 1, 1].map((size, i) => Buffer.alloc(size * megabyte, i + 1));
    const order: string[] = [];
    setImmediate(() => order.push("a turn"));
    const write = file.writev(buffers, 0).then(() => order.push("written"));
    const closed = file.close().then(() => order.push("closed"));
    await Promise.all([write, closed]);
    expect(order).toEqual(["a turn", "written", "closed"]);
    const again = await disk.open(join(directory, "f"));
    const target = Buffer.alloc(11 * megabyte);
    expect(await again.read(target, 0)).toBe(10 * megabyte);
    expect(target.subarray(0, 10 * megabyte).equals(Buffer.concat(buffers))).toBe(true);
    await again.close();
  });

  test("refusals carry the operating system's code and the path", async () => {
    const disk = new NodeDisk();
    const missing = join(directory, "missing");
    expect(await codeOf(disk.open(missing))).toBe("ENOENT");
    expect(await codeOf(disk.remove(missing))).toBe("ENOENT");
    expect(await codeOf(disk.list(missing))).toBe("ENOENT");
    expect(await codeOf(disk.syncDir(missing))).toBe("ENOENT");
    expect(await codeOf(disk.rename(missing, join(directory, "x")))).toBe("ENOENT");
    writeFileSync(join(directory, "file"), "x");
    expect(await codeOf(disk.list(join(directory, "file")))).toBe("ENOTDIR");
    expect(await codeOf(disk.open(directory))).toBe("EISDIR");
  });

  test("a closed file refuses, and close waits for what is in flight", async () => {
    const file = await new NodeDisk().open(join(directory, "f"), { create: true });
    const write = file.writev([Buffer.alloc(1_000_000, 7)], 0);
    const sync = file.datasync();
    await file.close();
    await Promise.all([write, sync]);
    await file.close();
    expect(await codeOf(file.datasync())).toBe("EBADF");
    expect(await codeOf(file.size())).toBe("EBADF");
  });

  test("names: mkdir with parents, sorted list, rename over a file, remove with contents", async () => {
    const disk = new NodeDisk();
    const deep = join(directory, "a", "b");
    await disk.mkdir(deep);
    await disk.mkdir(deep);
    for (const name of ["z", "y", "x"]) {
      const file = await disk.open(join(deep, name), { create: true });
      await file.writev([Buffer.from(name)], 0);
      await file.close();
    }
    expect(await disk.list(deep)).toEqual(["x", "y", "z"]);
    await disk.rename(join(deep, "x"), join(deep, "y"));
    await disk.syncDir(deep);
    expect(await disk.list(deep)).toEqual(["y", "z"]);
    const file = await disk.open(join(deep, "y"));
    const target = Buffer.alloc(1);
    await file.read(target, 0);
    expect(target.toString()).toBe("x");
    await file.truncate(0);
    expect(await file.size()).toBe(0);
    await file.close();
    await disk.remove(join(directory, "a"));
    expect(await disk.list(directory)).toEqual([]);
    expect((await disk.statfs(directory)).totalBytes).toBeGreaterThan(0);
  });
});
