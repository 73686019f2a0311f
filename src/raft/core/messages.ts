import type { ReplicaKey } from "./voters.ts";

/**
 * What replicas tell each other. Each message carries the sender's epoch, and none leaves before that
 * epoch is durable (K7). Any may be lost, late, doubled or out of order. `leaderId` is who leads in that
 * epoch as far as the sender knows.
 */
export type Message =
  | VoteRequest
  | VoteAnswer
  | BeginQuorumEpoch
  | EndQuorumEpoch
  | FetchRequest
  | FetchAnswer
  | SnapshotRequest
  | SnapshotChunk
  | SnapshotGone
  | Refusal;

/** Asks for a vote in the epoch or, as a pre-vote, whether there would be one in the next (KIP-996). */
export interface VoteRequest {
  readonly kind: "vote";
  readonly epoch: number;
  readonly isPreVote: boolean;
  /** Whom it is meant for: a node that has lost its disk is another replica (KIP-853). */
  readonly voter: ReplicaKey;
  readonly lastEpoch: number;
  readonly endOffset: number;
}

export interface VoteAnswer {
  readonly kind: "voteAnswer";
  readonly epoch: number;
  readonly leaderId: number | null;
  readonly isPreVote: boolean;
  readonly isGranted: boolean;
}

/** The sender leads. */
export interface BeginQuorumEpoch {
  readonly kind: "beginQuorumEpoch";
  readonly epoch: number;
}

/** The sender leads no longer; who is likeliest to be elected comes first. */
export interface EndQuorumEpoch {
  readonly kind: "endQuorumEpoch";
  readonly epoch: number;
  readonly preferredSuccessors: readonly ReplicaKey[];
}

/** Asks for what follows, and promises that all before `fetchOffset` is synced at the sender (K9). */
export interface FetchRequest {
  readonly kind: "fetch";
  readonly epoch: number;
  readonly fetchOffset: number;
  /** The epoch of the record before `fetchOffset`; 0 when there is none. */
  readonly lastFetchedEpoch: number;
  readonly highWatermark: number;
}

/**
 * The leader's answer. It says what it answers, so that one that is late or doubled is known by that:
 * it is taken only while the follower's log still ends there.
 */
export interface FetchAnswer {
  readonly kind: "fetchAnswer";
  readonly epoch: number;
  readonly fetchOffset: number;
  readonly lastFetchedEpoch: number;
  readonly highWatermark: number;
  readonly outcome: FetchOutcome;
}

export type FetchOutcome =
  | { readonly kind: "records"; readonly batches: readonly Batch[] }
  /** The logs part here: where the greatest epoch that both may have ends at the leader (KIP-595). */
  | { readonly kind: "diverging"; readonly epoch: number; readonly endOffset: number }
  /** What the follower lacks is in the leader's log no longer, but in this snapshot (KIP-630). */
  | { readonly kind: "snapshot"; readonly id: SnapshotId };

/** A snapshot is the state after all that is committed below `endOffset`, whose last record is of `epoch`. */
export interface SnapshotId {
  readonly endOffset: number;
  readonly epoch: number;
}

/** Asks for the snapshot's bytes from `position` on; as good a sign of life as a fetch. */
export interface SnapshotRequest {
  readonly kind: "fetchSnapshot";
  readonly epoch: number;
  readonly id: SnapshotId;
  readonly position: number;
}

/** The leader's answer: some of the bytes, at least one. It is taken only while it is what is asked for. */
export interface SnapshotChunk {
  readonly kind: "snapshotChunk";
  readonly epoch: number;
  readonly id: SnapshotId;
  readonly position: number;
  /** Of the whole snapshot. */
  readonly sizeBytes: number;
  readonly bytes: Buffer;
}

/** The leader has that snapshot no longer: a fetch will tell of a newer one. */
export interface SnapshotGone {
  readonly kind: "snapshotGone";
  readonly epoch: number;
  readonly id: SnapshotId;
}

/** A whole batch; its offsets are [baseOffset, endOffset). */
export interface Batch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly leaderEpoch: number;
  readonly bytes: Buffer;
}

/** To a fetch or an announcement that is not for this node, or of an epoch gone by. */
export interface Refusal {
  readonly kind: "refusal";
  readonly epoch: number;
  readonly leaderId: number | null;
}
