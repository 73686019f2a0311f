import type { Batch, Message } from "./messages.ts";
import type { ReplicaKey } from "./voters.ts";

/** What a voter must never forget about elections (K6, K7): Kafka's quorum-state file. */
export interface QuorumState {
  readonly leaderEpoch: number;
  /** The leader of that epoch, if known: only a hint for the next start. */
  readonly leaderId: number | null;
  /** Who got this node's vote in that epoch. */
  readonly voted: ReplicaKey | null;
}

/** What happens to a node. */
export type RaftEvent =
  /** The process has started: the first event. */
  | { readonly kind: "start" }
  /** `deadlineMs` has come. Too early or too late does no harm. */
  | { readonly kind: "tick" }
  | { readonly kind: "message"; readonly from: ReplicaKey; readonly message: Message }
  /** The state of the `persist` effect survives a power cut now. */
  | { readonly kind: "persisted" }
  /** All of the log below the offset survives a power cut now. */
  | { readonly kind: "flushed"; readonly endOffset: number }
  /** The state machine's batch; only while `leadingEpoch` is not null. */
  | { readonly kind: "propose"; readonly recordCount: number; readonly bytes: Buffer }
  /** The node is to lead no longer: it shuts down, or its disk has failed. */
  | { readonly kind: "resign" }
  /** A connection to the node was refused: nobody listens there (R16). */
  | { readonly kind: "unreachable"; readonly nodeId: number };

/**
 * What the driver must do, in the order given. `persist` and the log's effects are durability promises:
 * the core says nothing that follows from them before `persisted` or `flushed` has told it that they
 * are kept, so the driver has no message to hold back.
 */
export type Effect =
  /** Make it durable, then `persisted`. One at a time. */
  | { readonly kind: "persist"; readonly state: QuorumState }
  /** A leader's own batch: base offset and epoch are to be stamped. Then `flushed`, in time. */
  | { readonly kind: "append"; readonly batch: Batch }
  /** A leader's first batch in its epoch (K8): `recordCount` control records, of its own making. */
  | { readonly kind: "appendEpochStart"; readonly epochStart: EpochStart }
  /** Batches as the leader has them. Then `flushed`, in time. */
  | { readonly kind: "appendFetched"; readonly batches: readonly Batch[] }
  /** Cut the log there; appends that follow wait for it. */
  | { readonly kind: "truncate"; readonly endOffset: number }
  | { readonly kind: "send"; readonly to: number; readonly message: Message }
  /** Answer the fetch with what the log holds, if the node still leads in the epoch when it is read. */
  | { readonly kind: "sendRecords"; readonly to: number; readonly position: RecordsPosition }
  /** All below is committed. */
  | { readonly kind: "commit"; readonly highWatermark: number }
  | {
      readonly kind: "leaderChange";
      readonly leaderId: number | null;
      readonly leaderEpoch: number;
    };

export interface EpochStart {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly recordCount: number;
  /** The first batch of all also says who the voters are. */
  readonly isFirst: boolean;
  readonly voters: readonly ReplicaKey[];
  readonly grantingVoters: readonly ReplicaKey[];
}

/** All but the records of a `fetchAnswer`. */
export interface RecordsPosition {
  readonly epoch: number;
  readonly fetchOffset: number;
  readonly lastFetchedEpoch: number;
  readonly highWatermark: number;
}
