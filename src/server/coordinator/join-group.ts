import {
  type ClassicGroup,
  EMPTY_ASSIGNMENT,
  GroupDraft,
  type GroupMember,
  hasSameProtocols,
  memberError,
  type MemberProtocol,
  selectProtocol,
  supportsProtocols,
} from "./classic-group.ts";
import type { JoinCommand } from "./group-commands.ts";
import type { GroupsState } from "./group-state.ts";
import { type GroupTurn, joinError, syncError, timerKey } from "./group-turn.ts";
import {
  groupMetadataOf,
  joinedResponse,
  maybeCompleteJoin,
  prepareRebalance,
  rebalanceOrCompleteJoin,
} from "./rebalance.ts";

/** How long a new member may wait for its first generation: until then it has no session (Kafka's too). */
const NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000;
/** Ids given out in one group and not yet used. Each expires with its session timeout. */
const MAX_PENDING_MEMBERS = 10_000;

interface Join {
  readonly turn: GroupTurn;
  readonly command: JoinCommand;
  readonly group: GroupDraft;
  /** Copies: the request's buffers are slices of what the socket brought. */
  readonly protocols: readonly MemberProtocol[];
}

/** JoinGroup: a member comes, comes again, or changes what it says about itself. */
export function joinGroup(state: GroupsState, command: JoinCommand, turn: GroupTurn): void {
  const { groupId, memberId } = command.request;
  const existing = state.groups.get(groupId);
  if (existing === undefined && memberId !== "") {
    turn.reply(joinError(memberId, "UNKNOWN_MEMBER_ID"));
    return;
  }
  const group =
    existing === undefined ? GroupDraft.create(groupId, turn.nowMs) : GroupDraft.of(existing);
  const join: Join = { turn, command, group, protocols: uniqueProtocols(command) };
  if (!acceptsJoin(group, memberId, turn.options.maxSize)) {
    if (memberId !== "") turn.removeMember(group, memberId);
    maybeCompleteJoin(turn, group);
    turn.reply(joinError("", "GROUP_MAX_SIZE_REACHED"));
  } else if (!supportsProtocols(group, command.request.protocolType, join.protocols)) {
    turn.reply(joinError(memberId, "INCONSISTENT_GROUP_PROTOCOL"));
  } else if (memberId === "") {
    joinAsNew(join);
  } else {
    joinAsKnown(join);
  }
  const isKept = existing !== undefined || group.members.size + group.pendingMembers.size > 0;
  if (!isKept) return;
  state.groups.set(groupId, group);
  // A group is in the log from its first member on, so that a failover finds the same groups.
  if (existing === undefined && turn.records.length === 0) {
    const empty = GroupDraft.create(groupId, turn.nowMs);
    turn.records.push({ kind: "group", groupId, value: groupMetadataOf(empty) });
  }
}

/**
 * Kafka's rule for `group.max.size`: while members rejoin, those count that have come; afterwards the
 * members do. An empty group takes everybody.
 */
function acceptsJoin(group: ClassicGroup, memberId: string, maxSize: number): boolean {
  if (memberId === "" && group.pendingMembers.size >= MAX_PENDING_MEMBERS) return false;
  const member = group.members.get(memberId);
  switch (group.state) {
    case "Empty":
      return true;
    case "PreparingRebalance":
      return (member?.joinTicket ?? null) !== null || group.awaitingJoinCount < maxSize;
    case "CompletingRebalance":
    case "Stable":
      return member !== undefined || group.members.size < maxSize;
  }
}

function joinAsNew(join: Join): void {
  const { turn, group, command } = join;
  const { groupInstanceId, sessionTimeoutMs } = command.request;
  const prefix = groupInstanceId ?? command.caller.clientId;
  const memberId = `${prefix}-${command.memberIdSuffix}`;
  if (groupInstanceId !== null) {
    const oldMemberId = group.staticMembers.get(groupInstanceId);
    if (oldMemberId === undefined) addMember(join, memberId);
    else replaceStaticMember(join, oldMemberId, memberId);
  } else if (command.caller.apiVersion >= 4) {
    // KIP-394: a client that never gets this answer leaves a name behind, not a member.
    group.pendingMembers.add(memberId);
    turn.renewSession(group.groupId, memberId, sessionTimeoutMs);
    turn.reply(joinError(memberId, "MEMBER_ID_REQUIRED"));
  } else {
    addMember(join, memberId);
  }
}

