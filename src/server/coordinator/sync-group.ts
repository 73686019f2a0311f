import type { KafkaError } from "../../protocol/errors.ts";
import type { SyncGroupResponse } from "../../protocol/messages/14-sync-group.ts";
import type { ErrorName } from "../../protocol/errors.ts";
import {
  type ClassicGroup,
  EMPTY_ASSIGNMENT,
  GroupDraft,
  isEmptyGroup,
  memberError,
} from "./classic-group.ts";
import { coordinatorErrorName } from "./coordinator-errors.ts";
import type { SyncCommand } from "./group-commands.ts";
import type { GroupsState } from "./group-state.ts";
import { type GroupTurn, syncError, timerKey } from "./group-turn.ts";
import { groupMetadataOf, prepareRebalance, resetAssignments } from "./rebalance.ts";

/** SyncGroup: members fetch their assignment, the leader brings everybody's (G7). */
export function syncGroup(state: GroupsState, command: SyncCommand, turn: GroupTurn): void {
  const { request } = command;
  const existing = state.groups.get(request.groupId);
  const error = existing === undefined ? "UNKNOWN_MEMBER_ID" : refusalOf(existing, command);
  if (existing === undefined || error !== null) {
    turn.reply(syncError(error ?? "UNKNOWN_MEMBER_ID"));
    return;
  }
  const group = GroupDraft.of(existing);
  group.pendingSyncMembers.delete(request.memberId);
  if (group.pendingSyncMembers.size === 0) turn.cancel(timerKey("sync", group.groupId));
  if (group.state === "Stable") {
    turn.reply(assignedResponse(group, group.member(request.memberId).assignment));
  } else {
    waitForAssignment(turn, group, request.memberId);
    if (group.leaderId === request.memberId) assign(turn, group, command);
  }
  state.groups.set(group.groupId, group);
}

/** The log refused the assignments: nobody has one, and everybody joins again. */
export function failSync(
  turn: GroupTurn,
  group: GroupDraft,
  generationId: number,
  error: ErrorName,
): void {
  if (group.state !== "CompletingRebalance" || group.generationId !== generationId) return;
  resetAssignments(turn, group, error);
  prepareRebalance(turn, group);
}

/** The rebalance timeout has passed since the generation began: who has not synced is out. */
export function expirePendingSync(turn: GroupTurn, group: GroupDraft, generationId: number): void {
  if (group.generationId !== generationId || group.pendingSyncMembers.size === 0) return;
  if (group.state !== "CompletingRebalance" && group.state !== "Stable") return;
  for (const memberId of [...group.pendingSyncMembers]) turn.removeMember(group, memberId);
  prepareRebalance(turn, group);
}

function refusalOf(group: ClassicGroup, { request }: SyncCommand): ErrorName | null {
  if (isEmptyGroup(group)) return "UNKNOWN_MEMBER_ID";
  const error = memberError(group, request.memberId, request.groupInstanceId);
  if (error !== null) return error;
  if (request.generationId !== group.generationId) return "ILLEGAL_GENERATION";
  if (
    differs(request.protocolType, group.protocolType) ||
    differs(request.protocolName, group.protocolName)
  ) {
    return "INCONSISTENT_GROUP_PROTOCOL";
  }
  return group.state === "PreparingRebalance" ? "REBALANCE_IN_PROGRESS" : null;
}

/** Versions below 5 do not say. */
function differs(requested: string | null, actual: string | null): boolean {
  return requested !== null && actual !== null && requested !== actual;
}

function waitForAssignment(turn: GroupTurn, group: GroupDraft, memberId: string): void {
  const member = group.member(memberId);
  turn.replyTo(member.syncTicket, syncError("REBALANCE_IN_PROGRESS"));
  group.update({ ...member, syncTicket: turn.ticket });
}

function assign(turn: GroupTurn, group: GroupDraft, { request }: SyncCommand): void {
  const { groupId, generationId } = group;
  // Copies: the request's buffers are slices of what the socket brought.
  const assignments = new Map(
    request.assignments.map(({ memberId, assignment }) => [memberId, Buffer.from(assignment)]),
  );
  group.transitionTo("Stable", turn.nowMs);
  for (const member of [...group.members.values()]) {
    const assignment = assignments.get(member.memberId) ?? EMPTY_ASSIGNMENT;
    group.update({ ...member, assignment, syncTicket: null });
    if (member.syncTicket === null) continue;
    turn.replyTo(member.syncTicket, assignedResponse(group, assignment));
    // A session that ran out meanwhile was let pass, so it must be started anew.
    turn.renewSession(groupId, member.memberId, member.sessionTimeoutMs);
  }
  turn.records.push({ kind: "group", groupId, value: groupMetadataOf(group) });
  turn.onRefused = (error: KafkaError) => ({
    kind: "syncRefused",
    groupId,
    generationId,
    error: coordinatorErrorName(error.errorName),
  });
}

function assignedResponse(group: ClassicGroup, assignment: Buffer): SyncGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: 0,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    assignment,
  };
}
