import { explore, type Findings, type Violation } from "./explorer.ts";
import type { Outcome } from "./probe.ts";
import { record, type Recording } from "./recordings.ts";
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
      readonly limit: number;
      readonly state?: string;
    }
  | { readonly kind: "reach"; readonly id: RecordingId }
  /** Explores the recordings with the site turned off, one after the other, until one shows it. */
  | {
      readonly kind: "mutate";
      readonly site: SyncSite;
      readonly ids: readonly RecordingId[];
      readonly limit: number;
      readonly maxStates: number;
    };

export type Answer =
  | {
      readonly kind: "explored";
      readonly stateCount: number;
      readonly hashes: readonly string[];
      readonly violations: readonly Violation[];
    }
  | { readonly kind: "reached"; readonly siteIds: readonly string[]; readonly eventCount: number }
  | { readonly kind: "mutated"; readonly stateCount: number; readonly violation: Violation | null };

const MAX_VIOLATIONS = 3;
/** Outcomes that are kept for images that come again; each costs about a kilobyte. */
const MAX_OUTCOMES = 60_000;

/** By workload: recordings of one have images in common, and one setup. */
const outcomes = new Map<string, Map<string, Outcome>>();

function outcomesOf({ name }: RecordingId): Map<string, Outcome> {
  const workload = name.replace(/\/.*/, "");
  const total = [...outcomes.values()].reduce((sum, { size }) => sum + size, 0);
  if (total > MAX_OUTCOMES) outcomes.clear();
  const found = outcomes.get(workload) ?? new Map<string, Outcome>();
  outcomes.set(workload, found);
  return found;
}

export async function perform(task: Task): Promise<Answer> {
  switch (task.kind) {
    case "explore": {
      const { id, limit, state } = task;
      const recording = await record(id.name, id.seed);
      const options = { limit, maxViolations: MAX_VIOLATIONS, outcomes: outcomesOf(id) };
      const found = await explore(recording, state === undefined ? options : { ...options, state });
      const { stateCount, hashes, violations } = found;
      return { kind: "explored", stateCount, hashes: [...hashes], violations };
    }
    case "reach": {
      const { id } = task;
      const { result, reached } = await recordingWith(null, () => record(id.name, id.seed));
      const eventCount = result.world.trace.events.length;
      return { kind: "reached", siteIds: [...reached], eventCount };
    }
    case "mutate":
      return await mutate(task);
  }
}

async function mutate(task: Extract<Task, { readonly kind: "mutate" }>): Promise<Answer> {
  let stateCount = 0;
  for (const id of task.ids) {
    const made = await recordUnless(task.site, id);
    if (made.violation !== null) return { kind: "mutated", stateCount, violation: made.violation };
    const { result } = made;
    // Up to the first call that was left out, all is as the plain run has seen it.
    const firstEvent = Math.max(result.firstEvent, turnedOffAt(result.world.disk) ?? 0);
    const found: Findings = await explore(
      { ...result, firstEvent },
      { limit: task.limit, maxViolations: 1, outcomes: outcomesOf(id) },
    );
    stateCount += found.stateCount;
    const [violation] = found.violations;
    if (violation !== undefined) return { kind: "mutated", stateCount, violation };
    if (stateCount > task.maxStates) break;
  }
  return { kind: "mutated", stateCount, violation: null };
}

/** A start after a crash that fails, while the workload is recorded, shows the missing sync as well. */
async function recordUnless(
  site: SyncSite,
  { name, seed }: RecordingId,
): Promise<
  | { readonly violation: null; readonly result: Recording }
  | { readonly violation: Violation; readonly result: null }
> {
  try {
    const { result } = await recordingWith(site, () => record(name, seed));
    return { violation: null, result };
  } catch (error) {
    const violation = {
      recording: `${name}@${seed}`,
      state: "-",
      event: "a crash",
      texts: [`the workload cannot go on: ${String(error)}`],
    };
    return { violation, result: null };
  }
}

if (process.send !== undefined) {
  process.on("message", (task: Task) => {
    perform(task).then(
      (answer) => process.send?.(answer),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}
