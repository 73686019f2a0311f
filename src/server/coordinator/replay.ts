import { KafkaError } from "../../protocol/errors.ts";
import type { GroupMetadataValue } from "../../protocol/messages/internal/group-metadata.ts";
import { type ClassicGroup, GroupDraft } from "./classic-group.ts";
import type { GroupRecord } from "./group-records.ts";
import type { GroupsState } from "./group-state.ts";
import { computeSubscribedTopics } from "./rebalance.ts";

/** What a command writes, and what holds for it and those after it at once. */
export function writeGroupRecord(
  state: GroupsState,
  turn: { readonly records: GroupRecord[] },
  record: GroupRecord,
): void {
  turn.records.push(record);
  replayGroupRecord(state, record);
}

/** Applies a record: the durable part of the state is a function of the log alone (G3). */
export function replayGroupRecord(state: GroupsState, record: GroupRecord): void {
  const { groupId } = record;
  if (record.kind === "group") {
    if (record.value === null) state.groups.delete(groupId);
    else state.groups.set(groupId, groupOf(groupId, record.value));
    return;
  }
  const { topic, partitionIndex, value } = record;
  if (value === null) {
    state.deleteOffset(groupId, topic, partitionIndex);
    return;
  }
  // Offsets without a group: a consumer that assigns itself. Its group holds offsets and nothing else.
  if (!state.groups.has(groupId)) state.groups.set(groupId, GroupDraft.create(groupId, null));
  state.setOffset(groupId, topic, partitionIndex, value);
}

/** The group as it was written: stable with its members, or empty. */
function groupOf(groupId: string, value: GroupMetadataValue): ClassicGroup {
  const stateTimestampMs = value.currentStateTimestamp === -1 ? null : value.currentStateTimestamp;
  const group = GroupDraft.create(groupId, stateTimestampMs);
  group.generationId = value.generation;
  group.protocolType = value.protocolType === "" ? null : value.protocolType;
  group.protocolName = value.protocol;
  for (const member of value.members) {
    const { memberId, groupInstanceId } = member;
    if (
      group.members.has(memberId) ||
      (groupInstanceId !== null && group.staticMembers.has(groupInstanceId))
    ) {
      throw new KafkaError("CORRUPT_MESSAGE", `group ${groupId} has a member twice`);
    }
    group.add({
      memberId,
      groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeoutMs:
        member.rebalanceTimeout === -1 ? member.sessionTimeout : member.rebalanceTimeout,
      sessionTimeoutMs: member.sessionTimeout,
      protocols: [{ name: value.protocol ?? "", metadata: Buffer.from(member.subscription) }],
      assignment: Buffer.from(member.assignment),
      isNew: false,
      joinTicket: null,
      syncTicket: null,
    });
  }
  if (group.members.size > 0) {
    group.state = "Stable";
    if (value.leader !== null && group.members.has(value.leader)) group.leaderId = value.leader;
  }
  group.subscribedTopics = computeSubscribedTopics(group);
  return group;
}
