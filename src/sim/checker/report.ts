import type { DataOperation } from "./operation.ts";

/** The table of reliability.md, section 4, in its order; C21 and G2 are beside it (docs/simulation.md). */
export const ERROR_TYPES = [
  "inconsistent-offsets",
  "duplicate",
  "lost-write",
  "unseen",
  "C21",
  "G1a",
  "precommitted-read",
  "int-poll-skip",
  "poll-skip",
  "int-nonmonotonic-poll",
  "nonmonotonic-poll",
  "int-nonmonotonic-send",
  "nonmonotonic-send",
  "int-send-skip",
  "G0",
  "G0-process",
  "G0-realtime",
  "G1c",
  "G1c-process",
  "G1c-realtime",
  "G2",
  "G2-process",
  "G2-realtime",
] as const;

export type ErrorType = (typeof ERROR_TYPES)[number];

interface Common {
  readonly isTolerated: boolean;
  /** The operations that prove it, in the order in which the error reads. */
  readonly operations: readonly DataOperation[];
}

/** One offset with several values. */
export interface OffsetCase extends Common {
  readonly type: "inconsistent-offsets";
  readonly key: string;
  readonly offset: number;
  /** At most `SHOWN`. */
  readonly values: readonly string[];
}

/** Something about one value. */
export interface ValueCase extends Common {
  readonly type: "duplicate" | "lost-write" | "unseen" | "C21" | "G1a" | "precommitted-read";
  readonly key: string;
  readonly value: string;
  /** Where it is, or was said to be: at most `SHOWN`, none if nobody knows. */
  readonly offsets: readonly number[];
}

/** Two neighbours in what a client polled or sent, which are not neighbours in the log. */
export interface OrderCase extends Common {
  readonly type:
    | "int-poll-skip"
    | "poll-skip"
    | "int-nonmonotonic-poll"
    | "nonmonotonic-poll"
    | "int-nonmonotonic-send"
    | "nonmonotonic-send"
    | "int-send-skip";
  readonly key: string;
  readonly from: number;
  readonly to: number;
  /** What lies between them: at most `SHOWN`. */
  readonly skipped: readonly string[];
}

export interface DataStep {
  readonly kind: "ww" | "wr" | "rw";
  readonly key: string;
  /** What the first operation wrote (or, of rw, polled last), */
  readonly value: string;
  /** and what the second wrote on top, or polled. */
  readonly nextValue: string;
}

/** `process`: one client did the one after the other. `realtime`: the one had ended. */
export type CycleStep = DataStep | { readonly kind: "process" | "realtime" };

/** Each operation comes before the next, and the last before the first. */
export interface CycleCase extends Common {
  readonly type:
    | "G0"
    | "G0-process"
    | "G0-realtime"
    | "G1c"
    | "G1c-process"
    | "G1c-realtime"
    | "G2"
    | "G2-process"
    | "G2-realtime";
  /** `steps[i]` leads from `operations[i]` to the next one. */
  readonly steps: readonly CycleStep[];
}

export type Case = OffsetCase | ValueCase | OrderCase | CycleCase;

/** A lower bound of how long what a consumer had not got yet had been in the log when a poll began. */
export interface Lag {
  readonly process: string;
  readonly key: string;
  readonly atMs: number;
  readonly lagMs: number;
}

export interface Point {
  readonly atMs: number;
  readonly value: number;
}

export interface Report {
  /** No case but tolerated ones. */
  readonly isValid: boolean;
  /** The types that were found, in the order of `ERROR_TYPES`. */
  readonly cases: ReadonlyMap<ErrorType, readonly Case[]>;
  /** Acked and not yet polled by anybody; its last point is the number of `unseen`. */
  readonly unseenOverTime: readonly Point[];
  /** realtime-lag: the worst of all consumers at each time. */
  readonly lagOverTime: readonly Point[];
  /** The worst of each consumer and key. */
  readonly lags: readonly Lag[];
  /** worst-realtime-lag; null if nobody lagged. */
  readonly worstLag: Lag | null;
}

/** As many values and offsets does a case show at most, so that a report is never longer than a history. */
export const SHOWN = 8;

/** One line for people. */
export function describeCase(each: Case): string {
  const verdict = each.isTolerated ? `${each.type} (tolerated)` : each.type;
  return `${verdict}: ${what(each)}; ${each.operations.map(nameOf).join(", ")}`;
}

function what(each: Case): string {
  if ("steps" in each) return each.steps.map(stepText).join(", ");
  if ("values" in each) return `${each.key}@${each.offset} is ${each.values.join(" and ")}`;
  if ("value" in each) return `${each.key}@${each.offsets.join(",")} ${each.value}`;
  return `${each.key} from ${each.from} to ${each.to} [${each.skipped.join(" ")}]`;
}

function stepText(step: CycleStep): string {
  if (!("key" in step)) return step.kind;
  return `${step.kind} ${step.key} ${step.value}>${step.nextValue}`;
}

function nameOf({ process, kind, outcome, startedMs, endedMs }: DataOperation): string {
  return `${process} ${kind} ${outcome} ${startedMs}..${endedMs}`;
}
