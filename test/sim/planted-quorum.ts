import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { assert } from "../../src/base/assert.ts";
import type * as OffloadModule from "../../src/server/offload.ts";
import type * as RunModule from "../../src/sim/quorum/run.ts";
import { PLANTED_BUGS, type PlantedBug } from "./planted-quorum-bugs.ts";

/**
 * `npm run test:planted-sim -- N [name]`: how many seeds of the workload of several nodes it takes to find
 * each bug that is planted in a copy of the product, N at most. Exits 1 when one is not found.
 */
async function main([given = "100", name]: readonly string[]): Promise<number> {
  let missedCount = 0;
  for (const bug of PLANTED_BUGS) {
    if (name !== undefined && bug.name !== name) continue;
    const found = await find(bug, Number(given));
    if (found === null) missedCount += 1;
    console.log(`| ${bug.name} | ${found ?? `not found in ${given} seeds`} |`);
  }
  return missedCount === 0 ? 0 : 1;
}

async function find(bug: PlantedBug, seedCount: number): Promise<string | null> {
  const root = mkdtempSync(join(tmpdir(), "planted-"));
  try {
    cpSync("src", join(root, "src"), { recursive: true });
    writeFileSync(join(root, "package.json"), '{ "type": "module" }');
    symlinkSync(resolve("node_modules"), join(root, "node_modules"));
    const path = join(root, "src", bug.file);
    const source = readFileSync(path, "utf8");
    assert(source.split(bug.from).length === 2, "a bug has one place", () => bug);
    writeFileSync(
      path,
      source.replace(bug.from, () => bug.to),
    );
    const load = (file: string): Promise<unknown> =>
      import(pathToFileURL(join(root, "src", file)).href);
    const { runQuorumSeed } = (await load("sim/quorum/run.ts")) as typeof RunModule;
    const { InlineOffload } = (await load("server/offload.ts")) as typeof OffloadModule;
    const offload = await InlineOffload.open();
    // What is imported at first use is there from now on.
    await runQuorumSeed({ seed: 0, offload });
    for (let seed = 1; seed <= seedCount; seed += 1) {
      const { findings } = await runQuorumSeed({ seed, offload });
      const [first] = findings;
      if (first === undefined) continue;
      const [line = ""] = first.detail.split("\n");
      return `${seed} | ${first.rule}: ${line.slice(0, 160)}`;
    }
    return null;
  } finally {
    rmSync(root, { recursive: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
