import { OMITTED_SYNCS, without } from "./omitted-syncs.ts";
import { runFaults } from "./quorum-faults.ts";

/**
 * `npm run test:quorum -- --seeds A-B`: real drivers of three voters and an observer on simulated disks,
 * with faults. The totals on stdout; the seed and a message where a rule does not hold.
 * `npm run test:quorum -- --planted N`: how many seeds it takes to miss each sync that is left out.
 */
async function runSeeds(first: number, last: number): Promise<number> {
  const totals = new Map<string, number>();
  let failedCount = 0;
  for (let seed = first; seed <= last; seed += 1) {
    try {
      for (const [name, count] of Object.entries<number>({ ...(await runFaults(seed)) })) {
        totals.set(name, (totals.get(name) ?? 0) + count);
      }
    } catch (error) {
      failedCount += 1;
      console.error(error);
    }
  }
  const seeds = `${first}-${last}`;
  console.log(JSON.stringify({ seeds, failedCount, ...Object.fromEntries(totals) }));
  return failedCount;
}

async function runPlanted(seedCount: number): Promise<number> {
  let missedCount = 0;
  for (const omitted of OMITTED_SYNCS) {
    const found = await find(without(omitted), seedCount);
    if (found === null) missedCount += 1;
    console.log(`${omitted.name}: ${found ?? `not found in ${seedCount} seeds`}`);
  }
  return missedCount;
}

async function find(bend: ReturnType<typeof without>, seedCount: number): Promise<string | null> {
  for (let seed = 1; seed <= seedCount; seed += 1) {
    try {
      await runFaults(seed, bend);
    } catch (error) {
      const [line = ""] = error instanceof Error ? error.message.split("\n") : [];
      return `seed ${seed}, ${line}`;
    }
  }
  return null;
}

const [kind = "--seeds", given = "1-100"] = process.argv.slice(2);
const [first = 1, last = first] = given.split("-").map(Number);
const failedCount = kind === "--planted" ? await runPlanted(first) : await runSeeds(first, last);
process.exitCode = failedCount === 0 ? 0 : 1;
