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

/** The state machine behind the log. All calls are synchronous and come in the log's order. */
export interface RaftListener {
  /** Each batch once, in order, from the start of the log on (K5). It keeps no reference to buffers. */
  onCommitted(batches: readonly CommittedBatch[]): void;
  /**
   * Leadership moved. To the new leader itself it is told only after every batch that was committed
   * before its epoch has been delivered, so that it never decides on an old state.
   */
  onLeaderChange(leader: LeaderAndEpoch): void;
  /** The log can take nothing any more (R9, R12). Last call. */
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
  close(): Promise<void>;
}
