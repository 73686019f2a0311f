import type { Offload } from "../../../../src/base/offload.ts";
import { SILENT_LOGGER } from "../../../../src/base/logger.ts";
import { ZERO_UUID } from "../../../../src/base/ids.ts";
import { SeededRandom } from "../../../../src/base/random.ts";
import { type ErrorName, errorName } from "../../../../src/protocol/errors.ts";
import { inflateSync } from "../../../../src/protocol/records/compression.ts";
import type { JoinGroupRequest } from "../../../../src/protocol/messages/11-join-group.ts";
import type { JoinGroupResponse } from "../../../../src/protocol/messages/11-join-group.ts";
import type { SyncGroupResponse } from "../../../../src/protocol/messages/14-sync-group.ts";
import type { LeavingMember } from "../../../../src/server/coordinator/group-commands.ts";
import {
  type CommitRequest,
  GroupCoordinator,
  type GroupCoordinatorOptions,
} from "../../../../src/server/coordinator/group-coordinator.ts";
import { MemoryLog } from "./memory-log.ts";
import { TestClock } from "./test-clock.ts";

export const OPTIONS: GroupCoordinatorOptions = {
  minSessionTimeoutMs: 6_000,
  maxSessionTimeoutMs: 1_800_000,
  maxSize: 2 ** 31 - 1,
  initialRebalanceDelayMs: 3_000,
  offsetMetadataMaxBytes: 4_096,
  offsetsRetentionMs: 7 * 24 * 3_600_000,
  offsetsRetentionCheckIntervalMs: 600_000,
  maxBatchBytes: 1_000_000,
  compression: "none",
  writeTimeoutMs: 5_000,
};

/** Uncompressed logs never ask, and batches are packed at once. */
const OFFLOAD: Offload = {
  inflate: (type, bytes, maxBytes) => Promise.resolve(inflateSync(type, bytes, maxBytes)),
  deflate: () => Promise.reject(new Error("a coordinator packs its batches itself")),
};

/** A promise that a test can look at without waiting for it. */
export interface Watched<T> {
  value: T | undefined;
  isSettled: boolean;
}

export function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = { value: undefined, isSettled: false };
  void promise.then((value) => {
    watched.value = value;
    watched.isSettled = true;
  });
  return watched;
}

export interface JoinOptions {
  readonly memberId?: string;
  readonly groupInstanceId?: string | null;
  readonly groupId?: string;
  readonly version?: number;
  readonly clientId?: string;
  readonly sessionTimeoutMs?: number;
  readonly rebalanceTimeoutMs?: number;
  readonly protocolType?: string;
  readonly protocols?: JoinGroupRequest["protocols"];
}

export const RANGE = [{ name: "range", metadata: Buffer.from("range metadata") }];

export interface Member {
  readonly memberId: string;
  readonly generationId: number;
}

/** One group coordinator on one partition, with time and log in the test's hands. */
export class GroupWorld {
  readonly clock = new TestClock();
  readonly log: MemoryLog;
  readonly coordinator: GroupCoordinator;
  partitionCount: number | null = 1;

  constructor(options: Partial<GroupCoordinatorOptions> = {}, log = new MemoryLog(), seed = 1) {
    this.log = log;
    this.coordinator = new GroupCoordinator(
      {
        clock: this.clock,
        random: new SeededRandom(seed),
        logger: SILENT_LOGGER,
        offload: OFFLOAD,
        partitionCount: () => this.partitionCount,
      },
      { ...OPTIONS, ...options },
    );
  }

  /** A world whose coordinator has loaded. */
  static async open(
    options: Partial<GroupCoordinatorOptions> = {},
    log?: MemoryLog,
    seed?: number,
  ): Promise<GroupWorld> {
    const world = new GroupWorld(options, log, seed);
    world.coordinator.onLeadership(0, world.log.leaderEpoch, world.log);
    await world.clock.settle();
    return world;
  }

  /** Another coordinator takes over: it has the committed log and nothing else. */
  async failOver(options: Partial<GroupCoordinatorOptions> = {}): Promise<GroupWorld> {
    this.coordinator.onResignation(0);
    await this.clock.settle();
    this.log.truncateToHighWatermark();
    this.log.leaderEpoch += 1;
    return GroupWorld.open(options, this.log, 2);
  }

  join(options: JoinOptions = {}): Watched<JoinGroupResponse> {
    return watch(
      this.coordinator.joinGroup(
        {
          groupId: options.groupId ?? "group",
          sessionTimeoutMs: options.sessionTimeoutMs ?? 10_000,
          rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? 60_000,
          memberId: options.memberId ?? "",
          groupInstanceId: options.groupInstanceId ?? null,
          protocolType: options.protocolType ?? "consumer",
          protocols: options.protocols ?? RANGE,
          reason: null,
        },
        {
          apiVersion: options.version ?? 9,
          clientId: options.clientId ?? "client",
          clientHost: "/10.0.0.7",
        },
      ),
    );
  }

