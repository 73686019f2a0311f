import { assert } from "../../base/assert.ts";
import type { Batch, FetchAnswer, SnapshotId } from "./messages.ts";
import type { Follower } from "./roles.ts";
import type { RaftState } from "./state.ts";
import { VoterSet } from "./voters.ts";

export function becomeFollower(state: RaftState, leaderId: number): void {
  assert(leaderId !== state.self.nodeId, "nobody follows itself");
  state.follow(leaderId);
  state.role = {
    kind: "follower",
    leaderId,
    hasHeard: false,
    heardAtMs: state.nowMs,
    fetch: null,
    snapshot: null,
    leaderHighWatermark: 0,
  };
  maybeFetch(state, state.role);
}

/** Whether the leader has been silent for too long. While this node's own disk is waited for, it is not. */
export function isLeaderLost(state: RaftState, role: Follower): boolean {
  return state.nowMs >= leaderLostAtMs(state, role);
}

export function followerDeadlineMs(state: RaftState, role: Follower): number {
  if (role.fetch === null) return Infinity;
  const resendAtMs = role.fetch.sentAtMs + state.timing.requestTimeoutMs;
  return Math.min(resendAtMs, leaderLostAtMs(state, role));
}

function leaderLostAtMs({ timing }: RaftState, role: Follower): number {
  return role.fetch === null ? Infinity : role.heardAtMs + timing.fetchTimeoutMs;
}

/** A fetch that was not answered is taken for lost. */
export function onFollowerTick(state: RaftState, role: Follower): void {
  if (role.fetch === null || state.nowMs < role.fetch.sentAtMs + state.timing.requestTimeoutMs) {
    return;
  }
  request(state, role);
}

/** More of the log is synced here. */
export function onFollowerFlushed(state: RaftState, role: Follower): void {
  advanceHighWatermark(state, role);
  maybeFetch(state, role);
}

/** One fetch at a time, and only of what follows a synced log: its position is a promise (K9). */
export function maybeFetch(state: RaftState, role: Follower): void {
  if (role.fetch !== null || role.snapshot !== null || !state.log.isFlushed) return;
  role.heardAtMs = state.nowMs;
  request(state, role);
}

/** Asks the leader for what comes next. */
export function request(state: RaftState, role: Follower): void {
  const { leaderId, snapshot } = role;
  role.fetch = { sentAtMs: state.nowMs };
  if (snapshot === null) sendFetch(state, leaderId);
  else {
    const { id, position } = snapshot;
    state.send(leaderId, { kind: "fetchSnapshot", epoch: state.epoch, id, position });
  }
}

export function sendFetch(state: RaftState, to: number): void {
  const { epoch, highWatermark, log } = state;
  state.send(to, {
    kind: "fetch",
    epoch,
    fetchOffset: log.endOffset,
    lastFetchedEpoch: log.lastEpoch,
    highWatermark,
  });
}

/** From the leader of this epoch. Of an answer to what was asked long ago nothing is taken. */
export function onFetchAnswer(state: RaftState, role: Follower, answer: FetchAnswer): void {
  const { log } = state;
  const isCurrent =
    role.fetch !== null &&
    role.snapshot === null &&
    answer.fetchOffset === log.endOffset &&
    answer.lastFetchedEpoch === log.lastEpoch;
  if (!isCurrent) return;
  role.hasHeard = true;
  role.heardAtMs = state.nowMs;
  role.fetch = null;
  switch (answer.outcome.kind) {
    case "records":
      role.leaderHighWatermark = Math.max(role.leaderHighWatermark, answer.highWatermark);
      appendFetched(state, answer.outcome.batches);
      break;
    case "diverging":
      truncate(state, answer.outcome.epoch, answer.outcome.endOffset);
      break;
    case "snapshot":
      beginSnapshot(state, role, answer.outcome.id);
      break;
  }
  advanceHighWatermark(state, role);
  maybeFetch(state, role);
}

function appendFetched(state: RaftState, batches: readonly Batch[]): void {
  if (batches.length === 0) return;
  for (const { baseOffset, endOffset, leaderEpoch, bytes } of batches) {
    assert(baseOffset === state.log.endOffset, "the leader's batches follow on each other");
    assert(leaderEpoch <= state.epoch, "a leader has no later epoch than its own");
    const voters = state.votersIn(bytes);
    state.log.append(leaderEpoch, endOffset, voters === null ? null : new VoterSet(voters));
  }
  state.do({ kind: "appendFetched", batches });
}

/** Cuts what the leader does not have: down to where the last epoch that both may share ends (KIP-595). */
function truncate(state: RaftState, epoch: number, endOffset: number): void {
  const { log } = state;
  const own = log.endOffsetFor(epoch);
  const cutOffset = own.epoch === epoch ? Math.min(own.endOffset, endOffset) : own.endOffset;
  assert(cutOffset < log.endOffset, "logs that part have something to cut");
  assert(cutOffset >= state.highWatermark, "what is committed is not cut (K10)");
  log.truncateTo(cutOffset);
  state.do({ kind: "truncate", endOffset: cutOffset });
}

/** What the leader has committed and this node has synced. */
function advanceHighWatermark(state: RaftState, role: Follower): void {
  state.commit(Math.min(role.leaderHighWatermark, state.log.flushedEndOffset));
}

/** The leader's log begins above what this node has of it (KIP-630). */
function beginSnapshot(state: RaftState, role: Follower, id: SnapshotId): void {
  // Whoever has all that it holds has a common prefix with the leader's log, and is sent records.
  assert(id.endOffset > state.highWatermark, "a snapshot brings what was not known (K10)");
  role.snapshot = { id, position: 0, isWhole: false };
  request(state, role);
}
