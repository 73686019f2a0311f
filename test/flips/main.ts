import { parseArgs } from "node:util";
import { run } from "./run.ts";

/**
 * npm run test:flips -- [--flips N] [--seed S] [--only K]
 *
 * One bit flipped in a closed log directory, then a start on it: everything a client can see must be
 * as it was, or be refused. `--only K` runs flip K of the seed again.
 */
const { values } = parseArgs({
  options: {
    flips: { type: "string", default: "20000" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
  },
});

const only = values.only === undefined ? null : Number(values.only);
const result = await run({ flips: Number(values.flips), seed: Number(values.seed), only });
console.log(result.table);
for (const violation of result.violations.slice(0, 20)) console.error(`VIOLATION ${violation}`);
console.log(`${result.violations.length} violations, ${result.seconds.toFixed(1)} s`);
process.exitCode = result.violations.length === 0 ? 0 : 1;
