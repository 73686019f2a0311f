import { randomBelow, SeededRandom } from "../../src/base/random.ts";
import { check, type Flip, type Outcome, start } from "./check.ts";
import { closedDirectory, type Files } from "./cluster.ts";
import { harmlessReason, kindOf } from "./kinds.ts";

export interface FlipRun {
  readonly violations: readonly string[];
  readonly table: string;
  readonly seconds: number;
}

const OUTCOMES: readonly Outcome[] = ["start refused", "read refused", "said", "silent"];
/** One flip in so many is followed by a second start. */
const RESTART_EVERY = 4;
/** One in so many comes to a directory that was not closed in order: all is scanned. */
const UNCLEAN_EVERY = 5;
/** A start may not wait for ever on what it was given. */
const MAX_TURNS = 200_000;

/** Flips so many bits, each in a fresh copy, evenly over the kinds of files. */
export async function run(options: {
  readonly flips: number;
  readonly seed: number;
  readonly only?: number | null;
  readonly kinds?: readonly string[];
}): Promise<FlipRun> {
  const startedMs = performance.now();
  const closed = await closedDirectory();
  const killed = new Map([...closed].filter(([path]) => !path.endsWith(".kafka_cleanshutdown")));
  const expected = { closed: await start(closed), killed: await start(killed) };
  const byKind = pathsByKind(closed, options.kinds);
  const counts = new Map<string, number>();
  const violations: string[] = [];
  const random = new SeededRandom(options.seed);
  const kinds = [...byKind.keys()];
  for (let index = 0; index < options.flips; index += 1) {
    const kind = kinds[index % kinds.length] ?? "";
    const damage = choose(closed, byKind.get(kind) ?? [], random);
    const isKilled = index % UNCLEAN_EVERY === 0 && kind !== "clean-shutdown mark";
    if (options.only !== undefined && options.only !== null && options.only !== index) continue;
    try {
      const outcome = await inTime(
        check(
          isKilled ? killed : closed,
          isKilled ? expected.killed : expected.closed,
          damage,
          index % RESTART_EVERY === 0,
        ),
      );
      if (outcome === "silent" && harmlessReason(kind) === null) {
        throw new Error("nobody has noticed it, and there is no proof that it is harmless");
      }
      count(counts, `${kind}|${outcome}`);
    } catch (error) {
      const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      const place = `${damage.path} byte ${damage.bit >> 3} bit ${damage.bit & 7}`;
      violations.push(`#${index} ${isKilled ? "(killed) " : ""}${place}: ${text}`);
      count(counts, `${kind}|violation`);
    }
  }
  const seconds = (performance.now() - startedMs) / 1000;
  return { violations, table: formatTable(kinds, counts), seconds };
}

function pathsByKind(files: Files, only?: readonly string[]): Map<string, string[]> {
  const byKind = new Map<string, string[]>();
  for (const [path, content] of files) {
    const kind = kindOf(path);
    if (content.length === 0 || (only !== undefined && !only.includes(kind))) continue;
    byKind.set(kind, [...(byKind.get(kind) ?? []), path]);
  }
  return byKind;
}

/** Each bit of the kind's files is as likely as any other. */
function choose(files: Files, paths: readonly string[], random: SeededRandom): Flip {
  const bitsOf = (path: string): number => 8 * (files.get(path)?.length ?? 0);
  const total = paths.reduce((sum, path) => sum + bitsOf(path), 0);
  let bit = randomBelow(random, total);
  for (const path of paths) {
    if (bit < bitsOf(path)) return { path, bit };
    bit -= bitsOf(path);
  }
  throw new Error("the files have no bits");
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Counts turns of the event loop, not time: a start that never ends is a violation, too. */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  const state = { isDone: false };
  const done = promise.finally(() => {
    state.isDone = true;
  });
  done.catch(() => undefined);
  for (let turn = 0; turn < MAX_TURNS && !state.isDone; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (!state.isDone) throw new Error("it hangs");
  return await done;
}

function formatTable(kinds: readonly string[], counts: ReadonlyMap<string, number>): string {
  const heads = [...OUTCOMES, "violation"];
  const lines = [`${"kind of file".padEnd(34)}${heads.map((head) => head.padStart(15)).join("")}`];
  const reasons: string[] = [];
  for (const kind of kinds) {
    const cells = heads.map((head) => counts.get(`${kind}|${head}`) ?? 0);
    lines.push(`${kind.padEnd(34)}${cells.map((cell) => String(cell).padStart(15)).join("")}`);
    const reason = harmlessReason(kind);
    if (reason !== null && (counts.get(`${kind}|silent`) ?? 0) > 0) {
      reasons.push(`silent in ${kind}: ${reason}`);
    }
  }
  return [...lines, ...reasons].join("\n");
}
