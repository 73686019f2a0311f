import type { Uuid } from "../base/ids.ts";
import type { ErrorName } from "../protocol/errors.ts";

// What goes over a replication stream (decision 0012); replication.proto says it in Protocol Buffers.

/** Bytes of records that a leader has under way to a follower at most; one batch alone may be larger. */
export const CREDIT_BYTES = 8 * 1024 * 1024;

/** Where a replica's log stands, as its leader needs to know before it sends. */
export interface ReplicaPosition {
  readonly fetchOffset: number;
  /** Leader epoch of the last record; -1: the log is empty. */
  readonly lastFetchedEpoch: number;
  readonly logStartOffset: number;
}

/** Begins with a partition, or begins anew: the session is greater than any before on this stream. */
export interface Statement extends ReplicaPosition {
  /** The follower's number for the partition, on this stream. */
  readonly slot: number;
  readonly session: number;
  readonly topicId: Uuid;
  readonly partitionIndex: number;
  readonly leaderEpoch: number;
}

/** How far a replica has come. */
export interface Progress {
  readonly slot: number;
  readonly session: number;
  /** Written: it survives the death of the process (R1). */
  readonly receivedOffset: number;
  /** What the flush policy counts (R4). Never above `receivedOffset`. */
  readonly safeOffset: number;
}

/** In the order in which it takes effect. */
export interface FollowerMessage {
  /** Slots that are followed no more. */
  readonly droppedSlots: readonly number[];
  readonly statements: readonly Statement[];
  /** Of sessions that the leader has ended meanwhile, too. */
  readonly progress: readonly Progress[];
  /** Bytes of records that were written, or dropped, since the stream was opened. */
  readonly consumedBytes: number;
}

/** Records, or news of the marks alone. */
export interface Frame {
  readonly slot: number;
  readonly session: number;
  readonly leaderEpoch: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  /** Whole batches; empty: there are none. */
  readonly records: Buffer;
}

/** Why a session goes no further. */
export type FollowerAnswer =
  /** The logs part: the greatest epoch of the leader's that is not above the follower's, and its end; both -1: it has none. */
  | { readonly kind: "diverging"; readonly epoch: number; readonly endOffset: number }
  /** What is asked for is not there (any more). */
  | { readonly kind: "outOfRange"; readonly logStartOffset: number; readonly logEndOffset: number }
  /** By Kafka's name: NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, UNKNOWN_TOPIC_ID, KAFKA_STORAGE_ERROR, … */
  | { readonly kind: "refused"; readonly error: ErrorName };

export type LeaderAnswer = FollowerAnswer & {
  readonly slot: number;
  readonly session: number;
};

/** Frames before answers. */
export interface LeaderMessage {
  readonly frames: readonly Frame[];
  readonly answers: readonly LeaderAnswer[];
}
