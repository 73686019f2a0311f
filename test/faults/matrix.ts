import { expect, test } from "vitest";
import { pathMatcher } from "../../src/storage/fault-rules.ts";
import type { DiskCall } from "../../src/storage/faulty-disk.ts";
import { type FaultName, FAULTS, FaultRun, type Target } from "./fault-run.ts";
import { Machine } from "./machine.ts";
import { findSourceSites } from "./source-sites.ts";
import { type Stage, Workload } from "./workload.ts";

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

/** The list is run in parts, side by side. */
export const PART_COUNT = 2;

interface RecordedCall extends DiskCall {
  readonly stage: Stage;
  readonly boot: number;
}

/** Every changing call of the whole workload, on a disk that is well. */
async function recordCalls(): Promise<RecordedCall[]> {
  const calls: RecordedCall[] = [];
  const machine = new Machine();
  const workload = new Workload(machine, () => Promise.resolve());
  machine.record((call) => {
    if (CHANGING.includes(call.operation)) {
      calls.push({ ...call, stage: workload.stage, boot: machine.bootCount });
    }
  });
  await workload.run();
  expect(workload.bugs).toEqual([]);
  const recorded = [...calls];
  await workload.start();
  for (const shelf of workload.shelves) await workload.open(shelf);
  expect(await workload.missing()).toEqual([]);
  expect(await workload.serves()).toBeNull();
  return recorded;
}

/**
 * Each call site once for each kind of file and each stage of the workload, in the second directory
 * where it is called for both.
 */
function targetsOf(calls: readonly RecordedCall[]): Target[] {
  const targets = new Map<string, Omit<Target, "after">>();
  for (const { operation, callSite: site, path: exact, stage, boot } of calls) {
    const path = exact
      .replace(/[a-z]-\d\.[0-9a-f]+-(delete|future)/, "*-$1")
      .replace(/\/[a-z]-\d(?=\/|$)/, "/?-?")
      .replace(/\d{20}/, "*");
    const key = `${site} ${operation} ${path.replace(/^\/[ab]/, "")} ${stage}`;
    if (!targets.has(key) || path.startsWith("/b")) {
      targets.set(key, { site, operation, path, stage, boot });
    }
  }
  return [...targets.values()]
    .map((target) => ({ ...target, after: countBefore(calls, target) }))
    .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

/** How many calls of the target come before its stage, since the power came. */
function countBefore(calls: readonly RecordedCall[], target: Omit<Target, "after">): number {
  const matchesPath = pathMatcher(target.path);
  const matching = calls.filter(
    ({ callSite, operation, path, target: to, boot }) =>
      boot === target.boot &&
      callSite === target.site &&
      operation === target.operation &&
      (matchesPath(path) || (to !== null && matchesPath(to))),
  );
  return matching.findIndex(({ stage }) => stage === target.stage);
}

function nameOf({ site, operation, path, stage }: Omit<Target, "after">): string {
  return `${site} | ${operation} | ${path} | ${stage}`;
}

interface Line {
  readonly name: string;
  readonly target: Target;
  readonly fault: FaultName;
}

/** Every target with every fault that it can have. */
function linesOf(targets: readonly Target[]): Line[] {
  return targets.flatMap((target) =>
    FAULTS.filter((fault) => fault !== "short write" || target.operation === "writev").map(
      (fault) => ({ name: `${nameOf(target)} | ${fault}`, target, fault }),
    ),
  );
}

/** Declares the tests of one part of the list, from 0 on. */
export async function describeList(part: number): Promise<void> {
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
  const lines = linesOf(targets).filter(({ name }, index) => {
    return index % PART_COUNT === part && name.includes(ONLY);
  });
  for (const { name, target, fault } of lines) {
    test(name, async () => {
      const { outcome, violations } = await new FaultRun(target, fault).run();
      const verdict = violations.length === 0 ? outcome : "VIOLATION";
      outcomes.set(verdict, (outcomes.get(verdict) ?? 0) + 1);
      process.stdout.write(`${name} | ${verdict}\n`);
      expect(violations).toEqual([]);
    });
  }

  test("the list is not empty, and ends in a summary", () => {
    const counts = [...outcomes].map(([outcome, count]) => `${count} ${outcome}`);
    process.stdout.write(
      `part ${part + 1} of ${PART_COUNT}: ${lines.length} runs: ${counts.join(", ")}; the whole list: ` +
        `${new Set(targets.map(({ site, operation }) => `${site} ${operation}`)).size} call sites, ` +
        `${targets.length} with their kinds of file and stages, ${linesOf(targets).length} runs\n`,
    );
    expect(targets.length).toBeGreaterThan(80);
  });
}
