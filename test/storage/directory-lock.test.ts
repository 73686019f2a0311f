import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DiskError, type DiskLock } from "../../src/base/disk.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-lock-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Leaves a socket that nobody listens on, as a killed process does. */
async function leaveStale(name: string): Promise<void> {
  const server = createServer();
  server.listen(join(directory, `${name}.bound`));
  await once(server, "listening");
  renameSync(join(directory, `${name}.bound`), join(directory, name));
  server.close();
  await once(server, "close");
}

async function tryLock(disk: NodeDisk): Promise<DiskLock | null> {
  try {
    return await disk.lock(directory);
  } catch (error) {
    expect(error).toBeInstanceOf(DiskError);
    expect((error as DiskError).code).toBe("EBUSY");
    return null;
  }
}

const CHILD = `
  const { NodeDisk } = await import(process.argv[1]);
  process.stdin.once("data", () => {
    new NodeDisk().lock(process.argv[2]).then(
      () => process.stdout.write("won\\n"),
      (error) => process.stdout.write(error.code + "\\n"),
    );
  });
  process.stdout.write("ready\\n");
`;

function startContender() {
  const module = new URL("../../src/storage/node-disk.ts", import.meta.url).href;
  const child = spawn(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "-e", CHILD, module, directory],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const line = async (): Promise<string> => {
    const [data] = (await once(child.stdout, "data")) as [Buffer];
    return data.toString().trim();
  };
  return { child, line };
}

describe("the lock of a directory", () => {
  test("a second owner is refused until the first releases", async () => {
    const disk = new NodeDisk();
    const first = await disk.lock(directory);
    expect(await tryLock(new NodeDisk())).toBeNull();
    expect(await tryLock(new NodeDisk())).toBeNull();
    await first.release();
    await first.release();
    expect(readdirSync(directory)).toEqual([]);
    const second = await disk.lock(directory);
    await second.release();
  });

  test("a stale lock and stale contenders are taken over and swept", async () => {
    await leaveStale(".lock");
    await leaveStale(".lock-0000000000000000");
    await leaveStale(".lock-ffffffffffffffff");
    await leaveStale(".lock-8888888888888888.new");
    const lock = await new NodeDisk().lock(directory);
    expect(readdirSync(directory)).toEqual([".lock"]);
    await lock.release();
  });

  test("of many that find a stale lock at once exactly one wins", async () => {
    for (let round = 0; round < 15; round += 1) {
      await leaveStale(".lock");
      const locks = await Promise.all(
        Array.from({ length: 25 }, (_, i) =>
          tryLock(new NodeDisk({ random: new SeededRandom(`${round}/${i}`) })),
        ),
      );
      const winners = locks.filter((lock) => lock !== null);
      expect(winners).toHaveLength(1);
      expect(readdirSync(directory)).toEqual([".lock"]);
      await winners[0]!.release();
    }
  });

  test("a path too long for a socket works through the open directory", async () => {
    const parent = directory;
    directory = join(parent, "x".repeat(120));
    mkdirSync(directory);
    const lock = await new NodeDisk().lock(directory);
    expect(existsSync(join(directory, ".lock"))).toBe(true);
    expect(await tryLock(new NodeDisk())).toBeNull();
    await lock.release();
    directory = parent;
  });

  test("a missing directory is named in the refusal", async () => {
    await expect(new NodeDisk().lock(join(directory, "missing"))).rejects.toThrow(/missing/);
  });

  test("processes: one of several wins, and kill -9 frees the directory", async () => {
    const contenders = Array.from({ length: 5 }, startContender);
    try {
      await Promise.all(contenders.map(({ line }) => line()));
      const late = contenders.pop()!;
      const answers = contenders.map(({ line }) => line());
      for (const { child } of contenders) child.stdin.write("go\n");
      const lines = await Promise.all(answers);
      expect([...lines].sort()).toEqual(["EBUSY", "EBUSY", "EBUSY", "won"]);
      const winner = contenders[lines.indexOf("won")]!;
      winner.child.kill("SIGKILL");
      await once(winner.child, "exit");
      expect(existsSync(join(directory, ".lock"))).toBe(true);
      contenders.push(late);
      const answer = late.line();
      late.child.stdin.write("go\n");
      expect(await answer).toBe("won");
    } finally {
      for (const { child } of contenders) child.kill("SIGKILL");
    }
  });
});
