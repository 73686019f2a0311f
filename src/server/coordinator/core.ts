import type { KafkaError } from "../../protocol/errors.ts";
import type { Timeline } from "./timeline.ts";

/** The bytes of one record of a coordinator's topic. A null value is a tombstone. */
export interface KeyValue {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

/** Answers the request that holds the ticket, now or long after it came. */
export interface Reply {
  readonly ticket: number;
  readonly response: unknown;
}

/** A deadline that is a command. Scheduling a key again replaces what it had. */
export type TimerChange<Command> =
  | {
      readonly kind: "schedule";
      readonly key: string;
      readonly delayMs: number;
      readonly command: Command;
    }
  | { readonly kind: "cancel"; readonly key: string };

/** What one command decided, besides what it changed in the state. */
export interface Outcome<Command, Rec> {
  readonly records: readonly Rec[];
  /** Given when the records, and all records before them, are committed. */
  readonly replies: readonly Reply[];
  /** In force when the log has taken the records. */
  readonly timers: readonly TimerChange<Command>[];
  /** The log refused the records, and the state is as before: what to do about it. */
  readonly onRefused: ((error: KafkaError) => Command) | null;
}

export interface HandleContext {
  /** Milliseconds since the epoch: what timestamps and retention are about. Never a deadline. */
  readonly nowMs: number;
  /** Identifies the request for `replies`; null: nobody waits for an answer (a timer). */
  readonly ticket: number | null;
}

/**
 * A coordinator without its log: pure decisions over a state whose every part is a TimelineMap, so
 * that the runtime can take back what the log did not take.
 */
export interface CoordinatorCore<State, Command, Rec> {
  createState(timeline: Timeline): State;
  /**
   * Changes the state and says what follows. Throws KafkaError to refuse: the runtime then takes back
   * what was changed. The records replayed onto the state before give the durable part of the state after.
   */
  handle(state: State, command: Command, context: HandleContext): Outcome<Command, Rec>;
  replay(state: State, record: Rec): void;
  /** The whole log has been replayed: which deadlines start now. */
  onLoaded(state: State, nowMs: number): Outcome<Command, Rec>;
  encode(record: Rec): KeyValue;
  /** Null for a record of a type that this coordinator does not know. */
  decode(key: Buffer, value: Buffer | null): Rec | null;
}
