import { loopTurn } from "../base/clock.ts";
import type { Offload } from "../base/offload.ts";
import type { Ports } from "../base/ports.ts";
import { randomBelow, type Random, SeededRandom } from "../base/random.ts";
import {
  batchBaseOffset,
  batchNextOffset,
  batchSizeBytes,
  completeBatchesBytes,
  isBatchCrcValid,
} from "../protocol/records/batch.ts";
import type { BrokerConfig } from "../server/config-keys.ts";
import { EMBEDDED_SETTINGS, resolveConfig } from "../server/config.ts";
import { GroupHistory } from "./group-history.ts";
import { type GroupPlan, groupPlanOf } from "./group-scenario.ts";
import { Guard } from "./guard.ts";
import { type Finding, History } from "./history.ts";
import { type Outcome, type Plan, Scenario } from "./scenario.ts";
import { SimClock } from "./sim-clock.ts";
import { SimDisk } from "./sim-disk.ts";
import { SimMachine } from "./sim-machine.ts";
import { SimNet } from "./sim-net.ts";
import { Trace } from "./trace.ts";

const PORT = 9092;
const DIRECTORIES = ["/var/lib/holdfast/a", "/var/lib/holdfast/b"];
/** A run that needs more has lost its way. */
const MAX_EVENTS = 30_000;
const MAX_VIRTUAL_MS = 300_000;

export interface RunOptions {
  readonly seed: number;
  readonly offload: Offload;
  readonly keepsLines?: boolean;
  /** For tests of the simulator itself: bends a port. */
  readonly bend?: (ports: Ports) => Ports;
}

export interface RunResult extends Outcome {
  readonly seed: number;
  readonly hash: string;
  readonly lines: readonly string[];
  readonly factCount: number;
  readonly eventCount: number;
  readonly virtualMs: number;
  readonly sentCount: number;
  readonly ackedCount: number;
  readonly groups: GroupHistory["counts"];
  readonly plan: Plan & { readonly flush: string };
  /** Empty when all went well. */
  readonly findings: readonly Finding[];
}

/** Runs the scenario of a seed in a world of its own. The same seed gives the same result. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const random = new SeededRandom(options.seed);
  const { plan, config } = planOf(random.fork("plan"));
  const clock = new SimClock();
  const trace = new Trace({ keepsLines: options.keepsLines ?? false });
  const history = new History(plan);
  const net = new SimNet({ clock, random: random.fork("net") });
  const disk = new SimDisk(
    { clock, random: random.fork("disk") },
    { directories: config["log.dirs"], writebackAgeMs: 200 + randomBelow(random, 5000) },
  );
  const machine = new SimMachine(
    {
      clock,
      net,
      disk,
      random: random.fork("machine"),
      offload: options.offload,
      trace,
      onComplaint: (message) => history.report("complaint", message),
      bend: options.bend ?? ((ports) => ports),
    },
    config,
  );
  const groups = new GroupHistory({
    report: (rule, detail) => history.report(rule, detail),
    mayLose: plan.mayLose,
    nowMs: () => clock.nowMs,
    retentionMs: plan.groups.expiryMs ?? Infinity,
  });
  const dependencies = { clock, net, machine, random: random.fork("clients"), history, groups };
  const scenario = new Scenario({ ...dependencies, offload: options.offload }, plan);
  const guard = new Guard();
  const stop = watchRejections(history);
  try {
    await guard.run(() => drive(clock, random.fork("stalls"), scenario.run(), history));
  } finally {
    stop();
  }
  for (const { what, stack } of guard.violations) history.report("guard", `${what}\n${stack}`);
  if (history.findings.length === 0) checkSegments(disk, history);
  return {
    ...scenario.outcome,
    seed: options.seed,
    hash: trace.digest(),
    lines: trace.lines,
    factCount: trace.count,
    eventCount: clock.eventCount,
    virtualMs: clock.nowMs,
    sentCount: history.sentCount,
    ackedCount: history.ackedCount,
    groups: groups.counts,
    plan: { ...plan, flush: config["log.flush.interval.messages"].value === 1 ? "1" : "off" },
    findings: history.findings,
  };
}

/** One event, drain the microtasks, next; until the scenario is over or cannot end. */
async function drive(
  clock: SimClock,
  random: Random,
  scenario: Promise<void>,
  history: History,
): Promise<void> {
  const state = { isOver: false };
  scenario.then(
    () => {
      state.isOver = true;
    },
    (error: unknown) => {
      state.isOver = true;
      history.report(
        "crash",
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      );
    },
  );
  await loopTurn();
  while (!state.isOver) {
    const event = clock.next();
    if (event === null || clock.eventCount > MAX_EVENTS || clock.nowMs > MAX_VIRTUAL_MS) {
      const when = `after ${clock.eventCount} events, at ${Math.round(clock.nowMs)} ms`;
      history.report(
        "no progress",
        event === null ? `nothing will ever happen again, ${when}` : when,
      );
      return;
    }
    try {
      event();
    } catch (error) {
      history.report(
        "exception",
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      );
      return;
    }
    await loopTurn();
    if (randomBelow(random, 2000) === 0) clock.stall(20 + randomBelow(random, 400));
  }
}

