import type { Uuid } from "../../base/ids.ts";
import type { ErrorName } from "../../protocol/errors.ts";
import type { HeartbeatRequest } from "../../protocol/messages/12-heartbeat.ts";
import type { JoinGroupRequest } from "../../protocol/messages/11-join-group.ts";
import type { SyncGroupRequest } from "../../protocol/messages/14-sync-group.ts";

/** Who sent a request, as far as a group keeps it. */
export interface Caller {
  readonly apiVersion: number;
  readonly clientId: string;
  readonly clientHost: string;
}

export interface JoinCommand {
  readonly kind: "join";
  readonly request: JoinGroupRequest;
  readonly caller: Caller;
  /** Tail of the member id, in case a new one is given out. */
  readonly memberIdSuffix: string;
}

export interface SyncCommand {
  readonly kind: "sync";
  readonly request: SyncGroupRequest;
}

export interface HeartbeatCommand {
  readonly kind: "heartbeat";
  readonly request: HeartbeatRequest;
}

export interface LeavingMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly reason: string | null;
}

export interface LeaveCommand {
  readonly kind: "leave";
  readonly groupId: string;
  readonly members: readonly LeavingMember[];
}

export interface LeaveResult {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly errorCode: number;
}

/** Offsets of topics and partitions that exist. */
export interface CommitCommand {
  readonly kind: "commit";
  readonly apiVersion: number;
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  /** How long the offsets shall be kept; null: as long as the broker says. */
  readonly retentionMs: bigint | null;
  readonly offsets: readonly OffsetToCommit[];
}

export interface OffsetToCommit {
  readonly topic: string;
  readonly topicId: Uuid;
  readonly partitionIndex: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
}

/** Answers true when the group is gone, false when there is more to do: then it is asked again. */
export interface DeleteGroupCommand {
  readonly kind: "deleteGroup";
  readonly groupId: string;
}

/** Answers with an error code for each partition, in order. */
export interface DeleteOffsetsCommand {
  readonly kind: "deleteOffsets";
  readonly groupId: string;
  readonly partitions: readonly TopicPartition[];
}

export interface TopicPartition {
  readonly topic: string;
  readonly partitionIndex: number;
}

/** Which offsets of a group are wanted. */
export interface OffsetQuery {
  readonly groupId: string;
  /** Null: all that the group has. */
  readonly topics: readonly TopicQuery[] | null;
}

export interface TopicQuery {
  readonly topic: string;
  /** The topic as the caller knows it; ZERO_UUID: by name alone. */
  readonly topicId: Uuid;
  readonly partitionIndexes: readonly number[];
}

export interface FetchCommand {
  readonly kind: "fetch";
  readonly query: OffsetQuery;
}

export interface TopicOffsets {
  readonly topic: string;
  /** As of the commit; ZERO_UUID where it is not known. */
  readonly topicId: Uuid;
  readonly partitions: readonly PartitionOffset[];
}

export interface PartitionOffset {
  readonly partitionIndex: number;
  /** -1: none. */
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
}

/** What a deadline or the broker itself brings; nobody waits for an answer. */
export type InternalCommand =
  | { readonly kind: "expireMember"; readonly groupId: string; readonly memberId: string }
  | { readonly kind: "completeJoin"; readonly groupId: string }
  | {
      readonly kind: "completeInitialJoin";
      readonly groupId: string;
      readonly delayMs: number;
      readonly remainingMs: number;
    }
  | { readonly kind: "expirePendingSync"; readonly groupId: string; readonly generationId: number }
  | {
      readonly kind: "syncRefused";
      readonly groupId: string;
      readonly generationId: number;
      readonly error: ErrorName;
    }
  /** Groups from `next` on are still to be looked at; null: a new round. */
  | { readonly kind: "expireOffsets"; readonly round: SweepRound | null }
  | {
      readonly kind: "deleteTopics";
      readonly topics: ReadonlySet<string>;
      readonly round: SweepRound | null;
    };

export interface SweepRound {
  readonly groupIds: readonly string[];
  readonly next: number;
}

export type GroupCommand =
  | JoinCommand
  | SyncCommand
  | HeartbeatCommand
  | LeaveCommand
  | CommitCommand
  | FetchCommand
  | DeleteGroupCommand
  | DeleteOffsetsCommand
  | InternalCommand;
