import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { DiskFaults } from "../../src/server/main-disk-faults.ts";
import { VolatileDisk } from "../../src/storage/volatile-disk.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { ManualClock } from "../storage/support/manual-clock.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-faults-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function world() {
  const path = join(folder, "faults.json");
  const said: { facts: object; message: string }[] = [];
  const say = (facts: object, message: string): void => void said.push({ facts, message });
  const logger = { ...SILENT_LOGGER, warn: say, error: say };
  const clock = new ManualClock();
  const write = (content: unknown): void => {
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  };
  const load = (hasPlatter = false): DiskFaults =>
    DiskFaults.load({ clock, logger }, { path, hasPlatter });
  return { path, said, clock, write, load };
}

const EIO_SYNC = { operation: "datasync", path: ".log", fault: { kind: "error", code: "EIO" } };

test("the file's rules are active, are told, and change when it is read again", async () => {
  const { path, said, write, load } = world();
  write([EIO_SYNC]);
  const faults = load();
  const memory = new MemoryDisk();
  const disk = faults.over(memory, "call");
  const file = await disk.open("/0.log", { create: true });
  await expect(file.datasync()).rejects.toMatchObject({ code: "EIO" });
  expect(said).toMatchObject([
    { facts: { file: path, rules: ["EIO once: datasync of .log"] } },
    { facts: { rule: "EIO", operation: "datasync", path: "/0.log" }, message: "injected a fault" },
  ]);
  write([]);
  faults.reload();
  expect(said.at(-1)?.message).toBe("no faults of the disk are active");
  await file.datasync();
});

test("what cannot be read again changes nothing, and is said", async () => {
  const { path, said, write, load } = world();
  write([{ ...EIO_SYNC, sticky: true }]);
  const faults = load();
  const file = await faults.over(new MemoryDisk(), "call").open("/0.log", { create: true });
  write("[{}]");
  faults.reload();
  expect(said.at(-1)?.message).toBe(
    `holdfast.disk.faults=${path}: rule 1: fault must be an object; the rules stay as they were`,
  );
  await expect(file.datasync()).rejects.toMatchObject({ code: "EIO" });
});

test("a missing file is named", () => {
  const { path, load } = world();
  expect(load).toThrow(`holdfast.disk.faults=${path}: cannot be read (ENOENT`);
});

test("a rule for the platter needs a page cache of our own", () => {
  const { write, load } = world();
  write([{ ...EIO_SYNC, at: "platter" }]);
  expect(() => load(false)).toThrow(/rule 1: at "platter" needs holdfast.disk.page.cache=process/);
  load(true);
});

test("an error of the platter reaches the sync through the page cache, and no later one succeeds", async () => {
  const { clock, write, load } = world();
  write([{ operation: "writev", at: "platter", fault: { kind: "error", code: "EIO" } }]);
  const faults = load(true);
  const memory = new MemoryDisk();
  await memory.mkdir("/data");
  const cache = new VolatileDisk(
    { disk: faults.over(memory, "platter"), clock, random: new SeededRandom(1) },
    { directories: ["/data"], ageMs: Infinity, capacityBytes: 1_000_000 },
  );
  const file = await faults.over(cache, "call").open("/data/0.log", { create: true });
  await file.writev([Buffer.from("x")], 0);
  await expect(file.datasync()).rejects.toMatchObject({ code: "EIO" });
  await expect(file.datasync()).rejects.toMatchObject({ code: "EIO" });
});
