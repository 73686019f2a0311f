import {
  type ClassicGroup,
  isEmptyGroup,
  isSubscribedTo,
  usesConsumerProtocol,
} from "./classic-group.ts";
import type { GroupCommand, SweepRound } from "./group-commands.ts";
import type { CommittedOffset } from "./group-records.ts";
import type { GroupsState } from "./group-state.ts";
import type { GroupTurn } from "./group-turn.ts";
import { Slice } from "./slice.ts";

const EXPIRE_KEY = "expire-offsets";

/** The next round of expiry begins after `offsets.retention.check.interval.ms`. */
export function scheduleExpiry(turn: GroupTurn): void {
  turn.schedule(EXPIRE_KEY, turn.options.offsetsRetentionCheckIntervalMs, {
    kind: "expireOffsets",
    round: null,
  });
}

/** Removes offsets that are past their retention, and groups that then hold nothing (G10). */
export function expireOffsets(state: GroupsState, round: SweepRound | null, turn: GroupTurn): void {
  const slice = new Slice(state, turn);
  const rest = sweep(state, round, slice, (group) => {
    const isWhole = expireOffsetsOf(state, group, slice);
    if (isWhole && isEmptyGroup(group) && group.pendingMembers.size === 0) {
      if (!state.offsets.has(group.groupId)) {
        slice.write({ kind: "group", groupId: group.groupId, value: null });
      }
    }
    return isWhole;
  });
  if (rest === null) scheduleExpiry(turn);
  else turn.schedule(EXPIRE_KEY, 0, { kind: "expireOffsets", round: rest });
}

/** Removes the offsets of topics that are gone. */
export function deleteTopics(
  state: GroupsState,
  command: Extract<GroupCommand, { kind: "deleteTopics" }>,
  turn: GroupTurn,
): void {
  const slice = new Slice(state, turn);
  const rest = sweep(state, command.round, slice, (group) => {
    for (const topic of command.topics) {
      const partitions = state.offsets.get(group.groupId)?.get(topic);
      for (const partitionIndex of [...(partitions?.keys() ?? [])]) {
        if (slice.isFull) return false;
        slice.removeOffset(group.groupId, topic, partitionIndex);
      }
    }
    return true;
  });
  if (rest === null) return;
  const key = `delete-topics:${[...command.topics].join(",")}`;
  turn.schedule(key, 0, { ...command, round: rest });
}

/** Visits groups until the slice is full. What is left of the round; null: nothing. */
function sweep(
  state: GroupsState,
  round: SweepRound | null,
  slice: Slice,
  visit: (group: ClassicGroup) => boolean,
): SweepRound | null {
  const { groupIds, next } = round ?? { groupIds: [...state.groups.keys()], next: 0 };
  for (let index = next; index < groupIds.length; index += 1) {
    if (slice.isDone) return { groupIds, next: index };
    slice.look();
    const group = state.groups.get(groupIds[index] ?? "");
    if (group !== undefined && !visit(group)) return { groupIds, next: index };
  }
  return null;
}

/** False when the slice was full before all offsets of the group had been looked at. */
function expireOffsetsOf(state: GroupsState, group: ClassicGroup, slice: Slice): boolean {
  const retentionStartMs = retentionStart(group);
  const topics = state.offsets.get(group.groupId);
  if (retentionStartMs === null || topics === undefined) return true;
  for (const [topic, partitions] of [...topics.entries()]) {
    if (isSubscribedTo(group, topic)) continue;
    for (const [partitionIndex, value] of [...partitions.entries()]) {
      if (!isExpired(value, retentionStartMs(value), slice)) {
        slice.look();
        continue;
      }
      if (slice.isFull) return false;
      slice.removeOffset(group.groupId, topic, partitionIndex);
    }
  }
  return true;
}

/**
 * From when an offset's retention counts (KIP-211): of an empty group since it is empty, of a simple
 * group and of topics that a stable one has unsubscribed since the commit. Null: nothing expires.
 */
function retentionStart(group: ClassicGroup): ((value: CommittedOffset) => number) | null {
  const sinceCommit = (value: CommittedOffset): number => value.commitTimestampMs;
  if (group.protocolType === null) return sinceCommit;
  if (isEmptyGroup(group)) return (value) => group.stateTimestampMs ?? value.commitTimestampMs;
  const isKnown = group.state === "Stable" && group.subscribedTopics !== null;
  return usesConsumerProtocol(group) && isKnown ? sinceCommit : null;
}

function isExpired(value: CommittedOffset, startMs: number, slice: Slice): boolean {
  if (value.expireTimestampMs !== null) {
    return BigInt(Math.trunc(slice.nowMs)) >= value.expireTimestampMs;
  }
  return slice.nowMs - startMs >= slice.retentionMs;
}
