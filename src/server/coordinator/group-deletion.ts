import { errorCode, KafkaError } from "../../protocol/errors.ts";
import { isEmptyGroup, isSubscribedTo, usesConsumerProtocol } from "./classic-group.ts";
import type { DeleteGroupCommand, DeleteOffsetsCommand } from "./group-commands.ts";
import type { GroupsState } from "./group-state.ts";
import { type GroupTurn, timerKey } from "./group-turn.ts";
import { writeGroupRecord } from "./replay.ts";
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
  if (group === undefined) throw new KafkaError("GROUP_ID_NOT_FOUND");
  // Which topics the members of other protocols read cannot be known.
  if (!isEmptyGroup(group) && !usesConsumerProtocol(group)) throw new KafkaError("NON_EMPTY_GROUP");
  const codes = partitions.map(({ topic, partitionIndex }) => {
    if (isSubscribedTo(group, topic)) return errorCode("GROUP_SUBSCRIBED_TO_TOPIC");
    if (state.offset(groupId, topic, partitionIndex) !== undefined) {
      writeGroupRecord(state, turn, {
        kind: "offset",
        groupId,
        topic,
        partitionIndex,
        value: null,
      });
    }
    return errorCode("NONE");
  });
  turn.reply(codes);
}
