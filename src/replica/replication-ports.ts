import type { Uuid } from "../base/ids.ts";
import type { ErrorName } from "../protocol/errors.ts";
import type { LogReadOptions, LogReadResult } from "../storage/log-config.ts";
import type { FollowerAnswer, Frame, ReplicaPosition } from "./replication-messages.ts";

/** One incarnation of a broker that follows. */
export interface Follower {
  readonly brokerId: number;
  readonly brokerEpoch: number;
}

/** What a stream to a follower is told by a partition that is led here; synchronously, so it only takes a note. */
export interface LedPartitionWatcher {
  /** There may be more to send: something was written, or the high watermark or the log's start has moved. */
  onNews(): void;
  /** The session is over: led here no more, in another epoch, or its log has failed. Last call. */
  onEnd(error: ErrorName): void;
}

/** A follower's session with one partition that is led here. Its positions count from now on. */
export interface FollowerSession {
  readonly leaderEpoch: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** Only what is written comes; empty: there is nothing yet. Throws KafkaError as Log.read does. */
  read(options: Omit<LogReadOptions, "endOffset">): Promise<LogReadResult>;
  /** The follower's log has come so far. Neither falls within a session. */
  noteProgress(receivedOffset: number, safeOffset: number): void;
  /** It follows no more, by this session. Idempotent; `onEnd` is not called. */
  end(): void;
}

/** A partition that is led here, as streams to followers see it. */
export interface LedPartition {
  /**
   * Holds the follower's position against the log: where it fits, a session begins, which takes the place of an older one of
   * the same broker; otherwise the answer says why not.
   */
  follow(
    follower: Follower,
    statement: ReplicaPosition & { readonly leaderEpoch: number },
    watcher: LedPartitionWatcher,
  ): FollowerSession | FollowerAnswer;
}

/** What is led here. */
export interface LedPartitions {
  /** The partition, or why there is none: UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. */
  ledPartition(topicId: Uuid, partitionIndex: number): LedPartition | ErrorName;
}

/** A partition that this node follows, as the stream to its leader sees it. */
export interface FollowedLog {
  readonly topicId: Uuid;
  readonly partitionIndex: number;
  readonly leaderEpoch: number;
  /** Where it stands now. */
  readonly position: ReplicaPosition;
  /** See Progress. */
  readonly receivedOffset: number;
  readonly safeOffset: number;
  /**
   * Takes a frame of the current session in, synchronously. A promise: it does not fit to the log, the session is over here, and
   * the position is to be stated anew when that resolves (never with a rejection). "failed": the log has failed; nothing is to be
   * fetched before the manager says so by another `follow`.
   */
  takeIn(frame: Frame): "taken" | "failed" | Promise<void>;
  /**
   * What a session's end by the leader means: a truncation, or a new beginning at another offset. Resolves to whether to state
   * the position again: at once, or after a while; "never": this node knows better, and is about to be told by the controller.
   */
  settle(answer: FollowerAnswer): Promise<"now" | "later" | "never">;
  /** Told when `receivedOffset` or `safeOffset` may have moved. One; null: nobody. */
  setProgressListener(listener: (() => void) | null): void;
}

/** Streams to the brokers that lead what this node follows. */
export interface LeaderStreams {
  /** Follows the partition on the stream to that broker, from its position on; on no other any more. */
  follow(leaderId: number, log: FollowedLog): void;
  /** Follows it no more. Idempotent. */
  unfollow(log: FollowedLog): void;
}
