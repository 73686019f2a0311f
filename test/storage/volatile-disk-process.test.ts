import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-volatile-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const CHILD = `
  const [base, directory, ending] = process.argv.slice(1);
  const load = (name) => import(new URL(name, base).href);
  const { NodeDisk } = await load("storage/node-disk.ts");
  const { VolatileDisk } = await load("storage/volatile-disk.ts");
  const { SystemClock } = await load("base/clock.ts");
  const { SystemRandom } = await load("base/random.ts");
  const disk = new VolatileDisk(
    { disk: new NodeDisk(), clock: new SystemClock(), random: new SystemRandom() },
    { directories: [directory], ageMs: 30_000, capacityBytes: 1e8 },
  );
  const write = async (name, text, syncs) => {
    const file = await disk.open(directory + "/" + name, { create: true });
    await file.writev([Buffer.from(text)], 0);
    if (syncs) await file.datasync();
  };
  await write("synced", "kept", true);
  await write("unsynced", "lost", false);
  await disk.syncDir(directory);
  await write("unnamed", "lost", true);
  if (ending === "flush") await disk.flushAll();
  process.stdout.write("ready\\n");
  setInterval(() => undefined, 1000);
`;

async function leave(ending: "kill" | "flush"): Promise<(name: string) => string | null> {
  const base = new URL("../../src/", import.meta.url).href;
  const child = spawn(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "-e", CHILD, base, directory, ending],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  return (name) => {
    const path = join(directory, name);
    return existsSync(path) ? readFileSync(path, "latin1") : null;
  };
}

test("kill -9 of a real process loses what was not synced, as a power cut does", async () => {
  const content = await leave("kill");
  expect(content("synced")).toBe("kept");
  expect(content("unsynced")).toBe("");
  expect(content("unnamed")).toBeNull();
});

test("after flushAll even kill -9 loses nothing", async () => {
  const content = await leave("flush");
  expect([content("synced"), content("unsynced"), content("unnamed")]).toEqual([
    "kept",
    "lost",
    "lost",
  ]);
});