/** A rejection that nobody handles ends a real process. */
function watchRejections(history: History): () => void {
  const onRejection = (reason: unknown): void => {
    history.report(
      "unhandled rejection",
      reason instanceof Error ? (reason.stack ?? reason.message) : String(reason),
    );
  };
  process.on("unhandledRejection", onRejection);
  return () => {
    process.off("unhandledRejection", onRejection);
  };
}

function planOf(random: Random): { plan: Plan; config: BrokerConfig } {
  const flush = randomBelow(random, 2) === 0 ? "1" : "off";
  const mayCutPower = flush === "1" ? randomBelow(random, 8) > 0 : randomBelow(random, 4) === 0;
  const mayLose = mayCutPower && flush === "off";
  const groups = groupPlanOf(random.fork("groups"), mayLose);
  const settings: Record<string, string> = {
    listeners: `PLAINTEXT://127.0.0.1:${PORT}`,
    "log.dirs": DIRECTORIES.slice(0, 1 + randomBelow(random, 2)).join(","),
    // Segments roll by time, and with large values by size: the smallest that is allowed is 1 MiB.
    "log.segment.bytes": "1048576",
    "log.roll.ms": String([604_800_000, 2000, 500][randomBelow(random, 3)]),
    "log.index.interval.bytes": String([4096, 500][randomBelow(random, 2)]),
    ...(flush === "1" ? { "log.flush.interval.messages": "1" } : {}),
    ...groupSettings(random, groups),
  };
  const given = Object.entries(settings).map(([key, value]) => ({ key, value, where: "sim" }));
  const { config } = resolveConfig([...EMBEDDED_SETTINGS, ...given]);
  const plan = {
    port: PORT,
    topicCount: 1 + randomBelow(random, 2),
    partitionCount: 1 + randomBelow(random, 3),
    producerCount: 1 + randomBelow(random, 3),
    consumerCount: 1 + randomBelow(random, 2),
    recordsEach: 60 + randomBelow(random, 150),
    crashCount: 1 + randomBelow(random, 4),
    maxValueBytes: [100, 100, 3000, 40_000][randomBelow(random, 4)] ?? 100,
    mayCutPower,
    mayLose,
    groups,
  };
  return { plan, config };
}

/** Groups move fast here; in every other run __consumer_offsets is compacted all the time. */
function groupSettings(random: Random, plan: GroupPlan): Record<string, string> {
  return {
    "offsets.topic.num.partitions": String(1 + randomBelow(random, 3)),
    "group.min.session.timeout.ms": "1",
    "group.initial.rebalance.delay.ms": String([0, 0, 100][randomBelow(random, 3)]),
    ...(plan.expiryMs === null
      ? {}
      : { "offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "2000" }),
    ...(randomBelow(random, 2) === 0
      ? {}
      : {
          "log.initial.task.delay.ms": "0",
          "log.cleaner.backoff.ms": "200",
          "log.cleaner.min.cleanable.ratio": "0.01",
        }),
  };
}

/** After a clean stop every segment on the platter is whole batches, whose offsets rise (S1, S2). */
function checkSegments(disk: SimDisk, history: History): void {
  for (const [path, bytes] of disk.platter.files()) {
    // A directory that was moved aside, or waits to be removed, is as the power cut left it.
    if (!/\/\d{20}\.log$/.test(path) || /-(stray|delete)\//.test(path)) continue;
    const end = completeBatchesBytes(bytes);
    if (end !== bytes.length)
      history.report("S3", `${path}: ${bytes.length - end} bytes are no batch`);
    let nextOffset = Number(path.slice(-24, -4));
    for (let position = 0; position < end; position += batchSizeBytes(bytes, position)) {
      if (!isBatchCrcValid(bytes, position)) history.report("S2", `${path} at ${position}`);
      if (batchBaseOffset(bytes, position) < nextOffset)
        history.report("S1", `${path} at ${position}`);
      nextOffset = batchNextOffset(bytes, position);
    }
  }
}
