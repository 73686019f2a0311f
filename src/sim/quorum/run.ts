import { loopTurn } from "../../base/clock.ts";
import type { Offload } from "../../base/offload.ts";
import { type Random, randomBelow, SeededRandom } from "../../base/random.ts";
import { loadQuorumModules } from "../../server/node-metadata.ts";
import { Guard } from "../guard.ts";
import { Trace } from "../trace.ts";
import { type QuorumPlan, planOf } from "./plan.ts";
import { QuorumScenario } from "./scenario.ts";
import type { Finding } from "./verdict.ts";
import { QuorumSimWorld } from "./world.ts";

/** A run that needs more has lost its way. */
const MAX_EVENTS = 2_000_000;
const MAX_VIRTUAL_MS = 600_000;

export interface QuorumRunOptions {
  readonly seed: number;
  readonly offload: Offload;
  readonly keepsLines?: boolean;
}

export interface QuorumRunResult {
  readonly seed: number;
  readonly hash: string;
  readonly lines: readonly string[];
  readonly plan: QuorumPlan;
  readonly eventCount: number;
  readonly virtualMs: number;
  /** How long faults went on. */
  readonly faultyMs: number;
  readonly commandCount: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly epochCount: number;
  readonly answeredCount: number;
  readonly unknownCount: number;
  readonly electionCount: number;
  readonly uncleanStartCount: number;
  /** By rule: how often it was looked at. */
  readonly looks: ReadonlyMap<string, number>;
  readonly story: readonly string[];
  /** Empty when all went well. */
  readonly findings: readonly Finding[];
}

/** Runs the workload of several nodes in a world of its own. The same seed gives the same result. */
export async function runQuorumSeed(options: QuorumRunOptions): Promise<QuorumRunResult> {
  const { seed, offload } = options;
  await loadQuorumModules();
  const random = new SeededRandom(`quorum-${seed}`);
  const plan = planOf(random.fork("plan"));
  const trace = new Trace({ keepsLines: options.keepsLines ?? false });
  const world = new QuorumSimWorld({ random: random.fork("world"), offload, trace }, plan);
  const scenario = new QuorumScenario(world, plan, random.fork("scenario"));
  const guard = new Guard();
  const stop = watchRejections(world);
  try {
    await guard.run(() => drive(world, random.fork("stalls"), scenario.run()));
  } finally {
    stop();
  }
  const { verdict, clock } = world;
  for (const { what, stack } of guard.violations) verdict.report("guard", `${what}\n${stack}`);
  return {
    ...{ seed, plan, hash: trace.digest(), lines: trace.lines },
    ...{ eventCount: clock.eventCount, virtualMs: clock.nowMs, faultyMs: scenario.faultyMs },
    commandCount: world.reference.commandCount,
    faults: Object.fromEntries(scenario.faults),
    epochCount: world.wire.epochCount,
    answeredCount: world.history.answeredCount,
    unknownCount: world.history.unknownCount,
    electionCount: world.images.electionCount,
    uncleanStartCount: world.images.uncleanStartCount,
    looks: verdict.looks,
    story: verdict.story,
    findings: verdict.findings,
  };
}

/** One event, drain the microtasks, look, next; until the scenario is over, or something is found. */
async function drive(
  world: QuorumSimWorld,
  random: Random,
  scenario: Promise<void>,
): Promise<void> {
  const { clock, verdict, raft, nodes } = world;
  const state = { isOver: false };
  const end = (): void => void (state.isOver = true);
  scenario.then(end, (error: unknown) => {
    end();
    verdict.report("crash", textOf(error));
  });
  await loopTurn();
  while (!state.isOver && verdict.findings.length === 0) {
    const event = clock.next();
    const isLost = clock.eventCount > MAX_EVENTS || clock.nowMs > MAX_VIRTUAL_MS;
    if (event === null || isLost) {
      verdict.report("convergence", `no end after ${clock.eventCount} events`);
      return;
    }
    try {
      event();
    } catch (error) {
      verdict.report("crash", textOf(error));
      return;
    }
    await loopTurn();
    raft.look(nodes);
    if (randomBelow(random, 20_000) === 0) clock.stall(20 + randomBelow(random, 400));
  }
}

/** A rejection that nobody handles ends a real process. */
function watchRejections({ verdict }: QuorumSimWorld): () => void {
  const onRejection = (reason: unknown): void => verdict.report("crash", textOf(reason));
  process.on("unhandledRejection", onRejection);
  return () => {
    process.off("unhandledRejection", onRejection);
  };
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
