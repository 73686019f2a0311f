import { describe, expect, test } from "vitest";
import type { DiskCall } from "../../src/storage/faulty-disk.ts";
import { FAULTS, FaultRun, type Target } from "./fault-run.ts";
import { Machine } from "./machine.ts";
import { findSourceSites } from "./source-sites.ts";
import { Workload } from "./workload.ts";

/** Says what is run while one looks for the reason of a failure: a part of a line of the list. */
const ONLY = process.env["FAULTS"] ?? "";

const CHANGING = [
  "create",
  "writev",
  "datasync",
  "truncate",
  "rename",
  "remove",
  "mkdir",
  "syncDir",
];

/** Every changing call of the whole workload, on a disk that is well. */
async function recordCalls(): Promise<DiskCall[]> {
  const calls: DiskCall[] = [];
  const workload = new Workload(
    new Machine((call) => {
      if (CHANGING.includes(call.operation)) calls.push(call);
    }),
    () => Promise.resolve(),
  );
  await workload.run();
  expect(workload.bugs).toEqual([]);
  const recorded = [...calls];
  await workload.start();
  for (const shelf of workload.shelves) await workload.open(shelf);
  expect(await workload.missing()).toEqual([]);
  expect(await workload.serves()).toBeNull();
  return recorded;
}

/** Each call site once for each kind of file, in the second directory where it is called for both. */
function targetsOf(calls: readonly DiskCall[]): Target[] {
  const targets = new Map<string, Target>();
  for (const { operation, callSite: site, path: exact } of calls) {
    const path = exact
      .replace(/[a-z]-\d\.[0-9a-f]+-delete/, "*-delete")
      .replace(/\/[a-z]-\d(?=\/|$)/, "/?-?")
      .replace(/\d{20}/, "*");
    const key = `${site} ${operation} ${path.replace(/^\/[ab]/, "")}`;
    if (!targets.has(key) || path.startsWith("/b")) targets.set(key, { site, operation, path });
  }
  return [...targets.values()].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

function nameOf({ site, operation, path }: Target): string {
  return `${site} | ${operation} | ${path}`;
}

describe("every call that changes the disk may fail (R9, S8)", async () => {
  const calls = await recordCalls();
  const targets = targetsOf(calls);

  test("the workload reaches every call in the sources, and the sources have every call it makes", () => {
    const reached = new Set(calls.map(({ callSite, operation }) => `${callSite} ${operation}`));
    const sites = findSourceSites(process.cwd());
    const known = new Set(sites.map(({ id }) => id));
    expect(sites.length).toBeGreaterThan(50);
    expect(sites.filter(({ id }) => !reached.has(id))).toEqual([]);
    expect([...reached].filter((id) => !known.has(id))).toEqual([]);
  });

  const outcomes = new Map<string, number>();
  for (const target of targets) {
    for (const fault of FAULTS) {
      if (fault === "short write" && target.operation !== "writev") continue;
      const name = `${nameOf(target)} | ${fault}`;
      if (!name.includes(ONLY)) continue;
      test(name, async () => {
        const { outcome, violations } = await new FaultRun(target, fault).run();
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        process.stdout.write(`${name} | ${violations.length === 0 ? outcome : "VIOLATION"}\n`);
        expect(violations).toEqual([]);
      });
    }
  }

  test("the list is not empty, and ends in a summary", () => {
    const runs = [...outcomes.values()].reduce((sum, count) => sum + count, 0);
    const parts = [...outcomes].map(([outcome, count]) => `${count} ${outcome}`);
    process.stdout.write(
      `${targets.length} places in the code and kinds of file, ${runs} runs: ${parts.join(", ")}\n`,
    );
    expect(targets.length).toBeGreaterThan(80);
  });
});
