import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Offload } from "../../base/offload.ts";
import { type Random, randomHyphenatedUuid } from "../../base/random.ts";
import { TimeSlice } from "../../base/time-slice.ts";
import { errorCode, type ErrorName } from "../../protocol/errors.ts";
import type { JoinGroupRequest, JoinGroupResponse } from "../../protocol/messages/11-join-group.ts";
import type { HeartbeatRequest, HeartbeatResponse } from "../../protocol/messages/12-heartbeat.ts";
import type { SyncGroupRequest, SyncGroupResponse } from "../../protocol/messages/14-sync-group.ts";
import { refusalName } from "./coordinator-errors.ts";
import type { CoordinatorLog } from "./coordinator-log.ts";
import type {
  Caller,
  CommitCommand,
  GroupCommand,
  LeaveCommand,
  LeaveResult,
  OffsetQuery,
  TopicOffsets,
  TopicPartition,
} from "./group-commands.ts";
import { GroupCore } from "./group-core.ts";
import {
  describeGroup,
  type GroupDescription,
  type GroupFilter,
  type GroupListing,
  listGroups,
} from "./group-listing.ts";
import { coordinatorPartition } from "./group-partition.ts";
import type { GroupRecord } from "./group-records.ts";
import type { GroupsState } from "./group-state.ts";
import { type GroupOptions, joinError, syncError } from "./group-turn.ts";
import { findOffsets } from "./offsets.ts";
import { CoordinatorRuntime } from "./runtime.ts";
import type { ShardOptions } from "./shard.ts";

export const GROUP_METADATA_TOPIC = "__consumer_offsets";

export interface GroupCoordinatorDependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly offload: Offload;
  /** Partitions of __consumer_offsets now; null: there is no such topic yet. */
  readonly partitionCount: () => number | null;
}

export type GroupCoordinatorOptions = GroupOptions & ShardOptions;

/** A commit without what the coordinator fills in itself. */
export type CommitRequest = Omit<CommitCommand, "kind">;

/** Either what was asked for, or why not. */
export type GroupAnswer<T> =
  { readonly error: null; readonly value: T } | { readonly error: ErrorName };

/**
 * The group coordinator of this broker: for each partition of __consumer_offsets that it leads, the
 * groups that hash to it (G8). Answers are error codes as Kafka 4 gives them; nothing throws at a client.
 */
export class GroupCoordinator {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: GroupCoordinatorOptions;
  readonly #partitionCount: () => number | null;
  readonly #runtime: CoordinatorRuntime<GroupsState, GroupCommand, GroupRecord>;

