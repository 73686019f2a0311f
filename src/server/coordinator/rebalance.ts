import type { JoinGroupResponse } from "../../protocol/messages/11-join-group.ts";
import type { GroupMetadataValue } from "../../protocol/messages/internal/group-metadata.ts";
import type { ErrorName } from "../../protocol/errors.ts";
import {
  type ClassicGroup,
  EMPTY_ASSIGNMENT,
  type GroupDraft,
  groupRebalanceTimeoutMs,
  hasAllMembersJoined,
  metadataOf,
  selectProtocol,
  usesConsumerProtocol,
} from "./classic-group.ts";
import { type GroupTurn, syncError, timerKey } from "./group-turn.ts";
import { subscribedTopicsOf } from "./subscription.ts";

/** Starts a rebalance where the state allows it; otherwise sees whether the one that runs can end. */
export function rebalanceOrCompleteJoin(turn: GroupTurn, group: GroupDraft): void {
  if (group.state === "PreparingRebalance") maybeCompleteJoin(turn, group);
  else prepareRebalance(turn, group);
}

/** All members shall join again: whoever waits for an assignment is told so. */
export function prepareRebalance(turn: GroupTurn, group: GroupDraft): void {
  if (group.state === "CompletingRebalance") resetAssignments(turn, group, "REBALANCE_IN_PROGRESS");
  group.pendingSyncMembers.clear();
  turn.cancel(timerKey("sync", group.groupId));
  const isInitial = group.state === "Empty";
  group.transitionTo("PreparingRebalance", turn.nowMs);
  if (isInitial) {
    const delayMs = turn.options.initialRebalanceDelayMs;
    const remainingMs = Math.max(groupRebalanceTimeoutMs(group) - delayMs, 0);
    scheduleInitialJoin(turn, group, delayMs, remainingMs);
  } else if (hasAllMembersJoined(group)) {
    completeJoin(turn, group);
  } else {
    scheduleJoin(turn, group);
  }
}

/** Ends the join phase when everybody is there. The initial rebalance waits for its delay instead. */
export function maybeCompleteJoin(turn: GroupTurn, group: GroupDraft): void {
  if (group.state !== "PreparingRebalance" || group.previousState === "Empty") return;
  if (hasAllMembersJoined(group)) completeJoin(turn, group);
}

/** The delay of the initial rebalance has passed: once more while new members keep coming. */
export function completeInitialJoin(
  turn: GroupTurn,
  group: GroupDraft,
  delayMs: number,
  remainingMs: number,
): void {
  if (group.state !== "PreparingRebalance") return;
  if (group.isMemberAdded && remainingMs > 0) {
    group.isMemberAdded = false;
    const nextDelayMs = Math.min(turn.options.initialRebalanceDelayMs, remainingMs);
    scheduleInitialJoin(turn, group, nextDelayMs, Math.max(remainingMs - delayMs, 0));
  } else {
    completeJoin(turn, group);
  }
}

/**
 * The join phase ends: dynamic members that did not come are out, and the next generation begins (G1).
 * Its members are told; an empty generation is written down at once, as no leader will.
 */
export function completeJoin(turn: GroupTurn, group: GroupDraft): void {
  if (group.state !== "PreparingRebalance") return;
  turn.cancel(timerKey("join", group.groupId));
  for (const member of [...group.members.values()]) {
    if (member.joinTicket === null && member.groupInstanceId === null) {
      turn.removeMember(group, member.memberId);
    }
  }
  if (group.members.size > 0 && !electJoinedLeader(group)) {
    // Only static members are left and none has come: their sessions decide.
    scheduleJoin(turn, group);
    return;
  }
  group.generationId += 1;
  group.isMemberAdded = false;
  group.pendingSyncMembers.clear();
  group.protocolName = group.members.size === 0 ? null : selectProtocol(group);
  group.subscribedTopics = computeSubscribedTopics(group);
  if (group.members.size === 0) {
    group.transitionTo("Empty", turn.nowMs);
    turn.records.push({ kind: "group", groupId: group.groupId, value: groupMetadataOf(group) });
    return;
  }
  group.transitionTo("CompletingRebalance", turn.nowMs);
  for (const member of [...group.members.values()]) {
    turn.replyTo(member.joinTicket, joinedResponse(group, member.memberId));
    turn.renewSession(group.groupId, member.memberId, member.sessionTimeoutMs);
    group.update({ ...member, joinTicket: null, isNew: false });
    group.pendingSyncMembers.add(member.memberId);
  }
  turn.schedule(timerKey("sync", group.groupId), groupRebalanceTimeoutMs(group), {
    kind: "expirePendingSync",
    groupId: group.groupId,
    generationId: group.generationId,
  });
}

