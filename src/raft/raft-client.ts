import type { ReplicaKey, Voter, VoterChange } from "./core/voters.ts";

/** Records that a quorum has agreed on: one append, whole. Offsets are records'. */
export interface CommittedBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly timestampMs: number;
  /** Values, one per offset. A control batch of the quorum's own has none. */
  readonly records: readonly Buffer[];
}

/** Who leads, as of an epoch; `leaderId` null: nobody is known to. */
export interface LeaderAndEpoch {
  readonly leaderId: number | null;
  readonly leaderEpoch: number;
}

/**
 * A piece of a snapshot, which takes the place of all records below `endOffset`. The first one means that
 * the state machine begins anew, the last one that its state is whole.
 */
export interface SnapshotPart {
  readonly endOffset: number;
  /** Of the last record that the snapshot holds. */
  readonly leaderEpoch: number;
  readonly timestampMs: number;
  readonly records: readonly Buffer[];
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** What the leader knows of another replica. Offsets are those that it has synced up to. */
export interface ReplicaProgress extends ReplicaKey {
  readonly endOffset: number;
  /** Of the node's monotonic clock. */
  readonly fetchedAtMs: number;
  readonly caughtUpAtMs: number;
}

export interface QuorumDescription extends LeaderAndEpoch {
  readonly voters: readonly Voter[];
  readonly highWatermark: number;
  /** This node's own. */
  readonly endOffset: number;
  readonly flushedEndOffset: number;
  /** Voters and observers but this node; empty unless it leads. */
  readonly replicas: readonly ReplicaProgress[];
}

/** The state machine behind the log. All calls are synchronous and come in the log's order. */
export interface RaftListener {
  /** Each batch once, in order, from the start of the log on (K5). It keeps no reference to buffers. */
  onCommitted(batches: readonly CommittedBatch[]): void;
  /**
   * The state as of `endOffset`, in parts that follow on each other; the next batch begins there. At the
   * start, and whenever this node has been too far behind the leader. Needed once there are snapshots.
   */
  onSnapshot?(part: SnapshotPart): void;
  /** A snapshot of what has been delivered is due: `createSnapshot` takes it. */
  onSnapshotDue?(): void;
  /**
   * Leadership moved. To the new leader itself it is told only after every batch that was committed
   * before its epoch has been delivered, so that it never decides on an old state.
   */
  onLeaderChange(leader: LeaderAndEpoch): void;
  /** The log can take nothing any more (R9, R12). If it heals, `onLeaderChange` says so. */
  onFailure(error: Error): void;
}

/** An append that has its place in the log, and perhaps not yet its durability. */
export interface RaftAppend {
  readonly baseOffset: number;
  readonly lastOffset: number;
  /**
   * Resolves when the append is committed, after the listener has been given it. Rejects with
   * KafkaError when that will not be known here any more; it may survive all the same.
   */
  readonly committed: Promise<void>;
}

/**
 * The replicated log of the metadata as its leader uses it. RaftDriver is the only implementation; how
 * many voters stand behind it does not show here.
 */
export interface RaftClient {
  readonly leader: LeaderAndEpoch;
  /** Where the next append begins. */
  readonly nextOffset: number;
  /** Exclusive end of what is committed; never falls (K9). */
  readonly highWatermark: number;
  /** Delivers the committed log, in slices, then what is committed from now on. Called once. */
  start(listener: RaftListener): Promise<void>;
  /**
   * Appends the values as one batch, synchronously: all of them survive a crash, or none. Throws
   * KafkaError NOT_CONTROLLER when this node does not lead in `leaderEpoch`.
   */
  append(leaderEpoch: number, values: readonly Buffer[]): RaftAppend;
  /**
   * Adds or removes a voter (KIP-853). Throws KafkaError NOT_CONTROLLER, REQUEST_TIMED_OUT (not now: a
   * change is on its way, or the new voter is behind), DUPLICATE_VOTER, VOTER_NOT_FOUND, INVALID_REQUEST
   * (the last voter).
   */
  changeVoters(change: VoterChange): RaftAppend;
  /**
   * Makes the state durable as a snapshot, in slices. `endOffset` is where the last batch ends that is in
   * it, `timestampMs` that batch's. false: it was not taken, as there is a newer one, or the disk failed.
   */
  createSnapshot(
    endOffset: number,
    timestampMs: number,
    records: Iterable<Buffer>,
  ): Promise<boolean>;
  readonly quorum: QuorumDescription;
  close(): Promise<void>;
}
