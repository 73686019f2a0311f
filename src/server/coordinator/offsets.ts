import { ZERO_UUID } from "../../base/ids.ts";
import { errorCode, type ErrorName, KafkaError } from "../../protocol/errors.ts";
import { type ClassicGroup, memberError } from "./classic-group.ts";
import type {
  CommitCommand,
  OffsetQuery,
  OffsetToCommit,
  PartitionOffset,
  TopicOffsets,
} from "./group-commands.ts";
import type { CommittedOffset, GroupRecord } from "./group-records.ts";
import type { GroupsState } from "./group-state.ts";
import type { GroupTurn } from "./group-turn.ts";
import { writeGroupRecord } from "./replay.ts";

const INT64_MAX = 2n ** 63n - 1n;

/**
 * OffsetCommit. Answers with an error code for each offset, in order. Throws when the caller may not
 * commit at all (G2).
 */
export function commitOffsets(state: GroupsState, command: CommitCommand, turn: GroupTurn): void {
  const group = state.groups.get(command.groupId);
  const error = group === undefined ? unknownGroupError(command) : commitError(group, command);
  if (error !== null) throw new KafkaError(error);
  const member = group?.members.get(command.memberId);
  if (member !== undefined) {
    // A commit is a sign of life.
    turn.renewSession(command.groupId, member.memberId, member.sessionTimeoutMs);
  }
  const codes = command.offsets.map((offset) => {
    if (offset.metadata.length > turn.options.offsetMetadataMaxBytes) {
      return errorCode("OFFSET_METADATA_TOO_LARGE");
    }
    writeGroupRecord(state, turn, recordOf(command, offset, turn.nowMs));
    return errorCode("NONE");
  });
  turn.reply(codes);
}

/** A group that does not exist takes offsets only from outside: it then is a simple group. */
function unknownGroupError(command: CommitCommand): ErrorName | null {
  if (command.generationId < 0) return null;
  return command.apiVersion >= 9 ? "GROUP_ID_NOT_FOUND" : "ILLEGAL_GENERATION";
}

/** Kafka's validateOffsetCommit. */
function commitError(group: ClassicGroup, command: CommitCommand): ErrorName | null {
  const { memberId, groupInstanceId, generationId } = command;
  if (generationId < 0 && group.state === "Empty") return null;
  if (generationId < 0 && memberId === "" && groupInstanceId === null) return "UNKNOWN_MEMBER_ID";
  const error = memberError(group, memberId, groupInstanceId);
  if (error !== null) return error;
  if (generationId !== group.generationId) return "ILLEGAL_GENERATION";
  // Its generation is about to begin: what it says about the one before is no longer its to say.
  return group.state === "CompletingRebalance" ? "REBALANCE_IN_PROGRESS" : null;
}

function recordOf(command: CommitCommand, offset: OffsetToCommit, nowMs: number): GroupRecord {
  return {
    kind: "offset",
    groupId: command.groupId,
    topic: offset.topic,
    partitionIndex: offset.partitionIndex,
    value: {
      offset: offset.offset,
      leaderEpoch: offset.leaderEpoch,
      metadata: offset.metadata,
      commitTimestampMs: nowMs,
      expireTimestampMs: expireTimestampMs(command.retentionMs, nowMs),
      topicId: offset.topicId,
    },
  };
}

function expireTimestampMs(retentionMs: bigint | null, nowMs: number): bigint | null {
  if (retentionMs === null) return null;
  const expireMs = BigInt(Math.trunc(nowMs)) + retentionMs;
  return expireMs > INT64_MAX ? INT64_MAX : expireMs;
}

/**
 * What the group has committed. "committed" leaves out what a failover could still take back; "latest"
 * is for an answer that waits until it is committed. An unknown group has no offsets, and is no error.
 */
export function findOffsets(
  state: GroupsState,
  query: OffsetQuery,
  view: "committed" | "latest",
): readonly TopicOffsets[] {
  const isCommitted = view === "committed";
  const topics = isCommitted
    ? state.offsets.getCommitted(query.groupId)
    : state.offsets.get(query.groupId);
  if (query.topics === null) {
    return [...((isCommitted ? topics?.committedEntries() : topics?.entries()) ?? [])].map(
      ([topic, partitions]) => {
        const entries = [...(isCommitted ? partitions.committedEntries() : partitions.entries())];
        return {
          topic,
          topicId:
            entries.find(([, { topicId }]) => topicId !== ZERO_UUID)?.[1].topicId ?? ZERO_UUID,
          partitions: entries.map(([partitionIndex, value]) => present(partitionIndex, value)),
        };
      },
    );
  }
  return query.topics.map(({ topic, topicId, partitionIndexes }) => {
    const partitions = isCommitted ? topics?.getCommitted(topic) : topics?.get(topic);
    return {
      topic,
      topicId,
      partitions: partitionIndexes.map((partitionIndex) => {
        const value = isCommitted
          ? partitions?.getCommitted(partitionIndex)
          : partitions?.get(partitionIndex);
        return value === undefined || isOtherTopic(value, topicId)
          ? absent(partitionIndex)
          : present(partitionIndex, value);
      }),
    };
  });
}

/** Committed for a topic of the same name that has been deleted since. */
function isOtherTopic(value: CommittedOffset, topicId: string): boolean {
  return topicId !== ZERO_UUID && value.topicId !== ZERO_UUID && value.topicId !== topicId;
}

function present(partitionIndex: number, value: CommittedOffset): PartitionOffset {
  const { offset, leaderEpoch, metadata } = value;
  return { partitionIndex, offset, leaderEpoch, metadata };
}

function absent(partitionIndex: number): PartitionOffset {
  return { partitionIndex, offset: -1, leaderEpoch: -1, metadata: "" };
}
