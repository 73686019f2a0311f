import { AsyncLocalStorage } from "node:async_hooks";

/**
 * The switch of every call site that syncs. Sources that were rewritten for the mutation run call
 * `syncSite(id, call)` around each of them (mutations.ts); one at a time can be turned off, and only
 * while a workload is recorded. The plain run never gets here: nothing is rewritten.
 */
const suppressed = new AsyncLocalStorage<true>();
const reached = new Set<string>();
/** Of each disk that records: how many events it had seen when a site was first turned off. */
const turnedOffEvents = new WeakMap<object, number>();
let currentDisk: { readonly events: readonly unknown[] } | null = null;
let turnedOff: { readonly id: string; readonly isSkipped: boolean } | null = null;

/** What a rewritten call site does: the call, or the call without its syncs, or nothing at all. */
function syncSite(id: string, call: () => unknown): unknown {
  reached.add(id);
  if (turnedOff?.id !== id) return call();
  if (currentDisk !== null && !turnedOffEvents.has(currentDisk)) {
    turnedOffEvents.set(currentDisk, currentDisk.events.length);
  }
  return turnedOff.isSkipped ? Promise.resolve() : suppressed.run(true, call);
}

declare global {
  var holdfastSyncSite: typeof syncSite;
}
globalThis.holdfastSyncSite = syncSite;

/** Whether the caller is part of a call whose syncs do nothing. */
export function areSyncsSuppressed(): boolean {
  return suppressed.getStore() === true;
}

/** The disk that records from now on. */
export function useDisk(disk: { readonly events: readonly unknown[] }): void {
  currentDisk = disk;
}

/** After how many events of that disk a site was first turned off; undefined: never. */
export function turnedOffAt(disk: object): number | undefined {
  return turnedOffEvents.get(disk);
}

/** Runs the recording with one site turned off (null: none), and tells which sites it came by. */
export async function recordingWith<T>(
  site: { readonly id: string; readonly isSkipped: boolean } | null,
  record: () => Promise<T>,
): Promise<{ readonly result: T; readonly reached: ReadonlySet<string> }> {
  turnedOff = site;
  reached.clear();
  try {
    return { result: await record(), reached: new Set(reached) };
  } finally {
    turnedOff = null;
  }
}
