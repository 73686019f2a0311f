import { SeededRandom } from "../../src/base/random.ts";
import { choicesOf } from "./choices.ts";
import { History } from "./history.ts";
import { imageHash } from "./image.ts";
import { violationsOf } from "./invariants.ts";
import { PowerModel } from "./power-model.ts";
import { type Outcome, probe } from "./probe.ts";
import type { Recording } from "./recordings.ts";
import type { Image, TraceEvent } from "./trace.ts";

export interface Violation {
  /** For `--only <recording> --state <id>`. */
  readonly recording: string;
  readonly state: string;
  /** The last event before the cut. */
  readonly event: string;
  readonly texts: readonly string[];
}

export interface Findings {
  stateCount: number;
  readonly hashes: Set<string>;
  readonly violations: Violation[];
}

export interface ExploreOptions {
  /** How many states of one moment are looked at. */
  readonly limit: number;
  readonly maxViolations: number;
  /** Only this one. */
  readonly state?: string;
  /** What images were found to hold, for the recordings of one workload. */
  readonly outcomes: Map<string, Outcome>;
}

/** A state of the machine at the moment of a cut: what a start would find. */
interface State {
  readonly id: string;
  readonly image: Image;
  readonly cut: "process" | "power";
}

/** Goes through the moments of a recording, recovers what cuts may leave there, and checks it. */
export async function explore(recording: Recording, options: ExploreOptions): Promise<Findings> {
  const findings: Findings = { stateCount: 0, hashes: new Set(), violations: [] };
  const { world } = recording;
  const { events } = world.trace;
  const model = new PowerModel(world.base);
  const history = new History();
  for (const fact of world.earlierFacts) history.apply(fact);
  for (const [at, event] of events.entries()) {
    const isOurs = at >= recording.firstEvent;
    const states = isOurs ? [...partsOfWrite(model, event, at)] : [];
    model.apply(event, at);
    if (event.kind === "fact") history.apply(event.fact);
    if (!isOurs || !isTelling(event)) continue;
    for (const state of [...states, ...statesAt(recording, model, at, options.limit)]) {
      if (options.state !== undefined && options.state !== state.id) continue;
      findings.stateCount += 1;
      const hash = imageHash(state.image);
      findings.hashes.add(hash);
      const outcome = options.outcomes.get(hash) ?? (await probe(state.image, world.setup));
      options.outcomes.set(hash, outcome);
      const texts = violationsOf(history, outcome, state.cut);
      if (texts.length === 0) continue;
      const place = { recording: `${recording.name}@${recording.seed}`, state: state.id };
      findings.violations.push({ ...place, event: event.where(), texts });
      if (findings.violations.length >= options.maxViolations) return findings;
    }
  }
  return findings;
}

/** After a sync there is no state that was not there before it; after most facts, no new promise. */
function isTelling(event: TraceEvent): boolean {
  if (event.kind === "datasync" || event.kind === "syncDir") return false;
  if (event.kind !== "fact") return true;
  return !["created", "appended", "proposed", "leads", "starting"].includes(event.fact.kind);
}

function* statesAt(
  { name, seed }: Recording,
  model: PowerModel,
  at: number,
  limit: number,
): Generator<State> {
  const { pending } = model;
  let index = 0;
  for (const choice of choicesOf(pending, limit, new SeededRandom(`${name} ${seed} ${at}`))) {
    const image = model.image(pending, choice);
    yield { id: `${at}.${index}`, image, cut: "power" };
    // All has survived: that is what the death of the process leaves, with more to keep.
    if (index === 0) yield { id: `${at}.k`, image, cut: "process" };
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
    yield { id: `${at}.w${cut}`, image, cut: "process" };
  }
}
