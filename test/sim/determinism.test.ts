import { beforeAll, describe, expect, test } from "vitest";
import type { Disk } from "../../src/base/disk.ts";
import type { Ports } from "../../src/base/ports.ts";
import type { Random } from "../../src/base/random.ts";
import { InlineOffload } from "../../src/server/offload.ts";
import { type RunResult, runSeed } from "../../src/sim/run.ts";

let offload: InlineOffload;
beforeAll(async () => {
  offload = await InlineOffload.open();
  // What is imported at first use is there from now on.
  await runSeed({ seed: 0, offload });
});

function run(seed: number, bend?: (ports: Ports) => Ports): Promise<RunResult> {
  return runSeed({ seed, offload, ...(bend === undefined ? {} : { bend }) });
}

describe("a run of the simulator", () => {
  test.each([1, 2, 3, 4])("seed %i: the same hash twice, and no violation", async (seed) => {
    const first = await run(seed);
    expect(first.findings).toEqual([]);
    expect(first.ackedCount).toBe(first.sentCount);
    expect((await run(seed)).hash).toBe(first.hash);
  });

  test.each([[52, "a lone node that is told to stop while it starts comes up first"]])(
    "seed %i: %s",
    async (seed) => {
      const first = await run(seed);
      expect(first.findings).toEqual([]);
      expect(first.ackedCount).toBe(first.sentCount);
      expect((await run(seed)).hash).toBe(first.hash);
    },
  );

  test("other seeds have other hashes", async () => {
    const hashes = [(await run(7)).hash, (await run(8)).hash];
    expect(new Set(hashes).size).toBe(2);
  });

  test.each<[string, string, () => void]>([
    ["Date.now", "Date.now", () => Date.now()],
    ["a real timer", "setTimeout", () => setTimeout(() => undefined, 0)],
    ["Math.random", "Math.random", () => Math.random()],
  ])("%s planted in a port makes it fail", async (_name, what, plant) => {
    let isPlanted = false;
    const result = await run(1, (ports) => ({
      ...ports,
      clock: {
        nowMs: () => {
          if (!isPlanted) plant();
          isPlanted = true;
          return ports.clock.nowMs();
        },
        wallMs: () => ports.clock.wallMs(),
        after: (delayMs, callback) => ports.clock.after(delayMs, callback),
        afterPoll: (callback) => ports.clock.afterPoll(callback),
      },
    }));
    expect(result.findings.map(({ rule, detail }) => `${rule}: ${detail}`)).toEqual([
      expect.stringMatching(new RegExp(`^guard: ${what}\\n`)),
    ]);
  });

  test("real chance that reaches the broker changes the hash", async () => {
    let draw = 1;
    const chance: Random = {
      uint32: () => draw++,
      bytes: (length) => Buffer.alloc(length, draw++),
      fork: () => chance,
    };
    const chancy = (ports: Ports): Ports => ({ ...ports, random: chance });
    expect((await run(2, chancy)).hash).not.toBe((await run(2, chancy)).hash);
  });
});

/** A disk that says it has synced the batches of topics, and has not. */
function lying(disk: Disk): Disk {
  return {
    open: async (path, options) => {
      const file = await disk.open(path, options);
      return /\/topic-\d+-\d+\/\d+\.log$/.test(path)
        ? { ...file, datasync: () => Promise.resolve() }
        : file;
    },
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    mkdir: (path) => disk.mkdir(path),
    list: (path) => disk.list(path),
    syncDir: (path) => disk.syncDir(path),
    statfs: (path) => disk.statfs(path),
    lock: (directory) => disk.lock(directory),
  };
}

describe("the simulator can fail", () => {
  test("a broker whose syncs do nothing is found out by a power cut", async () => {
    // Either acked records are missing, or the broker itself sees that durable ones are (R10).
    const found: string[] = [];
    for (let seed = 1; seed <= 20 && found.length === 0; seed += 1) {
      const result = await run(seed, (ports) => ({ ...ports, disk: lying(ports.disk) }));
      for (const { rule, detail } of result.findings) {
        if (rule === "lost-write" || detail.includes("damaged below its durable point")) {
          found.push(detail);
        }
      }
    }
    expect(found).not.toEqual([]);
  });
});