  sync(
    member: Member,
    assignments: Readonly<Record<string, string>> = {},
    options: {
      readonly groupId?: string;
      readonly groupInstanceId?: string;
      readonly protocolType?: string;
      readonly protocolName?: string;
    } = {},
  ): Watched<SyncGroupResponse> {
    return watch(
      this.coordinator.syncGroup({
        groupId: options.groupId ?? "group",
        generationId: member.generationId,
        memberId: member.memberId,
        groupInstanceId: options.groupInstanceId ?? null,
        protocolType: options.protocolType ?? null,
        protocolName: options.protocolName ?? null,
        assignments: Object.entries(assignments).map(([memberId, assignment]) => ({
          memberId,
          assignment: Buffer.from(assignment),
        })),
      }),
    );
  }

  async heartbeat(
    member: Member,
    options: { readonly groupInstanceId?: string; readonly groupId?: string } = {},
  ): Promise<ErrorName> {
    const response = watch(
      this.coordinator.heartbeat({
        groupId: options.groupId ?? "group",
        generationId: member.generationId,
        memberId: member.memberId,
        groupInstanceId: options.groupInstanceId ?? null,
      }),
    );
    await this.clock.settle();
    return errorName(response.value!.errorCode);
  }

  async leave(...members: (Partial<LeavingMember> & { memberId: string })[]): Promise<ErrorName[]> {
    const answer = watch(
      this.coordinator.leaveGroup(
        "group",
        members.map((member) => ({ groupInstanceId: null, reason: null, ...member })),
      ),
    );
    await this.clock.settle();
    const { value } = answer;
    if (value!.error !== null) return [value!.error];
    return value!.value.map((result) => errorName(result.errorCode));
  }

  /** Commits `offset` for partition 0 of "topic", or what `request` says. */
  startCommit(offset: number, request: Partial<CommitRequest> = {}) {
    return watch(
      this.coordinator.commitOffsets({
        apiVersion: 9,
        groupId: "group",
        generationId: -1,
        memberId: "",
        groupInstanceId: null,
        retentionMs: null,
        offsets: [offsetOf("topic", 0, offset)],
        ...request,
      }),
    );
  }

  async commit(offset: number, request: Partial<CommitRequest> = {}): Promise<ErrorName[]> {
    const answer = this.startCommit(offset, request);
    await this.clock.settle();
    const { value } = answer;
    if (value!.error !== null) return [value!.error];
    return value!.value.map((code) => errorName(code));
  }

  /** The committed offset of partition 0 of "topic"; -1: none. Throws the error's name. */
  async fetch(groupId = "group", requireStable = false): Promise<number> {
    const answer = watch(
      this.coordinator.fetchOffsets(
        { groupId, topics: [{ topic: "topic", topicId: ZERO_UUID, partitionIndexes: [0] }] },
        requireStable,
      ),
    );
    await this.clock.settle();
    const { value } = answer;
    if (value!.error !== null) throw new Error(value!.error);
    return value!.value[0]!.partitions[0]!.offset;
  }

  /** Everything that the group has committed, as "topic-0=5". */
  async fetchAll(groupId = "group"): Promise<string[]> {
    const answer = watch(this.coordinator.fetchOffsets({ groupId, topics: null }, false));
    await this.clock.settle();
    const { value } = answer;
    if (value!.error !== null) throw new Error(value!.error);
    return value!.value
      .flatMap(({ topic, partitions }) =>
        partitions.map(({ partitionIndex, offset }) => `${topic}-${partitionIndex}=${offset}`),
      )
      .sort();
  }

  /** A dynamic member with its own id, joining; settled when the group is. */
  async startMember(options: JoinOptions = {}): Promise<Watched<JoinGroupResponse>> {
    const first = this.join(options);
    await this.clock.settle();
    return this.join({ ...options, memberId: first.value!.memberId });
  }

  /** A stable group of `count` dynamic members: leader first, each with assignment "for <index>". */
  async stableGroup(count: number, options: JoinOptions = {}): Promise<Member[]> {
    const joins: Watched<JoinGroupResponse>[] = [];
    for (let i = 0; i < count; i += 1) joins.push(await this.startMember(options));
    for (let i = 0; i < 100 && joins.some((join) => !join.isSettled); i += 1) {
      await this.clock.advance(1_000);
    }
    const members = joins.map(({ value }) => member(value!));
    return this.assign(members, options.groupId);
  }

  /** Syncs everybody; the member whose JoinGroup named it leader is first in the result. */
  async assign(members: readonly Member[], groupId = "group"): Promise<Member[]> {
    const [leader] = members;
    const assignments = Object.fromEntries(
      members.map(({ memberId }, index) => [memberId, `for ${index}`]),
    );
    for (const follower of members.slice(1)) this.sync(follower, {}, { groupId });
    this.sync(leader!, assignments, { groupId });
    await this.clock.settle();
    return [...members];
  }
}

export function member(response: JoinGroupResponse): Member {
  return { memberId: response.memberId, generationId: response.generationId };
}

export function offsetOf(topic: string, partitionIndex: number, offset: number, metadata = "") {
  return { topic, topicId: ZERO_UUID, partitionIndex, offset, leaderEpoch: -1, metadata };
}

export function joinErrorOf(join: Watched<JoinGroupResponse>): ErrorName {
  return errorName(join.value!.errorCode);
}

export function syncErrorOf(sync: Watched<SyncGroupResponse>): ErrorName {
  return errorName(sync.value!.errorCode);
}