  constructor(dependencies: GroupCoordinatorDependencies, options: GroupCoordinatorOptions) {
    this.#clock = dependencies.clock;
    this.#random = dependencies.random;
    this.#partitionCount = dependencies.partitionCount;
    this.#options = options;
    this.#runtime = new CoordinatorRuntime(
      { ...dependencies, logger: dependencies.logger.child({ component: "group-coordinator" }) },
      new GroupCore(options),
      options,
    );
  }

  /** This broker leads the partition of __consumer_offsets from now on, in this epoch. */
  onLeadership(partitionIndex: number, leaderEpoch: number, log: CoordinatorLog): void {
    this.#runtime.onLeadership(partitionIndex, leaderEpoch, log);
  }

  /** It leads it no more. Idempotent. */
  onResignation(partitionIndex: number): void {
    this.#runtime.onResignation(partitionIndex);
  }

  /** The topics are gone: what groups have committed for them is removed. */
  onTopicsDeleted(names: readonly string[]): void {
    if (names.length === 0) return;
    this.#runtime.broadcast({ kind: "deleteTopics", topics: new Set(names), round: null });
  }

  /** The partition of __consumer_offsets that owns the group; null before the topic exists. */
  partitionFor(groupId: string): number | null {
    const count = this.#partitionCount();
    return count === null ? null : coordinatorPartition(groupId, count);
  }

  /** Parks the request until the group's generation is complete. */
  async joinGroup(request: JoinGroupRequest, caller: Caller): Promise<JoinGroupResponse> {
    if (request.groupId === "") return joinError(request.memberId, "INVALID_GROUP_ID");
    const { minSessionTimeoutMs, maxSessionTimeoutMs } = this.#options;
    const { sessionTimeoutMs } = request;
    if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs) {
      return joinError(request.memberId, "INVALID_SESSION_TIMEOUT");
    }
    const answer = await this.#submit<JoinGroupResponse>(request.groupId, {
      kind: "join",
      request,
      caller,
      memberIdSuffix: randomHyphenatedUuid(this.#random),
    });
    return answer.error === null ? answer.value : joinError(request.memberId, answer.error);
  }

  /** Parks the request until the leader has brought the assignment and it is committed. */
  async syncGroup(request: SyncGroupRequest): Promise<SyncGroupResponse> {
    if (request.groupId === "") return syncError("INVALID_GROUP_ID");
    const answer = await this.#submit<SyncGroupResponse>(request.groupId, {
      kind: "sync",
      request,
    });
    if (answer.error === null) return answer.value;
    // Clients do not expect "loading" here and give up. Joining again is what they would have to do anyway.
    const isLoading = answer.error === "COORDINATOR_LOAD_IN_PROGRESS";
    return syncError(isLoading ? "REBALANCE_IN_PROGRESS" : answer.error);
  }

  async heartbeat(request: HeartbeatRequest): Promise<HeartbeatResponse> {
    if (request.groupId === "") return heartbeatError("INVALID_GROUP_ID");
    const answer = await this.#submit<HeartbeatResponse>(request.groupId, {
      kind: "heartbeat",
      request,
    });
    if (answer.error === null) return answer.value;
    // As Kafka: the session starts when the group is loaded, and clients take "loading" for fatal.
    const isLoading = answer.error === "COORDINATOR_LOAD_IN_PROGRESS";
    return heartbeatError(isLoading ? "NONE" : answer.error);
  }

  /** A result for each member, in order. */
  leaveGroup(
    groupId: string,
    members: LeaveCommand["members"],
  ): Promise<GroupAnswer<readonly LeaveResult[]>> {
    if (groupId === "") return Promise.resolve({ error: "INVALID_GROUP_ID" });
    return this.#submit(groupId, { kind: "leave", groupId, members });
  }

  /**
   * An error code for each offset, in order; given when all of them are committed (G3). The empty group
   * id is a group like any other here and in `fetchOffsets`, as in Kafka: old simple consumers use it.
   */
  commitOffsets(request: CommitRequest): Promise<GroupAnswer<readonly number[]>> {
    return this.#submit(request.groupId, { kind: "commit", ...request });
  }

  /**
   * What the group has committed. With `requireStable` the answer takes in commits that are under way,
   * and waits for them.
   */
  async fetchOffsets(
    query: OffsetQuery,
    requireStable: boolean,
  ): Promise<GroupAnswer<readonly TopicOffsets[]>> {
    const { groupId } = query;
    if (!requireStable) {
      return this.#read(groupId, (state) => findOffsets(state, query, "committed"));
    }
    const answer = await this.#submit<readonly TopicOffsets[]>(groupId, { kind: "fetch", query });
    // Consumers older than 3.9 know this one here, and look for the coordinator again.
    return answer.error === "COORDINATOR_NOT_AVAILABLE" && this.partitionFor(groupId) !== null
      ? { error: "NOT_COORDINATOR" }
      : answer;
  }

  /** All groups whose coordinator is here and that the filter lets pass. */
  async listGroups(filter: GroupFilter): Promise<GroupAnswer<readonly GroupListing[]>> {
    try {
      const found = await this.#runtime.readAll((state) => listGroups(state, filter));
      return { error: null, value: found.flat() };
    } catch (error) {
      return { error: refusalName(error) };
    }
  }

  /**
   * The groups as a failover would find them, in order; null for one that is not there. The empty id is one
   * like any other, as in Kafka.
   */
  async describeGroups(
    groupIds: readonly string[],
  ): Promise<readonly GroupAnswer<GroupDescription | null>[]> {
    const found: GroupAnswer<GroupDescription | null>[] = [];
    const slice = new TimeSlice(this.#clock);
    for (const groupId of groupIds) {
      if (slice.isOver) await slice.next();
      found.push(this.#read(groupId, (state) => describeGroup(state, groupId)));
    }
    return found;
  }

  /**
   * Removes a group without members and all that it has committed: in one batch of the log, or in
   * several when that is more than about half a MiB. GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
   */
  async deleteGroup(groupId: string): Promise<GroupAnswer<true>> {
    for (;;) {
      const answer = await this.#submit<boolean>(groupId, { kind: "deleteGroup", groupId });
      if (answer.error !== null) return answer;
      if (answer.value) return { error: null, value: true };
    }
  }

  /**
   * Removes what the group has committed for these partitions; an error code for each, in order:
   * GROUP_SUBSCRIBED_TO_TOPIC while members read it. For all: GROUP_ID_NOT_FOUND, or NON_EMPTY_GROUP
   * when the members are no consumers.
   */
  deleteOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
  ): Promise<GroupAnswer<readonly number[]>> {
    if (groupId === "") return Promise.resolve({ error: "INVALID_GROUP_ID" });
    return this.#submit(groupId, { kind: "deleteOffsets", groupId, partitions });
  }

  /** Ends everything that waits with NOT_COORDINATOR. Idempotent. */
  close(): Promise<void> {
    return this.#runtime.close();
  }

  async #submit<T>(groupId: string, command: GroupCommand): Promise<GroupAnswer<T>> {
    const partitionIndex = this.partitionFor(groupId);
    if (partitionIndex === null) return { error: "COORDINATOR_NOT_AVAILABLE" };
    try {
      // The core answers each kind of command with one type: group-commands.ts says which.
      return { error: null, value: (await this.#runtime.submit(partitionIndex, command)) as T };
    } catch (error) {
      return { error: refusalName(error) };
    }
  }

  #read<T>(groupId: string, look: (state: GroupsState) => T): GroupAnswer<T> {
    const partitionIndex = this.partitionFor(groupId);
    if (partitionIndex === null) return { error: "COORDINATOR_NOT_AVAILABLE" };
    try {
      return { error: null, value: this.#runtime.read(partitionIndex, look) };
    } catch (error) {
      return { error: refusalName(error) };
    }
  }
}

function heartbeatError(error: ErrorName): HeartbeatResponse {
  return { throttleTimeMs: 0, errorCode: errorCode(error) };
}
