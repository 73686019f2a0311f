import type { EndOfEpoch } from "./end-of-epoch.ts";
import type { FollowerAnswer, ReplicaPosition } from "./replication-messages.ts";

// Where a follower's log and its leader's part, and what goes then (KIP-101, KIP-279). Pure.

/** A leader's log, as it is held against a follower's position. */
export interface LeaderLogView {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** As OffsetForLeaderEpoch answers. */
  readonly endOfEpoch: (epoch: number) => EndOfEpoch;
}

/** null: the follower's log is a part of the leader's, and goes on at its fetch offset. */
export function judgePosition(
  leader: LeaderLogView,
  { fetchOffset, lastFetchedEpoch }: ReplicaPosition,
): FollowerAnswer | null {
  const { logStartOffset, logEndOffset } = leader;
  const outOfRange = { kind: "outOfRange", logStartOffset, logEndOffset } as const;
  if (lastFetchedEpoch >= 0) {
    const { leaderEpoch: epoch, endOffset } = leader.endOfEpoch(lastFetchedEpoch);
    // Nothing so old is left here.
    if (epoch < 0) return outOfRange;
    if (epoch < lastFetchedEpoch || endOffset < fetchOffset) {
      return { kind: "diverging", epoch, endOffset };
    }
  }
  return fetchOffset < logStartOffset || fetchOffset > logEndOffset ? outOfRange : null;
}

/** A follower's log, as it is cut. */
export interface FollowerLogView {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly endOffsetForEpoch: (epoch: number) => EndOfEpoch;
}

/**
 * Where to cut when the leader has said that its greatest epoch not above the follower's ends there: what comes behind is not the
 * leader's. It is always below the log's end, so that asking again comes to an end.
 */
export function truncationOffset(
  log: FollowerLogView,
  { epoch, endOffset }: Extract<FollowerAnswer, { kind: "diverging" }>,
): number {
  const own = log.endOffsetForEpoch(epoch);
  // Nothing here is as old as that: all of it is of epochs that the leader does not know.
  const ownEnd = own.leaderEpoch < 0 ? log.logStartOffset : own.endOffset;
  return Math.min(endOffset, ownEnd, log.logEndOffset);
}
