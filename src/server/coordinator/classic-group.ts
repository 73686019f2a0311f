import { assert, must } from "../../base/assert.ts";
import type { ErrorName } from "../../protocol/errors.ts";

/** Kafka's states of a classic group, but Dead: a group that is gone is not in the map. */
export type GroupState = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable";

const PREVIOUS_STATES: Readonly<Record<GroupState, readonly GroupState[]>> = {
  Empty: ["PreparingRebalance"],
  PreparingRebalance: ["Stable", "CompletingRebalance", "Empty"],
  CompletingRebalance: ["PreparingRebalance"],
  Stable: ["CompletingRebalance"],
};

/** A partition assignor or the like, with what the member says about itself in its terms. */
export interface MemberProtocol {
  readonly name: string;
  readonly metadata: Buffer;
}

export interface GroupMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  /** In the member's order of preference; names are unique. */
  readonly protocols: readonly MemberProtocol[];
  readonly assignment: Buffer;
  /** Joined, and has not seen a generation yet: its session runs although it cannot send heartbeats. */
  readonly isNew: boolean;
  /** The JoinGroup that waits for the barrier. */
  readonly joinTicket: number | null;
  /** The SyncGroup that waits for the leader's assignment. */
  readonly syncTicket: number | null;
}

/** A classic group at rest. Never changed in place: see GroupDraft. */
export interface ClassicGroup {
  readonly groupId: string;
  readonly state: GroupState;
  /** Empty before PreparingRebalance means the initial rebalance, which waits for more members. */
  readonly previousState: GroupState | null;
  /** When it came into its state; null in records of old Kafka versions. */
  readonly stateTimestampMs: number | null;
  /** Null: a simple group, that only holds offsets. */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  /** Invariant: never falls (G1). */
  readonly generationId: number;
  /** Invariant: a member, or null. */
  readonly leaderId: string | null;
  readonly members: ReadonlyMap<string, GroupMember>;
  /** Member id of each group instance id. */
  readonly staticMembers: ReadonlyMap<string, string>;
  /** Ids given out with MEMBER_ID_REQUIRED; each expires with its session. */
  readonly pendingMembers: ReadonlySet<string>;
  /** Members of this generation that have not asked for their assignment; for one rebalance timeout. */
  readonly pendingSyncMembers: ReadonlySet<string>;
  /** How many members support each protocol. */
  readonly protocolCounts: ReadonlyMap<string, number>;
  /** Invariant: members with a join ticket. */
  readonly awaitingJoinCount: number;
  readonly isMemberAdded: boolean;
  /** Topics that the consumers of this generation asked for; null: not known. */
  readonly subscribedTopics: ReadonlySet<string> | null;
}

export const EMPTY_ASSIGNMENT = Buffer.alloc(0);

export function isEmptyGroup(group: ClassicGroup): boolean {
  return group.state === "Empty";
}

export function usesConsumerProtocol(group: ClassicGroup): boolean {
  return group.protocolType === "consumer";
}

/** Whether members read the topic. Consumers whose subscriptions cannot be read are taken to read all. */
export function isSubscribedTo(group: ClassicGroup, topic: string): boolean {
  return group.subscribedTopics?.has(topic) ?? usesConsumerProtocol(group);
}

/** All members wait at the join barrier, and nobody who was promised an id is missing. */
export function hasAllMembersJoined(group: ClassicGroup): boolean {
  return group.members.size === group.awaitingJoinCount && group.pendingMembers.size === 0;
}

/** The slowest member's time to rejoin. */
export function groupRebalanceTimeoutMs(group: ClassicGroup): number {
  let timeoutMs = 0;
  for (const member of group.members.values()) {
    timeoutMs = Math.max(timeoutMs, member.rebalanceTimeoutMs);
  }
  return timeoutMs;
}

/** Whether a member with these protocols can be in the group. */
export function supportsProtocols(
  group: ClassicGroup,
  protocolType: string,
  protocols: readonly MemberProtocol[],
): boolean {
  if (group.state === "Empty") return protocolType !== "" && protocols.length > 0;
  return (
    group.protocolType === protocolType &&
    // Nobody's protocol is in the way of a group that everybody has left before its first generation.
    protocols.some(({ name }) => (group.protocolCounts.get(name) ?? 0) === group.members.size)
  );
}

/**
 * The protocol of the next generation: each member votes for the first of its protocols that all
 * support; most votes win, then the one voted for first. The group has members.
 */
export function selectProtocol(group: ClassicGroup): string {
  const votes = new Map<string, number>();
  for (const { protocols } of group.members.values()) {
    const vote = protocols.find(
      ({ name }) => group.protocolCounts.get(name) === group.members.size,
    );
    const { name } = must(vote, "members have a protocol in common");
    votes.set(name, (votes.get(name) ?? 0) + 1);
  }
  let selected: string | null = null;
  for (const [name, count] of votes) {
    if (selected === null || count > (votes.get(selected) ?? 0)) selected = name;
  }
  return must(selected, "somebody votes");
}

