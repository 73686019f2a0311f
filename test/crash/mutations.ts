import { findSyncSites, rewrittenCopy, type SyncSite } from "./sync-sites.ts";
import type { RecordingId, Task } from "./worker.ts";
import { Workers } from "./workers.ts";
import { recordingNames } from "./recordings.ts";

/** Lives after a crash are many; so many seeds of each show which call sites they come by. */
const SEEDS = 2;
const CRASH_SEEDS = 8;

/** Of one recording; then comes the next. */
const MAX_STATES = 10_000;

/**
 * Turns off every sync of the product in turn: each must show, or it is not needed, or the checks are
 * too weak. Returns how many do not.
 */
export async function mutate(root: string, jobs: number, only: string | null): Promise<number> {
  const sites = findSyncSites(root).filter(
    ({ id }) => only === null || only.split(",").some((part) => id.includes(part)),
  );
  const copy = rewrittenCopy(root, findSyncSites(root));
  const workers = new Workers(copy.path, jobs);
  try {
    const reach = await reachOf(workers);
    let missedCount = 0;
    const tasks = sites.map((site) => taskOf(site, reach));
    await workers.run(tasks.values(), ({ site, ids }, answer) => {
      if (answer.kind !== "mutated") return;
      const { violation, stateCount } = answer;
      if (violation === null) missedCount += 1;
      const verdict =
        ids.length === 0
          ? "NOT REACHED"
          : violation === null
            ? `NOT FOUND in ${stateCount} states of ${ids.length} recordings`
            : `found after ${stateCount} states: ${violation.recording}:${violation.state} ${violation.texts[0] ?? ""}`;
      console.log(`${site.id} -> ${verdict.slice(0, 220)}`);
    });
    console.log(
      `${sites.length} call sites, ${sites.length - missedCount} found, ${missedCount} not`,
    );
    return missedCount;
  } finally {
    workers.close();
    copy.remove();
  }
}

type MutateTask = Extract<Task, { readonly kind: "mutate" }>;
type Reach = Map<string, { readonly id: RecordingId; readonly eventCount: number }[]>;

function taskOf(site: SyncSite, reach: Reach): MutateTask {
  // Short ones first: they are told quickest.
  const found = (reach.get(site.id) ?? []).sort((a, b) => a.eventCount - b.eventCount);
  const ids = spread(found.map(({ id }) => id));
  const { id, isSkipped } = site;
  return { kind: "mutate", site: { id, isSkipped }, ids, maxStates: MAX_STATES };
}

/** One recording of each name first, then the second of each, and so on. */
function spread(ids: readonly RecordingId[]): RecordingId[] {
  const rank = new Map<string, number>();
  const ranked = ids.map((id) => {
    const place = rank.get(id.name) ?? 0;
    rank.set(id.name, place + 1);
    return { id, place };
  });
  return ranked.sort((a, b) => a.place - b.place).map(({ id }) => id);
}

async function reachOf(workers: Workers): Promise<Reach> {
  const reach: Reach = new Map();
  const tasks: Extract<Task, { readonly kind: "reach" }>[] = recordingNames().flatMap((name) =>
    Array.from({ length: name.endsWith("/crash") ? CRASH_SEEDS : SEEDS }, (_, seed) => ({
      kind: "reach",
      id: { name, seed },
    })),
  );
  await workers.run(tasks.values(), ({ id }, answer) => {
    if (answer.kind !== "reached") return;
    for (const siteId of answer.siteIds) {
      const found = reach.get(siteId) ?? [];
      found.push({ id, eventCount: answer.eventCount });
      reach.set(siteId, found);
    }
  });
  return reach;
}
