import { describe, expect, test } from "vitest";
import { checkHistory } from "../../../src/sim/checker/check.ts";
import type { Operation } from "../../../src/sim/checker/operation.ts";
import { ERROR_TYPES, describeCase } from "../../../src/sim/checker/report.ts";
import type { Case, ErrorType } from "../../../src/sim/checker/report.ts";
import { runModel } from "./support/model.ts";
import type { ModelRun } from "./support/model.ts";
import { Garden } from "./support/mutations.ts";

const STEPS = 600;
const runs = new Map<number, ModelRun>();

function runOf(seed: number): ModelRun {
  const run = runs.get(seed) ?? runModel(seed, STEPS);
  runs.set(seed, run);
  return run;
}

function casesOf(
  { facts }: Pick<ModelRun, "facts">,
  operations: readonly Operation[],
  antiDependencies = false,
): Case[] {
  const options = { keys: facts, rebalancesAreLogged: true, antiDependencies };
  return [...checkHistory(operations, options).cases.values()].flat();
}

const intolerable = (cases: readonly Case[]): string[] =>
  cases.filter(({ isTolerated }) => !isTolerated).map(describeCase);

describe("histories of a broker that makes no mistake", () => {
  test("are clean, to their last record", () => {
    const types = new Set<ErrorType>();
    for (let seed = 1; seed <= 120; seed += 1) {
      const run = runOf(seed);
      const cases = casesOf(run, run.operations);
      expect(intolerable(cases), `seed ${seed}`).toEqual([]);
      for (const { type } of cases) types.add(type);
      expect(checkHistory(run.operations, { keys: run.facts }).unseenOverTime.at(-1)!.value).toBe(
        0,
      );
    }
    // What Kafka allows does happen in them.
    expect([...types]).toEqual(expect.arrayContaining(["G1a", "int-send-skip", "G0", "G1c"]));
  });

  test("are not, if what excuses them is left out", () => {
    const excuses: Record<string, (run: ModelRun) => string[]> = {
      "retention and compaction": ({ operations }) =>
        intolerable(casesOf({ facts: new Map() }, operations)),
      rebalances: (run) =>
        intolerable(
          casesOf(
            run,
            run.operations.map((operation) => ({ ...operation, rebalancedKeys: [] })),
          ),
        ),
      "crashes and seeks": (run) =>
        intolerable(
          casesOf(
            run,
            run.operations.filter(({ kind }) => kind !== "crash" && kind !== "assign"),
          ),
        ),
      "unknown outcomes": (run) =>
        intolerable(
          casesOf(
            run,
            run.operations.map((operation) =>
              operation.outcome === "info" ? { ...operation, outcome: "ok" } : operation,
            ),
          ),
        ),
      "what was read uncommitted": (run) =>
        intolerable(
          casesOf(
            run,
            run.operations.map((operation) =>
              operation.kind === "poll" ? { ...operation, isolation: "read_committed" } : operation,
            ),
          ),
        ),
    };
    for (const [excuse, wrongs] of Object.entries(excuses)) {
      const wrong = Array.from({ length: 10 }, (_, seed) => wrongs(runOf(seed + 1))).flat();
      expect(wrong.length, excuse).toBeGreaterThan(0);
    }
  });
});

describe("of what is planted into such a history, the checker finds", () => {
  for (const type of ERROR_TYPES) {
    test(`${type}, wherever it is`, () => {
      for (let seed = 1; seed <= 40; seed += 1) {
        const run = runOf(seed);
        const garden = new Garden(run, seed);
        const { facts, witness } = garden.plant[type]();
        const cases = casesOf(run, garden.operations, type.startsWith("G2"));
        const found = cases.filter(
          (each) => each.type === type && each.operations.includes(witness),
        );
        expect(found, `seed ${seed}`).toContainEqual(expect.objectContaining(facts));
      }
    });
  }
});
