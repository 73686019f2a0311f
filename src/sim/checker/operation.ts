/** `ok`: it happened. `fail`: it did not, and never will. `info`: nobody knows. */
export type Outcome = "ok" | "fail" | "info";

/**
 * What one client did. Times may come from any clock that all clients share, so long as it does not go
 * back; two operations are ordered in real time only where one ends strictly before the other begins.
 */
interface Common {
  /**
   * One client with one producer and one consumer. Its operations are in the history in the order in
   * which they ended; those that began at one moment, in the order in which they were begun.
   */
  readonly process: string;
  readonly outcome: Outcome;
  readonly startedMs: number;
  readonly endedMs: number;
}

export interface Send {
  readonly kind: "send";
  /** The partition, as `topic-0`. */
  readonly key: string;
  /** What tells this record from all others of its key. */
  readonly value: string;
  /** Where it was said to be. */
  readonly offset?: number;
  /** The record's own key; needed for compacted topics only. */
  readonly recordKey?: string;
}

export interface Poll {
  readonly kind: "poll";
  readonly key: string;
  /** What was handed out, in that order. */
  readonly records: readonly { readonly offset: number; readonly value: string }[];
}

interface WithSends {
  /** Absent means true: the producer is idempotent, so nothing it sends doubles or changes places. */
  readonly idempotent?: boolean;
}

interface WithPolls {
  /** Absent means read_committed. */
  readonly isolation?: "read_committed" | "read_uncommitted";
  /** Keys that were given to the consumer or taken from it while the operation ran. */
  readonly rebalancedKeys?: readonly string[];
}

/**
 * Records that share a fate only by their outcome. An ack that promises nothing under the faults of the
 * run (acks 0 and 1, where leaders fail over) is an `info`.
 */
export interface SendOperation extends Common, WithSends {
  readonly kind: "send";
  readonly steps: readonly Send[];
}

export interface PollOperation extends Common, WithPolls {
  readonly kind: "poll";
  readonly steps: readonly Poll[];
}

/** A transaction of the producer: all of its sends are there, or none. `fail` is an abort. */
export interface TransactionOperation extends Common, WithSends, WithPolls {
  readonly kind: "txn";
  readonly steps: readonly (Send | Poll)[];
}

/** What consumes and produces. */
export type DataOperation = SendOperation | PollOperation | TransactionOperation;

export interface AssignOperation extends Common {
  /** `subscribe` leaves it to the group which of the keys the consumer gets, and when. */
  readonly kind: "assign" | "subscribe";
  /** All keys of the consumer from now on. One that it had already goes on from where it was. */
  readonly keys: readonly string[];
  /** The consumer was set to other positions: nothing goes on from where it was. */
  readonly seeks?: boolean;
}

/** The client is gone with all that it knew; the process goes on with a new one. */
export interface CrashOperation extends Common {
  readonly kind: "crash";
}

export type Operation = DataOperation | AssignOperation | CrashOperation;

export function isDataOperation(operation: Operation): operation is DataOperation {
  const { kind } = operation;
  return kind === "send" || kind === "poll" || kind === "txn";
}

/** What is known of a key besides the history. */
export interface KeyFacts {
  /** What lies below may have been deleted (retention, DeleteRecords). */
  readonly logStartOffset?: number;
  /** A record may be gone once a later one has its record key. */
  readonly isCompacted?: boolean;
}
