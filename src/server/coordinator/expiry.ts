import { type ClassicGroup, isEmptyGroup, usesConsumerProtocol } from "./classic-group.ts";
import type { GroupCommand, SweepRound } from "./group-commands.ts";
import type { CommittedOffset, GroupRecord } from "./group-records.ts";
import type { GroupsState } from "./group-state.ts";
import type { GroupTurn } from "./group-turn.ts";
import { replayGroupRecord } from "./replay.ts";

/** One command looks at this many offsets at most, and writes about this many bytes: then the next. */
const SLICE_OFFSETS = 10_000;
const SLICE_BYTES = 128 * 1024;
/** What a tombstone costs besides its names. */
const TOMBSTONE_BYTES = 64;

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

/** What one command has looked at and written so far. */
class Slice {
  readonly #state: GroupsState;
  readonly #turn: GroupTurn;
  #looked = 0;
  #bytes = 0;

  constructor(state: GroupsState, turn: GroupTurn) {
    this.#state = state;
    this.#turn = turn;
  }

  get nowMs(): number {
    return this.#turn.nowMs;
  }

  get retentionMs(): number {
    return this.#turn.options.offsetsRetentionMs;
  }

  /** The records make a batch that is large enough. */
  get isFull(): boolean {
    return this.#bytes >= SLICE_BYTES;
  }

  /** Time for others, between two groups. */
  get isDone(): boolean {
    return this.isFull || this.#looked >= SLICE_OFFSETS;
  }

  look(): void {
    this.#looked += 1;
  }

  removeOffset(groupId: string, topic: string, partitionIndex: number): void {
    this.write({ kind: "offset", groupId, topic, partitionIndex, value: null });
    this.#bytes += 3 * topic.length;
  }

  write(record: GroupRecord): void {
    this.#bytes += TOMBSTONE_BYTES + 3 * record.groupId.length;
    this.#turn.records.push(record);
    replayGroupRecord(this.#state, record);
  }
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
    if (group.subscribedTopics?.has(topic) ?? usesConsumerProtocol(group)) continue;
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
