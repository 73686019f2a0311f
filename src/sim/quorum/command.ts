import { SystemClock } from "../../base/clock.ts";
import { type CommandOptions, differencesOf } from "../command.ts";
import { type QuorumRunResult, runQuorumSeed } from "./run.ts";

/** Of a history that is shown. */
const LAST_EVENTS = 40;

/** Runs the seeds of the workload of several nodes. Returns the exit code. */
export async function runQuorum(
  seeds: readonly number[],
  { offload, isOnce, isVerbose }: CommandOptions,
): Promise<number> {
  const clock = new SystemClock();
  const startMs = clock.nowMs();
  const results: QuorumRunResult[] = [];
  // Modules that are loaded at first use would take real time in the first run only.
  await runQuorumSeed({ seed: 0, offload });
  let failedCount = 0;
  for (const seed of seeds) {
    const run = (keepsLines: boolean) => runQuorumSeed({ seed, offload, keepsLines });
    const first = await run(false);
    const second = isOnce ? first : await run(false);
    const problems = [
      ...first.findings.map(({ rule, detail }) => `${rule}: ${detail}`),
      ...(await differencesOf(first, second, () => run(true))),
    ];
    if (problems.length > 0) failedCount += 1;
    report(first, problems, isVerbose);
    results.push({ ...first, lines: [], story: [] });
  }
  summarize(results, { failedCount, isOnce, seconds: (clock.nowMs() - startMs) / 1000 });
  return failedCount === 0 ? 0 : 1;
}

function report(result: QuorumRunResult, problems: readonly string[], isVerbose: boolean): void {
  const { seed, hash, plan, story } = result;
  const voterCount = plan.nodes.filter(({ isController }) => isController).length;
  console.log(
    `seed ${seed} ${hash.slice(0, 16)}: ${plan.nodes.length} nodes, ${voterCount} voters, ` +
      `${result.eventCount} events, ${Math.round(result.virtualMs / 1000)} s, ` +
      `${faultCountOf(result)} faults, ${result.epochCount} leaders, ${result.commandCount} commands, ` +
      `${result.answeredCount} changes answered, ${result.unknownCount} not, ` +
      `${result.electionCount} elections, ${result.uncleanStartCount} unclean restarts`,
  );
  for (const problem of problems) console.log(`  VIOLATION ${problem}`);
  const shown = isVerbose ? story : problems.length > 0 ? story.slice(-LAST_EVENTS) : [];
  for (const event of shown) console.log(`    ${event}`);
  if (problems.length === 0) return;
  console.log(`  repeat it with: npm run sim -- --workload quorum --replay ${seed}`);
}

interface Totals {
  readonly failedCount: number;
  readonly isOnce: boolean;
  readonly seconds: number;
}

function summarize(results: readonly QuorumRunResult[], totals: Totals): void {
  const { failedCount, isOnce, seconds } = totals;
  const least = (of: (result: QuorumRunResult) => number): number =>
    Math.min(...results.map((result) => of(result)));
  const kinds = new Map<string, number>();
  for (const { faults } of results) {
    for (const [name, count] of Object.entries(faults)) {
      kinds.set(name, (kinds.get(name) ?? 0) + count);
    }
  }
  console.log(`faults: ${[...kinds].map(([name, count]) => `${name} ${count}`).join(", ")}`);
  console.log(
    `the least of a seed: ${Math.floor(least(({ faultyMs }) => faultyMs) / 1000)} s of faults, ` +
      `${least(({ commandCount }) => commandCount)} commands, ${least(faultCountOf)} faults`,
  );
  console.log(
    `${results.length} seeds${isOnce ? "" : " twice"} in ${seconds.toFixed(1)} s: ` +
      `${results.reduce((sum, { answeredCount }) => sum + answeredCount, 0)} answered changes, ` +
      `${failedCount} seeds failed`,
  );
}

function faultCountOf({ faults }: QuorumRunResult): number {
  return Object.values(faults).reduce((sum, count) => sum + count, 0);
}
