import { errorCode, type ErrorName, KafkaError } from "../../protocol/errors.ts";
import type { HeartbeatResponse } from "../../protocol/messages/12-heartbeat.ts";
import {
  type ClassicGroup,
  GroupDraft,
  type GroupMember,
  hasAllMembersJoined,
  memberError,
} from "./classic-group.ts";
import type {
  HeartbeatCommand,
  LeaveCommand,
  LeaveResult,
  LeavingMember,
} from "./group-commands.ts";
import type { GroupsState } from "./group-state.ts";
import type { GroupTurn } from "./group-turn.ts";
import { completeJoin, maybeCompleteJoin, prepareRebalance } from "./rebalance.ts";

/** Heartbeat: renews the session, and tells of a rebalance. No group without members accepts one (G11). */
export function heartbeat(
  state: GroupsState,
  { request }: HeartbeatCommand,
  turn: GroupTurn,
): void {
  const group = state.groups.get(request.groupId);
  const error = group === undefined ? "UNKNOWN_MEMBER_ID" : heartbeatError(group, request);
  if (group === undefined || error !== null) throw new KafkaError(error ?? "UNKNOWN_MEMBER_ID");
  const member = group.members.get(request.memberId);
  if (member !== undefined) {
    turn.renewSession(group.groupId, member.memberId, member.sessionTimeoutMs);
  }
  const isRebalancing = group.state === "PreparingRebalance";
  const response: HeartbeatResponse = {
    throttleTimeMs: 0,
    errorCode: errorCode(isRebalancing ? "REBALANCE_IN_PROGRESS" : "NONE"),
  };
  turn.reply(response);
}

function heartbeatError(
  group: ClassicGroup,
  request: HeartbeatCommand["request"],
): ErrorName | null {
  const error = memberError(group, request.memberId, request.groupInstanceId);
  if (error !== null) return error;
  return request.generationId === group.generationId ? null : "ILLEGAL_GENERATION";
}

/**
 * LeaveGroup: each member by its id, by its instance id, or by both (an operator removes a static one
 * by its instance id alone). One rebalance for all of them.
 */
export function leaveGroup(state: GroupsState, command: LeaveCommand, turn: GroupTurn): void {
  const existing = state.groups.get(command.groupId);
  if (existing === undefined) {
    turn.reply(command.members.map((member) => leaveResult(member, "UNKNOWN_MEMBER_ID")));
    return;
  }
  const group = GroupDraft.of(existing);
  const results = command.members.map((member) => leaveResult(member, leave(turn, group, member)));
  if (group.state === "PreparingRebalance") maybeCompleteJoin(turn, group);
  else if (group.members.size < existing.members.size) prepareRebalance(turn, group);
  state.groups.set(group.groupId, group);
  turn.reply(results);
}

function leave(turn: GroupTurn, group: GroupDraft, leaving: LeavingMember): ErrorName {
  const { memberId, groupInstanceId } = leaving;
  if (memberId === "") {
    const staticId = groupInstanceId === null ? null : group.staticMembers.get(groupInstanceId);
    if (staticId === undefined || staticId === null) return "UNKNOWN_MEMBER_ID";
    turn.removeMember(group, staticId);
    return "NONE";
  }
  if (!group.pendingMembers.has(memberId)) {
    const error = memberError(group, memberId, groupInstanceId);
    if (error !== null) return error;
  }
  turn.removeMember(group, memberId);
  return "NONE";
}

function leaveResult(leaving: LeavingMember, error: ErrorName): LeaveResult {
  const { memberId, groupInstanceId } = leaving;
  return { memberId, groupInstanceId, errorCode: errorCode(error) };
}

/** A session has run out, a member's or that of an id that was given out. */
export function expireMember(turn: GroupTurn, group: GroupDraft, memberId: string): void {
  const member = group.members.get(memberId);
  if (member === undefined && !group.pendingMembers.has(memberId)) return;
  if (member !== undefined && isExcused(member)) return;
  turn.removeMember(group, memberId);
  if (group.state === "PreparingRebalance") {
    // Also in the initial rebalance: whoever it waited for may be the one that is gone.
    if (hasAllMembersJoined(group)) completeJoin(turn, group);
  } else if (member !== undefined) {
    prepareRebalance(turn, group);
  }
}

/** Whoever waits for us cannot send heartbeats. A new member may have gone unseen, so it is not excused. */
function isExcused(member: GroupMember): boolean {
  return !member.isNew && (member.joinTicket !== null || member.syncTicket !== null);
}
