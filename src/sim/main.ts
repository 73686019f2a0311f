import { parseArgs } from "node:util";
import { SystemClock } from "../base/clock.ts";
import { InlineOffload } from "../server/offload.ts";
import { type CommandOptions, differencesOf } from "./command.ts";
import { runQuorum } from "./quorum/command.ts";
import { type RunResult, runSeed } from "./run.ts";

const WORKLOADS: ReadonlySet<string> = new Set(["node", "quorum"]);

const USAGE = `usage: npm run sim -- [--workload node|quorum] [--seed N | --replay N | --seeds FROM-TO] [--once] [--verbose]

Runs whole brokers in virtual time. node: clients produce and consume while one is killed and loses power.
quorum: three to five nodes share their metadata, clients change it, and all goes wrong. Each seed runs
twice, and both runs must have the same hash over all port calls and response bytes. Exits 1 on a violation,
with the command that repeats it. --once runs each seed only once; --replay runs one and tells all of it.`;

/** Runs seeds as the command line asks. Returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      workload: { type: "string", default: "node" },
      seed: { type: "string" },
      replay: { type: "string" },
      seeds: { type: "string" },
      once: { type: "boolean" },
      verbose: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  const seeds = seedsOf(values.replay ?? values.seed, values.seeds ?? "1-100");
  if (values.help === true || seeds === null || !WORKLOADS.has(values.workload)) {
    console.log(USAGE);
    return values.help === true ? 0 : 2;
  }
  const offload = await InlineOffload.open();
  const isVerbose = values.verbose === true || values.replay !== undefined;
  const options = { offload, isOnce: values.once === true, isVerbose };
  return values.workload === "quorum" ? runQuorum(seeds, options) : runNode(seeds, options);
}

async function runNode(
  seeds: readonly number[],
  { offload, isOnce, isVerbose }: CommandOptions,
): Promise<number> {
  const clock = new SystemClock();
  const startMs = clock.nowMs();
  // Modules that are loaded at first use would take real time in the first run only.
  await runSeed({ seed: 0, offload });
  const hashes = new Map<string, number>();
  const totals = { failed: 0, acked: 0, lost: 0, crashes: 0, events: 0 };
  for (const seed of seeds) {
    const first = await runSeed({ seed, offload });
    const second = isOnce ? first : await runSeed({ seed, offload });
    const run = (): Promise<RunResult> => runSeed({ seed, offload, keepsLines: true });
    const problems = [...problemsOf(first), ...(await differencesOf(first, second, run))];
    const other = hashes.get(first.hash);
    if (other !== undefined) problems.push(`the hash is the same as that of seed ${other}`);
    hashes.set(first.hash, seed);
    report(first, problems, isVerbose);
    if (problems.length > 0) totals.failed += 1;
    totals.acked += first.ackedCount;
    totals.lost += first.lostCount;
    totals.events += first.eventCount;
    totals.crashes += sum(Object.values(first.crashes));
  }
  const seconds = ((clock.nowMs() - startMs) / 1000).toFixed(1);
  console.log(
    `${seeds.length} seeds${isOnce ? "" : " twice"} in ${seconds} s: ${totals.crashes} crashes, ` +
      `${totals.acked} records acked, ${totals.lost} of them lost where that is the expected result ` +
      `(no fsync and a power cut), ${totals.failed} seeds failed`,
  );
  return totals.failed === 0 ? 0 : 1;
}

function report(result: RunResult, problems: readonly string[], isVerbose: boolean): void {
  const { seed, hash, plan, crashes, groups } = result;
  const loss = plan.mayLose ? `, lost ${result.lostCount} (expected)` : "";
  console.log(
    `seed ${seed} ${hash.slice(0, 16)} flush ${plan.flush}: ${result.eventCount} events, ` +
      `${crashes.kill} kills, ${crashes.power} power cuts, ${crashes.stop} stops; sent ${result.sentCount}, ` +
      `acked ${result.ackedCount}, polled ${result.polledCount}, in the log ${result.logCount}${loss}; ` +
      `groups: ${groups.generations} generations, ${groups.acked} offsets acked, ` +
      `${groups.refused} refused, ${groups.reads} looked at`,
  );
  if (isVerbose) console.log(JSON.stringify({ plan, virtualMs: result.virtualMs, hash }));
  for (const problem of problems) console.log(`  VIOLATION ${problem}`);
  if (problems.length > 0) console.log(`  repeat it with: npm run sim -- --seed ${seed}`);
}

function problemsOf(result: RunResult): string[] {
  return result.findings.map(({ rule, detail }) => `${rule}: ${detail}`);
}

function seedsOf(seed: string | undefined, range: string): number[] | null {
  const match = /^(\d+)-(\d+)$/.exec(seed === undefined ? range : `${seed}-${seed}`);
  const [from, to] = [Number(match?.[1] ?? NaN), Number(match?.[2] ?? NaN)];
  if (!(from <= to)) return null;
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

process.exitCode = await main(process.argv.slice(2));