function joinAsKnown(join: Join): void {
  const { turn, group, command } = join;
  const { memberId, groupInstanceId } = command.request;
  if (group.pendingMembers.has(memberId)) {
    // An id that was given out belongs to a dynamic member: Kafka takes an instance id here for a bug.
    if (groupInstanceId === null) addMember(join, memberId);
    else turn.reply(joinError(memberId, "UNKNOWN_MEMBER_ID"));
    return;
  }
  const error = memberError(group, memberId, groupInstanceId);
  if (error !== null) {
    turn.reply(joinError(memberId, error));
    return;
  }
  const member = group.member(memberId);
  const isSame = hasSameProtocols(member, join.protocols);
  const isLeader = group.leaderId === memberId;
  switch (group.state) {
    case "PreparingRebalance":
      updateMember(join, member);
      break;
    case "CompletingRebalance":
      // It may have missed the answer; then the generation is still the same.
      if (isSame) turn.reply(joinedResponse(group, memberId));
      else updateMember(join, member);
      break;
    case "Stable":
      // The leader rejoins to ask for a new assignment, for example when a topic has grown.
      if (isLeader || !isSame) updateMember(join, member);
      else turn.reply({ ...joinedResponse(group, memberId), members: [] });
      break;
    case "Empty":
      turn.reply(joinError(memberId, "UNKNOWN_MEMBER_ID"));
      break;
  }
}

function addMember(join: Join, memberId: string): void {
  const { turn, group, command } = join;
  const { request, caller } = command;
  if (group.state === "PreparingRebalance" && group.previousState === "Empty") {
    group.isMemberAdded = true;
  }
  if (group.members.size === 0) group.protocolType = request.protocolType;
  group.add({
    memberId,
    groupInstanceId: request.groupInstanceId,
    clientId: caller.clientId,
    clientHost: caller.clientHost,
    rebalanceTimeoutMs: rebalanceTimeoutMsOf(command),
    sessionTimeoutMs: request.sessionTimeoutMs,
    protocols: join.protocols,
    assignment: EMPTY_ASSIGNMENT,
    isNew: true,
    joinTicket: turn.ticket,
    syncTicket: null,
  });
  turn.renewSession(group.groupId, memberId, NEW_MEMBER_JOIN_TIMEOUT_MS);
  rebalanceOrCompleteJoin(turn, group);
}

function updateMember(join: Join, member: GroupMember): void {
  const { turn, group } = join;
  group.update(rejoined(join, member));
  rebalanceOrCompleteJoin(turn, group);
}

/** The member as this request describes it. A request of it that still waited is sent to join again. */
function rejoined(join: Join, member: GroupMember): GroupMember {
  const { turn, command } = join;
  turn.replyTo(member.joinTicket, joinError(member.memberId, "REBALANCE_IN_PROGRESS"));
  return {
    ...member,
    protocols: join.protocols,
    rebalanceTimeoutMs: rebalanceTimeoutMsOf(command),
    sessionTimeoutMs: command.request.sessionTimeoutMs,
    joinTicket: turn.ticket,
  };
}

/** A static member restarted: it gets a new id and the old one is fenced (KIP-345, G9). */
function replaceStaticMember(join: Join, oldMemberId: string, memberId: string): void {
  const { turn, group } = join;
  const oldLeaderId = group.leaderId;
  const old = group.member(oldMemberId);
  turn.replyTo(old.joinTicket, joinError(oldMemberId, "FENCED_INSTANCE_ID"));
  turn.replyTo(old.syncTicket, syncError("FENCED_INSTANCE_ID"));
  turn.cancel(timerKey("session", group.groupId, oldMemberId));
  const member = rejoined(join, { ...old, memberId, joinTicket: null, syncTicket: null });
  group.replaceStatic(oldMemberId, { ...member, isNew: false });
  turn.renewSession(group.groupId, memberId, member.sessionTimeoutMs);
  switch (group.state) {
    case "Stable":
      if (group.protocolName === selectProtocol(group)) {
        keepGeneration(join, memberId, oldLeaderId);
      } else {
        prepareRebalance(turn, group);
      }
      break;
    case "CompletingRebalance":
      // The leader may already have assigned to the old id.
      prepareRebalance(turn, group);
      break;
    case "PreparingRebalance":
    case "Empty":
      maybeCompleteJoin(turn, group);
      break;
  }
}

/** The replaced member takes over the assignment without a rebalance. */
function keepGeneration(join: Join, memberId: string, oldLeaderId: string | null): void {
  const { turn, group, command } = join;
  const response = joinedResponse(group, memberId);
  if (command.caller.apiVersion >= 9) {
    turn.reply({ ...response, skipAssignment: group.leaderId === memberId });
  } else {
    // Told that it leads, an older client would assign anew and change nothing but confuse (KAFKA-13542).
    turn.reply({ ...response, leader: oldLeaderId ?? "", members: [] });
  }
  group.update({ ...group.member(memberId), joinTicket: null });
  turn.records.push({ kind: "group", groupId: group.groupId, value: groupMetadataOf(group) });
}

/** Version 0 has one timeout for both. */
function rebalanceTimeoutMsOf({ request, caller }: JoinCommand): number {
  return caller.apiVersion === 0 ? request.sessionTimeoutMs : request.rebalanceTimeoutMs;
}

function uniqueProtocols({ request }: JoinCommand): readonly MemberProtocol[] {
  const byName = new Map<string, MemberProtocol>();
  for (const { name, metadata } of request.protocols) {
    if (!byName.has(name)) byName.set(name, { name, metadata: Buffer.from(metadata) });
  }
  return [...byName.values()];
}
