import { errorCode, type ErrorName, KafkaError } from "../../protocol/errors.ts";
import {
  type ClassicGroup,
  isEmptyGroup,
  isSubscribedTo,
  usesConsumerProtocol,
} from "./classic-group.ts";
import type { DeleteGroupCommand, DeleteOffsetsCommand } from "./group-commands.ts";
import type { GroupRecord } from "./group-records.ts";
import type { GroupsState } from "./group-state.ts";
import { type GroupTurn, timerKey } from "./group-turn.ts";
import { replayGroupRecord } from "./replay.ts";
import { Slice } from "./slice.ts";

/** What one batch of a deletion writes: some thousand offsets, and half of the largest batch by default. */
const DELETION_BYTES = 512 * 1024;

/** DeleteGroups, for one group: its offsets go first, so that none is ever there without its group. */
export function deleteGroup(
  state: GroupsState,
  { groupId }: DeleteGroupCommand,
  turn: GroupTurn,
): void {
  const group = state.groups.get(groupId);
  if (group === undefined) throw new KafkaError("GROUP_ID_NOT_FOUND");
  if (!isEmptyGroup(group)) throw new KafkaError("NON_EMPTY_GROUP");
  const slice = new Slice(state, turn, DELETION_BYTES);
  for (const [topic, partitions] of [...(state.offsets.get(groupId)?.entries() ?? [])]) {
    for (const partitionIndex of [...partitions.keys()]) {
      if (slice.isFull) {
        turn.reply(false);
        return;
      }
      slice.removeOffset(groupId, topic, partitionIndex);
    }
  }
  for (const memberId of group.pendingMembers) turn.cancel(timerKey("session", groupId, memberId));
  slice.write({ kind: "group", groupId, value: null });
  turn.reply(true);
}

/** OffsetDelete: what members of the group do not read. The group stays, if only until it expires. */
export function deleteOffsets(
  state: GroupsState,
  { groupId, partitions }: DeleteOffsetsCommand,
  turn: GroupTurn,
): void {
  const group = state.groups.get(groupId);
  const error = group === undefined ? "GROUP_ID_NOT_FOUND" : offsetDeletionError(group);
  if (group === undefined || error !== null) throw new KafkaError(error ?? "GROUP_ID_NOT_FOUND");
  const codes = partitions.map(({ topic, partitionIndex }) => {
    if (isSubscribedTo(group, topic)) return errorCode("GROUP_SUBSCRIBED_TO_TOPIC");
    if (state.offset(groupId, topic, partitionIndex) !== undefined) {
      const record: GroupRecord = { kind: "offset", groupId, topic, partitionIndex, value: null };
      turn.records.push(record);
      replayGroupRecord(state, record);
    }
    return errorCode("NONE");
  });
  turn.reply(codes);
}

/** Which topics the members of other protocols read cannot be known. */
function offsetDeletionError(group: ClassicGroup): ErrorName | null {
  return isEmptyGroup(group) || usesConsumerProtocol(group) ? null : "NON_EMPTY_GROUP";
}
