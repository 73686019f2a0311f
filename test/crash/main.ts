import { parseArgs } from "node:util";
import { resolve } from "node:path";
import type { Violation } from "./explorer.ts";
import { mutate } from "./mutations.ts";
import { isRecovery, isShort, isToBeExhausted, recordingNames } from "./recordings.ts";
import type { Task } from "./worker.ts";
import { Workers } from "./workers.ts";

/**
 * npm run test:crash -- [--states N] [--only NAME[@SEED]] [--state ID] [--jobs N]
 * npm run test:crash -- --mutate [--only TEXT]; with UPDATE=1 it notes where each was found
 *
 * States that a power cut or kill -9 may leave, each recovered by the product and checked (README.md):
 * every state of short traces, and samples of long ones, seed by seed, until N were distinct. With
 * --mutate every sync of the product is turned off in turn, and each must be missed. Exit code 1 when
 * something is found, or not missed, or a short trace was not exhausted.
 */
const { values } = parseArgs({
  options: {
    states: { type: "string", default: "105000" },
    only: { type: "string" },
    state: { type: "string" },
    jobs: { type: "string", default: "2" },
    mutate: { type: "boolean", default: false },
  },
});

const ROOT = resolve(import.meta.dirname, "../..");
/** Each seed of a workload's first life goes with so many of the lives after crashes in it. */
const CRASHES_PER_SEED = 6;
const MAX_SEEDS = 1000;

interface Row {
  readonly hashes: Set<string>;
  recordingCount: number;
  stateCount: number;
  momentCount: number;
  exhaustedCount: number;
  violationCount: number;
}

process.exitCode = values.mutate
  ? Math.min(1, await mutate(ROOT, Number(values.jobs), values.only ?? null))
  : await run(Number(values.states));

async function run(wantedStates: number): Promise<number> {
  const startedMs = performance.now();
  const hashes = new Set<string>();
  const rows = new Map<string, Row>();
  const violations: Violation[] = [];
  const workers = new Workers(ROOT, Number(values.jobs));
  try {
    await workers.run(
      tasks(() => hashes.size < wantedStates),
      ({ id }, answer) => {
        if (answer.kind !== "explored") return;
        const row = rows.get(id.name) ?? newRow();
        rows.set(id.name, row);
        for (const hash of answer.hashes) {
          row.hashes.add(hash);
          hashes.add(hash);
        }
        row.recordingCount += answer.recordingCount;
        row.stateCount += answer.stateCount;
        row.momentCount += answer.momentCount;
        row.exhaustedCount += answer.exhaustedCount;
        row.violationCount += answer.violations.length;
        violations.push(...answer.violations);
        for (const violation of answer.violations) report(violation);
      },
    );
  } finally {
    workers.close();
  }
  for (const [name, row] of [...rows].sort(([a], [b]) => a.localeCompare(b))) {
    console.log(`${name}: ${textOf(row)}`);
  }
  const stateCount = [...rows.values()].reduce((sum, row) => sum + row.stateCount, 0);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  const cpuSeconds = workers.cpuSeconds.toFixed(0);
  console.log(
    `${stateCount} states, ${hashes.size} distinct, ${violations.length} violations, ` +
      `${seconds} s (${cpuSeconds} s of CPU)`,
  );
  const unexhausted = [...rows].filter(([name, row]) => isToBeExhausted(name) && !isExhausted(row));
  for (const [name] of unexhausted) console.error(`${name} is too long for every state of it`);
  return violations.length === 0 && unexhausted.length === 0 ? 0 : 1;
}

function newRow(): Row {
  const counts = { recordingCount: 0, stateCount: 0, momentCount: 0, exhaustedCount: 0 };
  return { hashes: new Set(), violationCount: 0, ...counts };
}

function isExhausted({ momentCount, exhaustedCount }: Row): boolean {
  return momentCount === exhaustedCount;
}

function textOf(row: Row): string {
  const { recordingCount, stateCount, momentCount, exhaustedCount, violationCount } = row;
  const how = isExhausted(row)
    ? "exhaustive"
    : `sampled (${momentCount - exhaustedCount} of ${momentCount} moments)`;
  return (
    `${how}, ${recordingCount} traces, ${stateCount} states, ${row.hashes.size} distinct, ` +
    `${violationCount} violations`
  );
}

function report({ recording, state, event, texts }: Violation): void {
  console.error(`VIOLATION in ${recording}, state ${state}, after ${event}`);
  for (const text of texts) console.error(`  ${text}`);
  console.error(`  npm run test:crash -- --only ${recording} --state ${state}`);
}

/** Every recording with its first seed; then seed after seed while more states are wanted. */
function* tasks(
  isMoreWanted: () => boolean,
): Generator<Extract<Task, { readonly kind: "explore" }>> {
  const [name, seedText] = values.only?.split("@") ?? [];
  const names = recordingNames().filter((each) => name === undefined || each === name);
  const task = { kind: "explore" } as const;
  if (name !== undefined && seedText !== undefined) {
    const id = { name, seed: Number(seedText) };
    yield values.state === undefined ? { ...task, id } : { ...task, id, state: values.state };
    return;
  }
  // Those that take longest first, so that no process is left alone with one.
  const short = names.filter(isShort).sort((a, b) => Number(isRecovery(b)) - Number(isRecovery(a)));
  for (const each of short) yield { ...task, id: { name: each, seed: 0 } };
  const long = names.filter((each) => !isShort(each));
  if (long.length === 0) return;
  for (let round = 0; round < MAX_SEEDS && (round === 0 || isMoreWanted()); round += 1) {
    for (const each of long) {
      const count = each.endsWith("/crash") ? CRASHES_PER_SEED : 1;
      for (let seed = round * count; seed < (round + 1) * count; seed += 1) {
        if (round === 0 || isMoreWanted()) yield { ...task, id: { name: each, seed } };
      }
    }
  }
}