/** Gives everybody who waits for an assignment the error, and forgets the assignments. */
export function resetAssignments(turn: GroupTurn, group: GroupDraft, error: ErrorName): void {
  for (const member of [...group.members.values()]) {
    if (member.syncTicket !== null) {
      turn.replyTo(member.syncTicket, syncError(error));
      turn.renewSession(group.groupId, member.memberId, member.sessionTimeoutMs);
    }
    group.update({ ...member, assignment: EMPTY_ASSIGNMENT, syncTicket: null });
  }
}

/** What a member learns about its generation. Only the leader sees the others (G7). */
export function joinedResponse(group: ClassicGroup, memberId: string): JoinGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: 0,
    generationId: group.generationId,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    leader: group.leaderId ?? "",
    skipAssignment: false,
    memberId,
    members: group.leaderId === memberId ? joinedMembers(group) : [],
  };
}

function joinedMembers(group: ClassicGroup): JoinGroupResponse["members"] {
  return [...group.members.values()].map((member) => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    metadata: metadataOf(member, group.protocolName),
  }));
}

/** The group as a record; members with their assignments. */
export function groupMetadataOf(group: ClassicGroup): GroupMetadataValue {
  return {
    protocolType: group.protocolType ?? "",
    generation: group.generationId,
    protocol: group.protocolName,
    leader: group.leaderId,
    currentStateTimestamp: group.stateTimestampMs ?? -1,
    members: [...group.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: metadataOf(member, group.protocolName),
      assignment: member.assignment,
    })),
  };
}

/** What the consumers of the generation asked for; null where that cannot be known. */
export function computeSubscribedTopics(group: ClassicGroup): ReadonlySet<string> | null {
  if (!usesConsumerProtocol(group)) return null;
  const all = new Set<string>();
  if (group.members.size > 0 && group.protocolName === null) return null;
  for (const member of group.members.values()) {
    const topics = subscribedTopicsOf(metadataOf(member, group.protocolName));
    if (topics === null) return null;
    for (const topic of topics) all.add(topic);
  }
  return all;
}

/** A leader that did not come hands over to one that did. False: nobody came. */
function electJoinedLeader(group: GroupDraft): boolean {
  const leader = group.leaderId === null ? undefined : group.members.get(group.leaderId);
  if (leader !== undefined && leader.joinTicket !== null) return true;
  const joined = [...group.members.values()].find((member) => member.joinTicket !== null);
  if (joined === undefined) return false;
  group.leaderId = joined.memberId;
  return true;
}

function scheduleJoin(turn: GroupTurn, group: ClassicGroup): void {
  turn.schedule(timerKey("join", group.groupId), groupRebalanceTimeoutMs(group), {
    kind: "completeJoin",
    groupId: group.groupId,
  });
}

function scheduleInitialJoin(
  turn: GroupTurn,
  group: ClassicGroup,
  delayMs: number,
  remainingMs: number,
): void {
  turn.schedule(timerKey("join", group.groupId), delayMs, {
    kind: "completeInitialJoin",
    groupId: group.groupId,
    delayMs,
    remainingMs,
  });
}
