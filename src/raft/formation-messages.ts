import type { ReplicaKey } from "./core/voters.ts";

/**
 * What nodes tell each other before there is a quorum (R14), and what a node of a quorum answers to one
 * that asks. Any may be lost, late, doubled or out of order.
 */
export type FormationMessage = AskPromise | Promised | AskFormed | Formed;

/** The founder to each other configured voter: "have you no cluster yet, and will you take mine?" */
export interface AskPromise {
  readonly kind: "askPromise";
  readonly clusterId: string;
  /** All configured voters, ascending: both must mean the same ones. */
  readonly voterIds: readonly number[];
}

/** The sender has no cluster and has made durable that it will join no other founder's. */
export interface Promised {
  readonly kind: "promised";
  readonly clusterId: string;
  /** Whom it has promised it: perhaps a disk that the asker has lost. */
  readonly founder: ReplicaKey;
}

/** From a node that has no cluster: "is there one?" */
export interface AskFormed {
  readonly kind: "askFormed";
  readonly clusterId: string;
}

/** There is one, and these are its voters as far as the sender knows. */
export interface Formed {
  readonly kind: "formed";
  readonly clusterId: string;
  readonly voters: readonly ReplicaKey[];
}