/** What is wrong with a request that claims to come from this member (G2); null: nothing. */
export function memberError(
  group: ClassicGroup,
  memberId: string,
  groupInstanceId: string | null,
): ErrorName | null {
  if (groupInstanceId !== null) {
    const current = group.staticMembers.get(groupInstanceId);
    if (current === undefined) return "UNKNOWN_MEMBER_ID";
    if (current !== memberId) return "FENCED_INSTANCE_ID";
  }
  return group.members.has(memberId) ? null : "UNKNOWN_MEMBER_ID";
}

/** The member's metadata for the protocol; empty when it has none. */
export function metadataOf(member: GroupMember, protocolName: string | null): Buffer {
  return member.protocols.find(({ name }) => name === protocolName)?.metadata ?? EMPTY_ASSIGNMENT;
}

/** Whether a rejoin says the same as before: then it needs no rebalance. */
export function hasSameProtocols(
  member: GroupMember,
  protocols: readonly MemberProtocol[],
): boolean {
  return (
    member.protocols.length === protocols.length &&
    member.protocols.every(({ name, metadata }, index) => {
      const other = protocols[index];
      return other?.name === name && other.metadata.equals(metadata);
    })
  );
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A group while one command changes it. Only its owner sees it; then it is stored as a ClassicGroup. */
export class GroupDraft implements Mutable<ClassicGroup> {
  readonly groupId: string;
  state: GroupState = "Empty";
  previousState: GroupState | null = null;
  stateTimestampMs: number | null;
  protocolType: string | null = null;
  protocolName: string | null = null;
  generationId = 0;
  leaderId: string | null = null;
  members = new Map<string, GroupMember>();
  staticMembers = new Map<string, string>();
  pendingMembers = new Set<string>();
  pendingSyncMembers = new Set<string>();
  protocolCounts = new Map<string, number>();
  awaitingJoinCount = 0;
  isMemberAdded = false;
  subscribedTopics: ReadonlySet<string> | null = null;

  private constructor(groupId: string, stateTimestampMs: number | null) {
    this.groupId = groupId;
    this.stateTimestampMs = stateTimestampMs;
  }

  static create(groupId: string, nowMs: number | null): GroupDraft {
    return new GroupDraft(groupId, nowMs);
  }

  static of(group: ClassicGroup): GroupDraft {
    const draft = new GroupDraft(group.groupId, group.stateTimestampMs);
    Object.assign(draft, group);
    draft.members = new Map(group.members);
    draft.staticMembers = new Map(group.staticMembers);
    draft.pendingMembers = new Set(group.pendingMembers);
    draft.pendingSyncMembers = new Set(group.pendingSyncMembers);
    draft.protocolCounts = new Map(group.protocolCounts);
    return draft;
  }

  member(memberId: string): GroupMember {
    return must(this.members.get(memberId), "the member is in the group");
  }

  transitionTo(state: GroupState, nowMs: number): void {
    assert(PREVIOUS_STATES[state].includes(this.state), "a legal move of a group", () => ({
      from: this.state,
      to: state,
    }));
    this.previousState = this.state;
    this.state = state;
    this.stateTimestampMs = nowMs;
  }

  add(member: GroupMember): void {
    assert(!this.members.has(member.memberId), "a member is added once");
    if (member.groupInstanceId !== null) {
      assert(!this.staticMembers.has(member.groupInstanceId), "an instance is added once");
      this.staticMembers.set(member.groupInstanceId, member.memberId);
    }
    this.leaderId ??= member.memberId;
    this.pendingMembers.delete(member.memberId);
    this.#put(member);
  }

  /** Replaces what is known of the member with the same id. */
  update(member: GroupMember): void {
    this.#take(this.member(member.memberId));
    this.#put(member);
  }

  /** Forgets the member, or the id that was given out. The first remaining member leads. */
  remove(memberId: string): void {
    const member = this.members.get(memberId);
    if (member !== undefined) {
      this.#take(member);
      this.members.delete(memberId);
      if (member.groupInstanceId !== null) this.staticMembers.delete(member.groupInstanceId);
    }
    if (this.leaderId === memberId) {
      const [first] = this.members.keys();
      this.leaderId = first ?? null;
    }
    this.pendingMembers.delete(memberId);
    this.pendingSyncMembers.delete(memberId);
  }

  /** A static member came back without its id: the instance goes on under the new one. */
  replaceStatic(oldMemberId: string, member: GroupMember): void {
    const old = this.member(oldMemberId);
    this.#take(old);
    this.members.delete(oldMemberId);
    this.pendingSyncMembers.delete(oldMemberId);
    this.staticMembers.set(must(member.groupInstanceId, "it is static"), member.memberId);
    if (this.leaderId === oldMemberId) this.leaderId = member.memberId;
    this.#put(member);
  }

  #put(member: GroupMember): void {
    this.members.set(member.memberId, member);
    if (member.joinTicket !== null) this.awaitingJoinCount += 1;
    this.#count(member, 1);
  }

  #take(member: GroupMember): void {
    if (member.joinTicket !== null) this.awaitingJoinCount -= 1;
    this.#count(member, -1);
  }

  #count(member: GroupMember, by: 1 | -1): void {
    for (const { name } of member.protocols) {
      const count = (this.protocolCounts.get(name) ?? 0) + by;
      if (count === 0) this.protocolCounts.delete(name);
      else this.protocolCounts.set(name, count);
    }
  }
}
