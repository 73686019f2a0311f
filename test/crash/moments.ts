import { SeededRandom } from "../../src/base/random.ts";
import { choicesOf } from "./choices.ts";
import { type Fact, History } from "./history.ts";
import { imageKey } from "./image.ts";
import { type Choice, type Pending, PowerModel } from "./power-model.ts";
import type { Recording } from "./recordings.ts";
import type { Image, TraceEvent } from "./trace.ts";

/** A state of the machine at the moment of a cut: what a start would find. */
export interface State {
  readonly id: string;
  /** Of the image (image.ts). */
  readonly key: string;
  readonly image: () => Image;
  readonly cut: "process" | "power";
}

/** Right after an event of a trace: what a cut may leave there, and what had been promised. */
export interface Moment {
  readonly at: number;
  readonly event: TraceEvent;
  /** Of all that has happened; it goes on with the next moment. */
  readonly history: History;
  /** The same, as it was told; after the facts of the lives before. */
  readonly facts: readonly Fact[];
  /** Whether the states are all that there are. */
  readonly isExhaustive: boolean;
  readonly states: Iterable<State>;
}

/** The moments of a recording at which there is anything new, each to be used before the next. */
export function* momentsOf(recording: Recording, limit: number): Generator<Moment> {
  const { name, seed, world } = recording;
  const model = new PowerModel(world.base);
  const history = new History();
  const facts: Fact[] = [];
  for (const fact of world.earlierFacts) history.apply(fact);
  let isFirst = true;
  for (const [at, event] of world.trace.events.entries()) {
    const isOurs = at >= recording.firstEvent;
    const parts = isOurs ? [...partsOfWrite(model, event, at)] : [];
    model.apply(event, at);
    if (event.kind === "fact") {
      history.apply(event.fact);
      facts.push(event.fact);
    }
    if (!isOurs || !isTelling(event)) continue;
    const { pending } = model;
    const random = new SeededRandom(`${name} ${seed} ${at}`);
    // With a new promise, or when the moment before was not ours, every state is to be looked at.
    const newest = event.kind === "fact" || isFirst ? null : at;
    isFirst = false;
    const { isExhaustive, choices } = choicesOf(pending, { limit, random, newest });
    const states = statesAt(at, parts, model, pending, choices);
    yield { at, event, history, facts, isExhaustive, states };
  }
}

/** After a sync there is no state that was not there before it; after most facts, no new promise. */
function isTelling(event: TraceEvent): boolean {
  if (["datasync", "syncDir", "failed-sync"].includes(event.kind)) return false;
  if (event.kind !== "fact") return true;
  return !["created", "appended", "proposed", "starting"].includes(event.fact.kind);
}

function* statesAt(
  at: number,
  parts: readonly State[],
  model: PowerModel,
  pending: Pending,
  choices: Iterable<Choice>,
): Generator<State> {
  yield* parts;
  let index = 0;
  for (const choice of choices) {
    const key = model.key(pending, choice);
    const image = (): Image => model.image(pending, choice);
    yield { id: `${at}.${index}`, key, image, cut: "power" };
    // All has survived: that is what the death of the process leaves, with more to keep.
    if (index === 0) yield { id: `${at}.k`, key, image, cut: "process" };
    index += 1;
  }
}

/** The process dies in a write: some of its bytes are in the page cache. */
function* partsOfWrite(model: PowerModel, event: TraceEvent, at: number): Generator<State> {
  if (event.kind !== "write") return;
  const { length } = event.bytes;
  const cuts = new Set([1, 61, Math.floor(length / 2), length - 1, 4096]);
  for (const cut of cuts) {
    if (cut <= 0 || cut >= length) continue;
    const image = model.imageDuring(event, cut);
    yield { id: `${at}.w${cut}`, key: imageKey(image), image: () => image, cut: "process" };
  }
}
