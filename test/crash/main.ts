import { parseArgs } from "node:util";
import { resolve } from "node:path";
import type { Violation } from "./explorer.ts";
import { mutate } from "./mutations.ts";
import { recordingNames } from "./recordings.ts";
import type { Task } from "./worker.ts";
import { Workers } from "./workers.ts";

/**
 * npm run test:crash -- [--states N] [--only NAME[@SEED]] [--state ID] [--jobs N]
 * npm run test:crash -- --mutate [--only TEXT]
 *
 * States that a power cut or kill -9 may leave, each recovered by the product and checked (README.md).
 * Goes on, seed by seed, until N states were distinct. With --mutate every sync of the product is
 * turned off in turn, and each must be missed. Exit code 1 when something is found, or not missed.
 */
const { values } = parseArgs({
  options: {
    states: { type: "string", default: "110000" },
    only: { type: "string" },
    state: { type: "string" },
    limit: { type: "string", default: "60" },
    jobs: { type: "string", default: "2" },
    mutate: { type: "boolean", default: false },
  },
});

const ROOT = resolve(import.meta.dirname, "../..");
/** Each seed of a workload's first life goes with so many of the lives after crashes in it. */
const CRASHES_PER_SEED = 6;
const MAX_SEEDS = 1000;

interface Row {
  stateCount: number;
  readonly hashes: Set<string>;
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
        const row = rows.get(id.name) ?? { stateCount: 0, hashes: new Set(), violationCount: 0 };
        rows.set(id.name, row);
        row.stateCount += answer.stateCount;
        row.violationCount += answer.violations.length;
        for (const hash of answer.hashes) {
          row.hashes.add(hash);
          hashes.add(hash);
        }
        violations.push(...answer.violations);
        for (const violation of answer.violations) report(violation);
      },
    );
  } finally {
    workers.close();
  }
  for (const [name, row] of rows) {
    const { stateCount, violationCount } = row;
    console.log(
      `${name}: ${stateCount} states, ${row.hashes.size} distinct, ${violationCount} violations`,
    );
  }
  const stateCount = [...rows.values()].reduce((sum, row) => sum + row.stateCount, 0);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  console.log(
    `${stateCount} states, ${hashes.size} distinct, ${violations.length} violations, ${seconds} s`,
  );
  return violations.length === 0 ? 0 : 1;
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
  const limit = Number(values.limit);
  const task = { kind: "explore", limit } as const;
  if (name !== undefined && seedText !== undefined) {
    const id = { name, seed: Number(seedText) };
    yield values.state === undefined ? { ...task, id } : { ...task, id, state: values.state };
    return;
  }
  for (let round = 0; round < MAX_SEEDS && (round === 0 || isMoreWanted()); round += 1) {
    for (const each of names) {
      const count = each.endsWith("/crash") ? CRASHES_PER_SEED : 1;
      for (let seed = round * count; seed < (round + 1) * count; seed += 1) {
        if (round === 0 || isMoreWanted()) yield { ...task, id: { name: each, seed } };
      }
    }
  }
}
