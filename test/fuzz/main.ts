import { parseArgs } from "node:util";
import { InlineOffload } from "../../src/server/offload.ts";
import { fuzzBatches, loadBatches } from "./batches.ts";
import { fuzzBroker } from "./brokers.ts";
import { fuzzCodecs } from "./codecs.ts";
import { growth, heldMemory, type HeldMemory, mib } from "./memory.ts";
import { formatCounts, Tally } from "./tally.ts";
import { loadGroups } from "./vectors.ts";

/**
 * npm run fuzz -- [--frames N] [--seed S] [--start I]
 *
 * Mutated golden vectors against the codecs, the record batches, and a live broker. Whatever comes in,
 * out comes a value or a typed error, within bounded memory; the broker answers, or closes the
 * connection, and lives. Exit code 1 on anything else. `--start I --frames 1` runs frame I again.
 */
const BATCH_SHARE = 0.15;
const BROKER_SHARE = 0.03;
/** What --frames 1000000 promises for every version of every API. */
const MIN_FRAMES_PER_MILLION = 1000;
/** Within so many all codecs are made and caches filled; what grows afterwards is a leak. */
const WARM_UP_FRAMES = 100_000;
/** Half of all frames end in an error whose way here nobody looks at: that of a violation is in its second run. */
const SHORT_STACK = 1;

const { values } = parseArgs({
  options: {
    frames: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    start: { type: "string", default: "0" },
  },
});

process.exitCode = await run(Number(values.frames), values.seed, Number(values.start));

async function run(frames: number, seed: string, start: number): Promise<number> {
  const startedMs = performance.now();
  const groups = loadGroups();
  const offload = await InlineOffload.open();
  const batches = loadBatches();
  console.log(
    `seed ${seed}: ${groups.length} messages in their versions, ${batches.length} batches`,
  );
  const isRerun = start > 0;
  if (!isRerun) {
    const warming = new Tally();
    const count = Math.min(WARM_UP_FRAMES, frames);
    fuzzCodecs(groups, warming, { seed: `${seed}/warm`, start: 0, count });
    await fuzzBatches(batches, warming, offload, {
      seed: `${seed}/warm`,
      start: 0,
      count: count / 10,
    });
  }
  const before = await heldMemory();
  const { stackTraceLimit } = Error;
  if (!isRerun) Error.stackTraceLimit = SHORT_STACK;
  const batchFrames = Math.round(frames * BATCH_SHARE);
  const brokerFrames = isRerun ? 0 : Math.round(frames * BROKER_SHARE);
  const codecs = new Tally();
  fuzzCodecs(groups, codecs, { seed, start, count: frames - batchFrames - brokerFrames });
  report("codecs", codecs);
  const records = new Tally();
  await fuzzBatches(batches, records, offload, { seed, start, count: batchFrames });
  report("record batches", records);
  Error.stackTraceLimit = stackTraceLimit;
  const after = await heldMemory();
  const live = new Tally();
  if (brokerFrames > 0) {
    try {
      await fuzzBroker(groups, live, { seed, count: brokerFrames });
    } catch (error) {
      live.violation(`the broker stopped: ${error instanceof Error ? error.stack : String(error)}`);
    }
    report("broker", live);
  }
  const violations = [...codecs.violations, ...records.violations, ...live.violations];
  if (!isRerun) violations.push(...shortfalls(codecs, frames, before, after));
  console.log(`held: ${mib(before.totalBytes)} before, ${mib(after.totalBytes)} after`);
  console.log(`${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  for (const text of violations.slice(0, 20)) console.error(`VIOLATION ${text}`);
  console.log(violations.length === 0 ? "no violation" : `${violations.length} violations`);
  return violations.length === 0 ? 0 : 1;
}

function report(name: string, tally: Tally): void {
  const share = ((100 * tally.pastHeader) / Math.max(1, tally.frames)).toFixed(1);
  const least = [...tally.framesByGroup].reduce((a, b) => (b[1] < a[1] ? b : a), ["-", Infinity]);
  console.log(`${name}: ${tally.frames} frames, ${tally.pastHeader} past the header (${share} %)`);
  console.log(`  least: ${least[0]}, ${least[1]} frames; ${tally.framesByGroup.size} versions`);
  console.log(`  outcomes: ${formatCounts(tally.outcomes)}`);
  console.log(`  mutations: ${formatCounts(tally.mutations)}`);
}

/** What the run as a whole must have shown. */
function shortfalls(
  codecs: Tally,
  frames: number,
  before: HeldMemory,
  after: HeldMemory,
): string[] {
  const found: string[] = [];
  const grown = growth(before, after);
  if (grown !== null) found.push(`the heap grew by more than a tenth: ${grown}`);
  if (codecs.pastHeader * 2 < codecs.frames) found.push("less than half went past the header");
  const least = Math.floor((frames / 1_000_000) * MIN_FRAMES_PER_MILLION);
  for (const [group, count] of codecs.framesByGroup) {
    if (count < least) found.push(`${group} got ${count} frames, fewer than ${least}`);
  }
  return found;
}
