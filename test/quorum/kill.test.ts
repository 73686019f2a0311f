import { describe, expect, test } from "vitest";
import { withTemporaryFolder } from "../support/broker-process.ts";
import { Nodes } from "./nodes.ts";
import { type KillKind, killRounds, type RoundsReport } from "./rounds.ts";

/** Of each of the two tests; a hundred is the promise of the project, and takes some eight minutes. */
const ROUNDS = Number(process.env["HOLDFAST_QUORUM_ROUNDS"] ?? 20);

function say(name: string, report: RoundsReport): void {
  const { rounds, answered, unknown, kept, made, gapsMs, faults } = report;
  const gaps = [...gapsMs].map(([kind, each]) => {
    const sorted = each.toSorted((a, b) => a - b);
    const at = (part: number) => sorted[Math.ceil(sorted.length * part) - 1]!.toFixed(0);
    return `${kind}: ${each.length} kills, p50 ${at(0.5)}, p99 ${at(0.99)}, at most ${at(1)} ms`;
  });
  console.log(
    `${name}: ${rounds} rounds, ${answered} changes answered, ${unknown.length} unknown, ` +
      `${made} topics made, ${kept} kept, ${faults.length} faults; longest time without an answer by ` +
      `whom was killed: ${gaps.join("; ")}`,
  );
}

/** Every fifth round kills somebody else than the active controller alone. */
function mixed(activeCount: number): KillKind[] {
  const others: readonly KillKind[] = ["follower", "two"];
  return Array.from({ length: activeCount }, (_, n): KillKind[] =>
    n % 5 === 4 ? ["active", others[((n - 4) / 5) % 2]!] : ["active"],
  ).flat();
}

describe("three processes, while six clients make topics, change them and delete them over all nodes", () => {
  test("kill -9 of the active controller, again and again: each answered change is there, none twice", async () => {
    await withTemporaryFolder(async (folder) => {
      const nodes = await Nodes.three(folder);
      const report = await killRounds(nodes, mixed(ROUNDS));
      say("kill -9 of controllers", report);
      expect(report.faults).toEqual([]);
      expect(report.unknown).toEqual([]);
      expect(report.gapsMs.get("active")).toHaveLength(ROUNDS);
      expect(report.kept).toBeGreaterThan(ROUNDS);
    });
  });

  test("power cut of all three at one moment, again and again: no answered change is lost (R12)", async () => {
    await withTemporaryFolder(async (folder) => {
      const nodes = await Nodes.three(folder, { "holdfast.disk.page.cache": "process" });
      const report = await killRounds(nodes, Array<KillKind>(ROUNDS).fill("all"));
      say("power cut of all controllers", report);
      expect(report.faults).toEqual([]);
      expect(report.unknown).toEqual([]);
      expect(report.gapsMs.get("all")).toHaveLength(ROUNDS);
      expect(report.kept).toBeGreaterThan(ROUNDS / 2);
    });
  });
});
