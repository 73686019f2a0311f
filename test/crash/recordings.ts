import { must } from "../../src/base/assert.ts";
import { randomBelow, type Random, SeededRandom } from "../../src/base/random.ts";
import { choicesOf } from "./choices.ts";
import type { Fact } from "./history.ts";
import { PowerModel } from "./power-model.ts";
import { WORKLOADS, type Workload } from "./workloads.ts";
import { Interrupted, World } from "./world.ts";

/** A trace to explore, from one of its events on. */
export interface Recording {
  readonly name: string;
  readonly seed: number;
  readonly world: World;
  readonly firstEvent: number;
}

/** Of a workload the lives after a crash in it, at any event: recovery, traced and crashed in turn. */
const AFTER_CRASH = "/crash";

export function recordingNames(): string[] {
  return WORKLOADS.flatMap(({ name }) => [name, `${name}${AFTER_CRASH}`]);
}

/**
 * Runs the workload. Seed 0 lets calls take effect in the order in which they came; any other seed
 * shuffles those that run side by side, and chooses the crashes.
 */
export async function record(name: string, seed: number): Promise<Recording> {
  const isAfterCrash = name.endsWith(AFTER_CRASH);
  const workloadName = isAfterCrash ? name.slice(0, -AFTER_CRASH.length) : name;
  const workload = WORKLOADS.find((each) => each.name === workloadName);
  if (workload === undefined) throw new Error(`there is no workload ${workloadName}`);
  if (!isAfterCrash) {
    const world = await firstLife(workload, seed, Infinity);
    return { name, seed, world, firstEvent: 0 };
  }
  return { name, seed, ...(await livesAfterCrashes(workload, seed)) };
}

async function firstLife(workload: Workload, seed: number, stopAt: number): Promise<World> {
  const world = new World(workload.setup, { random: scheduleOf(seed) });
  world.stopAt = stopAt;
  await unlessInterrupted(workload.script(world));
  return world;
}

/** One to three crashes, each at any event of the life before; the last life is explored. */
async function livesAfterCrashes(
  workload: Workload,
  seed: number,
): Promise<Pick<Recording, "world" | "firstEvent">> {
  const random = new SeededRandom(`${workload.name} ${seed}`);
  let world = await firstLife(workload, seed, Infinity);
  let firstEvent = 0;
  const crashCount = must([1, 1, 1, 2, 2, 3][randomBelow(random, 6)], "one of six");
  for (let crash = 0; crash < crashCount; crash += 1) {
    const eventCount = world.trace.events.length - firstEvent;
    const at = firstEvent + randomBelow(random, eventCount + 1);
    if (crash === 0 && randomBelow(random, 4) === 0) {
      // The same again up to there: now the process dies, and its successor finds the page cache.
      world = await firstLife(workload, seed, at);
      world.stopAt = Infinity;
      world.kill();
      firstEvent = world.trace.events.length;
    } else {
      world = cutPower(workload, world, at, random);
      firstEvent = 0;
    }
    await lifeAfterCrash(world, random);
  }
  return { world, firstEvent };
}

function cutPower(workload: Workload, world: World, eventCount: number, random: Random): World {
  const events = world.trace.events.slice(0, eventCount);
  const model = new PowerModel(world.base);
  for (const [at, event] of events.entries()) model.apply(event, at);
  const { pending } = model;
  const choices = [...choicesOf(pending, 60, random)];
  const choice = must(choices[randomBelow(random, choices.length)], "there is a choice");
  const facts = events.flatMap((event) => (event.kind === "fact" ? [event.fact] : []));
  const crash: Fact = { kind: "crash", of: "power" };
  const image = model.image(pending, choice);
  return new World(workload.setup, {
    random: scheduleOf(randomBelow(random, 3)),
    after: { image, facts: [...world.earlierFacts, ...facts, crash] },
  });
}

/** Starts, appends to all logs, and perhaps stops in order. */
async function lifeAfterCrash(world: World, random: Random): Promise<void> {
  await world.start();
  for (const { id } of world.logs) {
    world.append(id, { isIdempotent: true });
    await world.steps(randomBelow(random, 4));
    world.append(id, { valueBytes: 200 });
  }
  await world.settle();
  if (randomBelow(random, 3) !== 0) return;
  await world.stop();
  if (randomBelow(random, 2) === 0) await world.start();
}

function scheduleOf(seed: number): Random | null {
  return seed === 0 ? null : new SeededRandom(`schedule ${seed}`);
}

async function unlessInterrupted(script: Promise<void>): Promise<void> {
  try {
    await script;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
}
