import type { FetchRequest, SnapshotId } from "./messages.ts";
import type { ReplicaKey } from "./voters.ts";

/**
 * What a node is in its epoch. "Voted" is unattached with a vote: the vote itself is part of the
 * quorum state, whatever the role is.
 */
export type Role = Unattached | Prospective | Candidate | Follower | Leader | Resigned;

/** Knows no leader it could follow. A voter stands for election when nobody else has in time. */
export interface Unattached {
  readonly kind: "unattached";
  /** An observer asks for the leader then. */
  readonly electionAtMs: number;
}

interface Ballot {
  readonly granted: Map<string, ReplicaKey>;
  readonly refused: Set<string>;
  /** When the next thing is tried. */
  untilMs: number;
}

/** Asks whether it would be elected (KIP-996): its epoch stays as it is (K15). */
export interface Prospective extends Ballot {
  readonly kind: "prospective";
  /** Whom it goes back to when it would not. */
  readonly fallbackLeaderId: number | null;
}

export interface Candidate extends Ballot {
  readonly kind: "candidate";
}

export interface Follower {
  readonly kind: "follower";
  readonly leaderId: number;
  /** Whether this leader has answered since the node began to follow it. */
  hasHeard: boolean;
  /** When a fetch was answered last or, after a wait for this node's own disk, sent. */
  heardAtMs: number;
  /** The request that waits for its answer; null: the node waits for its own disk. */
  fetch: { sentAtMs: number } | null;
  /** What is fetched instead of records, and from where on. */
  snapshot: SnapshotProgress | null;
  /** The leader's, which may be beyond what is synced here. */
  leaderHighWatermark: number;
}

export interface SnapshotProgress {
  readonly id: SnapshotId;
  /** All before is written, or is being written. */
  position: number;
  /** Nothing is left to be asked for. */
  isWhole: boolean;
}

export interface Leader {
  readonly kind: "leader";
  readonly grantingVoters: readonly ReplicaKey[];
  /** Where its first record lies; null until the epoch is durable (K7). */
  epochStartOffset: number | null;
  readonly sinceMs: number;
  readonly replicas: Map<string, Progress>;
  announceAtMs: number;
  /** Since when something of its log is not synced; null: all is. */
  unflushedSinceMs: number | null;
}

/** What a leader knows of another replica. */
export interface Progress {
  readonly key: ReplicaKey;
  /** All below is synced there, and the same as here. Never falls. */
  endOffset: number;
  fetchedAtMs: number;
  /** Where the leader's log ended when it fetched last. */
  leaderEndOffset: number;
  /** When it had, as it showed later, all that there was; -Infinity: never so far. */
  caughtUpAtMs: number;
  /** A fetch at the end of the log waits for news. */
  parked: { readonly request: FetchRequest; readonly untilMs: number } | null;
}

/** Led in this epoch and does so no longer. */
export interface Resigned {
  readonly kind: "resigned";
  readonly untilMs: number;
}
