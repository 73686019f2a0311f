import { newNode } from "./model-cluster.ts";
import { runModel } from "./model-run.ts";
import { plant, PLANTED_BUGS, type PlantedBug } from "./planted-bugs.ts";

/**
 * `npm run test:raft -- --seeds A-B`: the model of the quorum, each seed with 1, 3 and 5 voters.
 * `npm run test:raft -- --planted N`: how many seeds it takes to find each planted bug, N at most.
 * TRACE=1 adds the last events before a violation.
 */
const FAULTS_MS = 60_000;
const VOTER_COUNTS = [3, 5, 1];

function optionsOf(seed: number, voterCount: number) {
  return { seed, voterCount, observerCount: 2, faultsMs: FAULTS_MS };
}

/** Returns how many seeds were not clean. */
function runSeeds(firstSeed: number, lastSeed: number): number {
  const totals = new Map<string, number>();
  let failedCount = 0;
  let fewestCommands = Infinity;
  let fewestFaults = Infinity;
  for (let seed = firstSeed; seed <= lastSeed; seed += 1) {
    for (const voterCount of VOTER_COUNTS) {
      try {
        const report = runModel(newNode, optionsOf(seed, voterCount));
        fewestCommands = Math.min(fewestCommands, report.committedCount);
        fewestFaults = Math.min(fewestFaults, report.faultCount);
        for (const [name, count] of Object.entries<number>({ ...report })) {
          if (name !== "traceHash") totals.set(name, (totals.get(name) ?? 0) + count);
        }
      } catch (error) {
        failedCount += 1;
        console.error(error);
      }
    }
  }
  console.log(
    JSON.stringify({
      seeds: `${firstSeed}-${lastSeed}`,
      failedCount,
      fewestCommands,
      fewestFaults,
      ...Object.fromEntries(totals),
    }),
  );
  return failedCount;
}

/** The seed that finds it, and how. */
async function find(bug: PlantedBug, seedCount: number): Promise<string | null> {
  const planted = await plant(bug);
  try {
    for (let seed = 1; seed <= seedCount; seed += 1) {
      for (const voterCount of VOTER_COUNTS) {
        try {
          runModel(planted.newNode, optionsOf(seed, voterCount));
        } catch (error) {
          const text =
            error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
          return `${seed} | ${text}`;
        }
      }
    }
    return null;
  } finally {
    planted.remove();
  }
}

async function runPlanted(seedCount: number, name: string | undefined): Promise<number> {
  let missedCount = 0;
  console.log("| bug | seeds to find it | what was seen |\n| --- | --- | --- |");
  for (const bug of PLANTED_BUGS) {
    if (name !== undefined && bug.name !== name) continue;
    const found = await find(bug, seedCount);
    if (found === null) missedCount += 1;
    console.log(`| ${bug.name} | ${found ?? `not within ${seedCount} | MISSED`} |`);
  }
  return missedCount;
}

const [mode, value = "", name] = process.argv.slice(2);
if (mode === "--planted") {
  process.exitCode = (await runPlanted(Number(value), name)) === 0 ? 0 : 1;
} else if (mode === "--seeds") {
  const [first = 1, last = first] = value.split("-").map(Number);
  process.exitCode = runSeeds(first, last) === 0 ? 0 : 1;
} else {
  console.error("usage: --seeds A-B | --planted N [name]");
  process.exitCode = 2;
}
