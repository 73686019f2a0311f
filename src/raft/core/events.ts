import type { Batch, Message, SnapshotId } from "./messages.ts";
import type { ReplicaKey, Voter, VoterChange } from "./voters.ts";

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
  /** An operator's, or auto-join's; only what `voterChangeRefusal` has nothing against (K13). */
  | { readonly kind: "proposeVoters"; readonly change: VoterChange }
  /** The node is to lead no longer: it shuts down, or its disk has failed. */
  | { readonly kind: "resign" }
  /** A connection to the node was refused: nobody listens there (R16). */
  | { readonly kind: "unreachable"; readonly nodeId: number }
  | SnapshotEvent;

export type SnapshotEvent =
  /** A snapshot of this node's own state, named by `snapshotIdAt`, is whole and synced. */
  | { readonly kind: "snapshotTaken"; readonly id: SnapshotId }
  /** The log's prefix up to one of this node's snapshots is about to be dropped. */
  | { readonly kind: "logStart"; readonly id: SnapshotId }
  | FetchedSnapshotEvent;

/** What became of a `writeSnapshot`. Not told when another one at position 0 has come since. */
export type FetchedSnapshotEvent =
  /** It was not the last, and need not be synced. */
  | { readonly kind: "snapshotWritten"; readonly id: SnapshotId; readonly endPosition: number }
  /**
   * It was the last: the snapshot is whole, sound and synced, under a name that the next start takes no
   * notice of.
   */
  | {
      readonly kind: "snapshotLoaded";
      readonly id: SnapshotId;
      readonly voters: readonly Voter[];
    }
  /** It was the last, and what was fetched is not sound. */
  | { readonly kind: "snapshotRejected"; readonly id: SnapshotId };

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
  /** A leader's control batch of one record: who the voters are from there on (K13). Then `flushed`. */
  | { readonly kind: "appendVoters"; readonly append: VotersAppend }
  /** Batches as the leader has them. Then `flushed`, in time. */
  | { readonly kind: "appendFetched"; readonly batches: readonly Batch[] }
  /** Cut the log there; appends that follow wait for it. */
  | { readonly kind: "truncate"; readonly endOffset: number }
  | { readonly kind: "send"; readonly to: number; readonly message: Message }
  /**
   * Answer the fetch with what the log holds, if the node still leads in the epoch when it is read, and the
   * log still begins at or below the offset: then the next fetch is answered with a snapshot.
   */
  | { readonly kind: "sendRecords"; readonly to: number; readonly position: RecordsPosition }
  /**
   * Answer with a `snapshotChunk`, or with `snapshotGone` if there is no such file any more; only if the
   * node still leads in the epoch when it is read.
   */
  | { readonly kind: "sendSnapshotChunk"; readonly to: number; readonly position: SnapshotPosition }
  /**
   * Bytes of a snapshot that is fetched; position 0 begins a new one, whatever was there. Then
   * `snapshotWritten` or, after the last, `snapshotLoaded` or `snapshotRejected`.
   */
  | {
      readonly kind: "writeSnapshot";
      readonly id: SnapshotId;
      readonly position: number;
      readonly bytes: Buffer;
      readonly isLast: boolean;
    }
  /**
   * The snapshot that was loaded takes the place of the log: it gets its name, durably; then the log is
   * emptied and begins at its end. Then `flushed` with that offset. A start that finds a snapshot whose
   * last record is not in the log does the same.
   */
  | { readonly kind: "resetLog"; readonly id: SnapshotId }
  /** All below is committed. After a `resetLog` that begins with the snapshot's state. */
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
  readonly voters: readonly Voter[];
  readonly grantingVoters: readonly ReplicaKey[];
}

export interface VotersAppend {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly voters: readonly Voter[];
}

/** Where in a snapshot a `snapshotChunk` begins. */
export interface SnapshotPosition {
  readonly epoch: number;
  readonly id: SnapshotId;
  readonly position: number;
}

/** All but the records of a `fetchAnswer`. */
export interface RecordsPosition {
  readonly epoch: number;
  readonly fetchOffset: number;
  readonly lastFetchedEpoch: number;
  readonly highWatermark: number;
}
