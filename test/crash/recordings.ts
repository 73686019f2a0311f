import { must } from "../../src/base/assert.ts";
import { randomBelow, type Random, SeededRandom } from "../../src/base/random.ts";
import { choicesOf } from "./choices.ts";
import type { Fact } from "./history.ts";
import { momentsOf } from "./moments.ts";
import { newestOf, PowerModel } from "./power-model.ts";
import type { Image, TraceEvent } from "./trace.ts";
import type { Workload } from "./workload.ts";
import { WORKLOADS } from "./workloads.ts";
import { Interrupted, World } from "./world.ts";

/** A trace to explore, from one of its events on. */
export interface Recording {
  readonly name: string;
  readonly seed: number;
  readonly world: World;
  readonly firstEvent: number;
}

/** Of a long workload the lives after a crash in it, at any event: recovery, traced and crashed in turn. */
const AFTER_CRASH = "/crash";
/** Of a short workload every recovery from every state of it. */
const RECOVERY = "/recovery";

export function recordingNames(): string[] {
  return WORKLOADS.flatMap(({ name, kind, hasManyRecoveries = false }) => {
    if (kind === "fault") return [name];
    const isSampled = kind === "long" || hasManyRecoveries;
    return [name, `${name}${isSampled ? AFTER_CRASH : RECOVERY}`];
  });
}

/** The workload that a recording is of. */
export function workloadOf(recordingName: string): Workload {
  const name = recordingName.replace(/\/.*/, "");
  const workload = WORKLOADS.find((each) => each.name === name);
  if (workload === undefined) throw new Error(`there is no workload ${name}`);
  return workload;
}

/** Whether all of its states are looked at: its trace is short. */
export function isShort(recordingName: string): boolean {
  return workloadOf(recordingName).kind === "short" && !recordingName.endsWith(AFTER_CRASH);
}

/** Whether it is every recovery of a short workload. */
export function isRecovery(recordingName: string): boolean {
  return recordingName.endsWith(RECOVERY);
}

/** Of one moment of a short trace, which has fewer. */
const ALL_STATES = 20_000;

/** How many states of one moment are looked at. */
export function limitOf(recordingName: string): number {
  const { recoveryLimit } = workloadOf(recordingName);
  if (!isShort(recordingName)) return 60;
  return (isRecovery(recordingName) ? recoveryLimit : undefined) ?? ALL_STATES;
}

/** Whether no state of it may be left out. */
export function isToBeExhausted(recordingName: string): boolean {
  return limitOf(recordingName) === ALL_STATES;
}

/**
 * Runs the workload; the recordings are many for every recovery of it, and one otherwise. Seed 0 lets
 * calls take effect in the order in which they came; any other seed shuffles those that run side by
 * side, and chooses the crashes.
 */
export async function* record(name: string, seed: number): AsyncGenerator<Recording> {
  const workload = workloadOf(name);
  if (isRecovery(name)) {
    yield* recoveries(workload, name);
  } else if (name.endsWith(AFTER_CRASH)) {
    yield { name, seed, ...(await livesAfterCrashes(workload, seed)) };
  } else {
    yield { name, seed, world: await firstLife(workload, seed, Infinity), firstEvent: 0 };
  }
}

async function firstLife(workload: Workload, seed: number, stopAt: number): Promise<World> {
  const world = await worldOf(workload, seed);
  world.stopAt = stopAt;
  await unlessInterrupted(workload.script(world));
  return world;
}

/** With what was prepared, all of it durable. */
async function worldOf({ setup, prepare, damage }: Workload, seed: number): Promise<World> {
  const random = scheduleOf(seed);
  if (prepare === undefined) return new World(setup, { random });
  const world = new World(setup, { random: null });
  await prepare(world);
  const { events } = world.trace;
  const model = modelAfter(world.base, events);
  const facts = [...factsOf(events), { kind: "crash", of: "power" } as const];
  const prepared = model.image(model.pending, newestOf(model.pending));
  const image = damage === undefined ? prepared : damage(prepared);
  return new World(setup, { random, after: { image, facts } });
}

/** A life after each state of a short workload, whatever the cut was. */
async function* recoveries(workload: Workload, name: string): AsyncGenerator<Recording> {
  const limit = limitOf(name);
  const world = await firstLife(workload, 0, Infinity);
  const known = new Set<string>();
  let seed = 0;
  for (const { at, facts, states } of momentsOf({ name, seed, world, firstEvent: 0 }, limit)) {
    for (const state of states) {
      if (state.cut === "process") continue;
      // What was promised differs; what is found may not.
      const key = `${state.key} ${facts.length}`;
      if (known.has(key)) continue;
      known.add(key);
      const image = state.image();
      const crash: Fact = { kind: "crash", of: "power" };
      const after = { image, facts: [...world.earlierFacts, ...facts, crash] };
      const next = new World(workload.setup, { random: null, after });
      await recoveryOf(next, workload);
      yield { name, seed, world: next, firstEvent: 0 };
      seed += 1;
    }
    const killed = await firstLife(workload, 0, at + 1);
    killed.stopAt = Infinity;
    killed.kill();
    const firstEvent = killed.trace.events.length;
    await recoveryOf(killed, workload);
    yield { name, seed, world: killed, firstEvent };
    seed += 1;
  }
}

/** It must take batches again, up to where something was that recovery has removed. */
async function recoveryOf(world: World, workload: Workload): Promise<void> {
  const { batchValueBytes = 60, prepare } = workload;
  await world.start();
  // The life before has made its first log, or was to do so.
  if (prepare === undefined && world.logs.length === 0) await world.create("t");
  for (const { id } of world.logs) {
    world.append(id, { isIdempotent: true, valueBytes: batchValueBytes });
    world.append(id, { valueBytes: batchValueBytes });
  }
  await world.settle();
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
  const model = modelAfter(world.base, events);
  const { pending } = model;
  const choices = [...choicesOf(pending, { limit: 60, random, newest: null }).choices];
  const choice = must(choices[randomBelow(random, choices.length)], "there is a choice");
  const crash: Fact = { kind: "crash", of: "power" };
  const image = model.image(pending, choice);
  return new World(workload.setup, {
    random: scheduleOf(randomBelow(random, 3)),
    after: { image, facts: [...world.earlierFacts, ...factsOf(events), crash] },
  });
}

function modelAfter(base: Image, events: readonly TraceEvent[]): PowerModel {
  const model = new PowerModel(base);
  for (const [at, event] of events.entries()) model.apply(event, at);
  return model;
}

function factsOf(events: readonly TraceEvent[]): Fact[] {
  return events.flatMap((event) => (event.kind === "fact" ? [event.fact] : []));
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
