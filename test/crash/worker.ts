import {
  explore,
  type ExploreOptions,
  type Findings,
  noFindings,
  type Violation,
} from "./explorer.ts";
import { Prober } from "./probe.ts";
import { limitOf, record, type Recording, workloadOf } from "./recordings.ts";
import { recordingWith, turnedOffAt } from "./site-switch.ts";
import type { SyncSite } from "./sync-sites.ts";

/** One recording, by name and seed. */
export interface RecordingId {
  readonly name: string;
  readonly seed: number;
}

/** What a worker process is asked, one thing at a time. */
export type Task =
  | {
      readonly kind: "explore";
      readonly id: RecordingId;
      readonly state?: string;
    }
  | { readonly kind: "reach"; readonly id: RecordingId }
  | MutateTask;

/** Explores the recordings with the site turned off, one after the other, until one shows it. */
export interface MutateTask {
  readonly kind: "mutate";
  readonly site: SyncSite;
  readonly ids: readonly RecordingId[];
  /** Of the recoveries of a short workload only the one of that seed; otherwise all. */
  readonly isExact: boolean;
  readonly maxStates: number;
}

export type Answer =
  | ({ readonly kind: "explored"; readonly hashes: readonly string[] } & Omit<Findings, "hashes">)
  | { readonly kind: "reached"; readonly siteIds: readonly string[]; readonly eventCount: number }
  | { readonly kind: "mutated"; readonly stateCount: number; readonly violation: Violation | null };

/** What a worker process says. */
export interface Report {
  readonly answer: Answer;
  /** What it has taken so far. */
  readonly cpuMs: number;
}

const MAX_VIOLATIONS = 3;
const MAX_REACH = 400;
/** How many states of one moment are looked at when a site is searched; then more of each. */
const FIRST_LIMITS = [12, 60, Infinity];
/** Images that are remembered; each costs about a kilobyte. */
const MAX_KNOWN = 100_000;

/** By workload: its recordings have images in common, and one setup. */
const probers = new Map<string, Prober>();

function proberOf({ name }: RecordingId): Prober {
  const workload = workloadOf(name);
  const total = [...probers.values()].reduce((sum, { size }) => sum + size, 0);
  if (total > MAX_KNOWN) probers.clear();
  const found = probers.get(workload.name) ?? new Prober(workload.setup);
  probers.set(workload.name, found);
  return found;
}

export async function perform(task: Task): Promise<Answer> {
  switch (task.kind) {
    case "explore": {
      const { id, state } = task;
      const { hashes, ...found } = await exploreAll(id, {
        limit: limitOf(id.name),
        maxViolations: MAX_VIOLATIONS,
        prober: proberOf(id),
        ...(state === undefined ? {} : { state }),
      });
      return { kind: "explored", hashes: [...hashes], ...found };
    }
    case "reach":
      return await reach(task);
    case "mutate":
      return await mutate(task);
  }
}

/** Of a short workload's recoveries those with the state's number, or all. */
async function exploreAll({ name, seed }: RecordingId, options: ExploreOptions): Promise<Findings> {
  const findings = noFindings();
  for await (const recording of record(name, seed)) {
    if (options.state !== undefined && recording.seed !== seed) continue;
    await explore(recording, options, findings);
    if (findings.violations.length >= options.maxViolations) break;
  }
  return findings;
}

async function reach({ id }: Extract<Task, { readonly kind: "reach" }>): Promise<Answer> {
  const recordings = record(id.name, id.seed);
  let eventCount = 0;
  const siteIds = new Set<string>();
  // A few hundred recoveries come by all that any does.
  for (let count = 0; count < MAX_REACH; count += 1) {
    const { result, reached } = await recordingWith(null, () => recordings.next());
    for (const siteId of reached) siteIds.add(siteId);
    if (result.done === true) break;
    eventCount += result.value.world.trace.events.length;
  }
  return { kind: "reached", siteIds: [...siteIds], eventCount };
}

async function mutate(task: MutateTask): Promise<Answer> {
  const findings = noFindings();
  const found = (violation: Violation | null): Answer => {
    return { kind: "mutated", stateCount: findings.stateCount, violation };
  };
  // A few states of each moment tell most; of many moments that is sooner than all of one.
  for (const limit of FIRST_LIMITS) {
    for (const id of task.ids) {
      const violation = await mutateOne(task, id, limit, findings);
      if (violation !== null) return found(violation);
      if (findings.stateCount > task.maxStates) return found(null);
    }
  }
  return found(null);
}

async function mutateOne(
  { site, maxStates, isExact }: MutateTask,
  id: RecordingId,
  firstLimit: number,
  findings: Findings,
): Promise<Violation | null> {
  const recordings = record(id.name, id.seed);
  const limit = Math.min(limitOf(id.name), firstLimit);
  const options = { limit, maxViolations: 1, prober: proberOf(id) };
  while (findings.stateCount <= maxStates) {
    let next: IteratorResult<Recording>;
    let reached: ReadonlySet<string>;
    try {
      ({ result: next, reached } = await recordingWith(site, () => recordings.next()));
    } catch (error) {
      // A start after a crash that fails, while the workload is recorded, shows it as well.
      const texts = [`the workload cannot go on: ${String(error)}`];
      return { recording: `${id.name}@${id.seed}`, state: "-", event: "a crash", texts };
    }
    if (next.done === true) return null;
    const { value } = next;
    if (!reached.has(site.id) || (isExact && value.seed !== id.seed)) continue;
    // Up to the first call that was left out, all is as the plain run has seen it.
    const firstEvent = Math.max(value.firstEvent, turnedOffAt(value.world.disk) ?? 0);
    await explore({ ...value, firstEvent }, options, findings);
    const [violation] = findings.violations;
    if (violation !== undefined) return violation;
  }
  return null;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

if (process.send !== undefined) {
  // Whoever asks has ended.
  process.on("disconnect", () => process.exit());
  process.on("message", (task: Task) => {
    perform(task).then(
      (answer) => process.send?.({ answer, cpuMs: cpuMs() } satisfies Report),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}
