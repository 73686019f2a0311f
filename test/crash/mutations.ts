import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { recordingNames } from "./recordings.ts";
import { findSyncSites, type PlacedSite, rewrittenCopy } from "./sync-sites.ts";
import type { Answer, MutateTask, RecordingId, Task } from "./worker.ts";
import { Workers } from "./workers.ts";

/** Lives after a crash are many; so many seeds of each show which call sites they come by. */
const SEEDS = 2;
const CRASH_SEEDS = 8;

/** Of all recordings of a site; then it counts as not found. */
const MAX_STATES = 100_000;

/** Which recording has shown each site when it was last looked for; written anew with UPDATE=1. */
const FOUND_BY = "test/crash/found-by.json";

type FoundBy = Record<string, string>;
type Mutated = Extract<Answer, { readonly kind: "mutated" }>;
type Reach = Map<string, { readonly id: RecordingId; readonly eventCount: number }[]>;

/**
 * Turns off every sync of the product in turn: each must show, or it is not needed, or the checks are
 * too weak. Each is looked for first where it was found the last time, and only if it does not show
 * there in all recordings that come by it. Returns how many do not show.
 */
export async function mutate(root: string, jobs: number, only: string | null): Promise<number> {
  const all = findSyncSites(root);
  const sites = all.filter(
    ({ id }) => only === null || only.split(",").some((part) => id.includes(part)),
  );
  const copy = rewrittenCopy(root, all);
  const workers = new Workers(copy.path, jobs);
  const before = readFoundBy(root);
  const foundBy: FoundBy = {};
  const startedMs = performance.now();
  try {
    const run = async (tasks: readonly MutateTask[], isLastChance: boolean): Promise<void> => {
      await workers.run(tasks.values(), (task, answer) => {
        if (answer.kind !== "mutated") return;
        if (answer.violation !== null) {
          foundBy[task.site.id] = answer.violation.recording;
          if (process.env["UPDATE"] === "1") writeFoundBy(root, all, { ...before, ...foundBy });
        }
        if (answer.violation === null && !isLastChance) return;
        console.log(`${placeOf(sites, task)} -> ${verdictOf(task, answer).slice(0, 240)}`);
      });
    };
    // Those of one workload side by side: they have most images in common.
    const known = sites
      .map((site) => ({ site, place: before[site.id] ?? "" }))
      .filter(({ place }) => place !== "")
      .sort((a, b) => a.place.localeCompare(b.place));
    await run(
      known.map(({ site, place }) => taskOf(site, [idOf(place)], isExact(place))),
      false,
    );
    const missed = sites.filter(({ id }) => foundBy[id] === undefined);
    const reach = await reachOf(workers, missed.length === 0 ? [] : recordingNames());
    await run(
      missed.map((site) => taskOf(site, idsOf(site, reach, before[site.id]), false)),
      true,
    );
  } finally {
    workers.close();
    copy.remove();
  }
  const foundCount = Object.keys(foundBy).length;
  const missedCount = sites.length - foundCount;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  console.log(`${sites.length} call sites, ${foundCount} found, ${missedCount} not, ${seconds} s`);
  return missedCount;
}

function readFoundBy(root: string): FoundBy {
  return JSON.parse(readFileSync(join(root, FOUND_BY), "utf8")) as FoundBy;
}

function writeFoundBy(root: string, sites: readonly PlacedSite[], foundBy: FoundBy): void {
  const entries = sites.flatMap(({ id }) => {
    const place = foundBy[id];
    return place === undefined ? [] : [[id, place] as const];
  });
  const sorted = entries.sort(([a], [b]) => a.localeCompare(b));
  writeFileSync(join(root, FOUND_BY), `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`);
}

function taskOf(
  { id, isSkipped }: PlacedSite,
  ids: readonly RecordingId[],
  isExact: boolean,
): MutateTask {
  return { kind: "mutate", site: { id, isSkipped }, ids, isExact, maxStates: MAX_STATES };
}

/** Without a seed: all recoveries of that name. */
function isExact(place: string): boolean {
  return place.includes("@");
}

function idOf(place: string): RecordingId {
  const [name = "", seed = "0"] = place.split("@");
  return { name, seed: Number(seed) };
}

/**
 * Those of the name under which it was found the last time; then one recording of each name, first
 * lives and those that are told quickest first, then the second of each, and so on.
 */
function idsOf({ id: siteId }: PlacedSite, reach: Reach, place = ""): RecordingId[] {
  const orderOf = ({ id, eventCount }: { id: RecordingId; eventCount: number }): number =>
    (id.name === idOf(place).name ? 0 : id.name.includes("/") ? 1e9 : 1e6) + eventCount;
  const found = (reach.get(siteId) ?? []).sort((a, b) => orderOf(a) - orderOf(b));
  const rank = new Map<string, number>();
  const ranked = found.map(({ id }) => {
    const place = rank.get(id.name) ?? 0;
    rank.set(id.name, place + 1);
    return { id, place };
  });
  return ranked.sort((a, b) => a.place - b.place).map(({ id }) => id);
}

function placeOf(sites: readonly PlacedSite[], { site }: MutateTask): string {
  const line = sites.find(({ id }) => id === site.id)?.line;
  return site.id.replace(" ", `:${line} `);
}

function verdictOf({ ids }: MutateTask, { violation, stateCount }: Mutated): string {
  if (violation !== null) {
    const { recording, state, texts } = violation;
    const [text = ""] = (texts[0] ?? "").split("\n");
    return `found after ${stateCount} states: ${recording}:${state} ${text}`;
  }
  if (ids.length === 0) return "NOT REACHED";
  return `NOT FOUND in ${stateCount} states of ${ids.length} recordings`;
}

/** Which recordings of those names come by which sites. */
async function reachOf(workers: Workers, names: readonly string[]): Promise<Reach> {
  const reach: Reach = new Map();
  const tasks: Extract<Task, { readonly kind: "reach" }>[] = names.flatMap((name) =>
    Array.from({ length: seedCountOf(name) }, (_, seed) => ({ kind: "reach", id: { name, seed } })),
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

/** A recovery has its number for a seed: all of them are one. */
function seedCountOf(name: string): number {
  if (name.endsWith("/crash")) return CRASH_SEEDS;
  return name.endsWith("/recovery") ? 1 : SEEDS;
}
