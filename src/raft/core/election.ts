import { assert } from "../../base/assert.ts";
import { becomeFollower } from "./follower.ts";
import { becomeLeader } from "./leader.ts";
import type { EndQuorumEpoch, VoteAnswer, VoteRequest } from "./messages.ts";
import type { Candidate, Prospective } from "./roles.ts";
import type { RaftState } from "./state.ts";
import { isSameReplica, type ReplicaKey, replicaText } from "./voters.ts";

/** Part of the election backoff: some ten times what a vote and its sync take. */
const LEADER_GONE_SPREAD = 5;

/** How often an observer asks somebody for the leader, in the time after which one question is lost. */
const ASKS_PER_REQUEST_TIMEOUT = 20;

/** Waits for a leader; when none shows up, a voter stands for election, and an observer asks around. */
export function becomeUnattached(state: RaftState, waitMs = leaderWaitMs(state)): void {
  state.role = { kind: "unattached", electionAtMs: state.nowMs + waitMs };
}

/** The first step of an election: would a majority elect this node? Its epoch stays (K15, KIP-996). */
export function becomeProspective(state: RaftState, fallbackLeaderId: number | null): void {
  assert(state.isElectable, "observers do not stand for election (K14)");
  if (state.voters.isOnly(state.self)) {
    becomeCandidate(state);
    return;
  }
  state.role = { kind: "prospective", fallbackLeaderId, ...ballot(state) };
  askForVotes(state, true);
}

/** A new epoch, with this node's vote for itself, which is durable before anybody is asked (K6). */
function becomeCandidate(state: RaftState): void {
  state.enterEpoch(state.epoch + 1);
  if (state.voters.isOnly(state.self)) {
    // It needs nobody's vote: that it leads is all there is to be remembered.
    becomeLeader(state, [state.self]);
    return;
  }
  state.vote(state.self);
  state.role = { kind: "candidate", ...ballot(state) };
  askForVotes(state, false);
}

/** Time for the next try: what came of the last one? */
export function onElectionTick(state: RaftState, role: Prospective | Candidate): void {
  if (state.nowMs < role.untilMs) return;
  if (role.kind === "prospective" && role.fallbackLeaderId !== null) {
    becomeFollower(state, role.fallbackLeaderId);
    return;
  }
  becomeProspective(state, null);
}

export function onVoteRequest(state: RaftState, from: ReplicaKey, request: VoteRequest): void {
  // Meant for the disk that this node has lost, perhaps: that one's promises are not known here (R14).
  if (!isSameReplica(request.voter, state.self)) return;
  const { isPreVote } = request;
  const isGranted = request.epoch === state.epoch && isGrantable(state, from, request);
  if (isGranted && !isPreVote) {
    state.vote(from);
    becomeUnattached(state);
  }
  const { epoch, currentLeaderId: leaderId } = state;
  state.send(from.nodeId, { kind: "voteAnswer", epoch, leaderId, isPreVote, isGranted });
}

function isGrantable(state: RaftState, candidate: ReplicaKey, request: VoteRequest): boolean {
  const { log, role, voted } = state;
  const isUpToDate =
    request.lastEpoch > log.lastEpoch ||
    (request.lastEpoch === log.lastEpoch && request.endOffset >= log.endOffset);
  if (!isUpToDate) return false;
  if (request.isPreVote) {
    // Whoever hears its leader need not be asked for another one.
    return role.kind !== "leader" && !(role.kind === "follower" && role.hasHeard);
  }
  return state.leaderId === null && (voted === null || isSameReplica(voted, candidate));
}

export function onVoteAnswer(state: RaftState, from: ReplicaKey, answer: VoteAnswer): void {
  const { role, voters } = state;
  if (answer.epoch !== state.epoch || !voters.has(from)) return;
  if (role.kind !== (answer.isPreVote ? "prospective" : "candidate")) return;
  if (answer.isGranted) {
    role.granted.set(replicaText(from), from);
    role.refused.delete(replicaText(from));
  } else {
    role.refused.add(replicaText(from));
  }
  if (role.granted.size >= voters.majority) {
    if (role.kind === "prospective") becomeCandidate(state);
    else becomeLeader(state, [...role.granted.values()]);
  } else {
    giveUpIfLost(state, role);
  }
}

/** Nobody is there to answer: for this ballot that is a refusal (R16). */
export function onVoterGone(state: RaftState, role: Prospective | Candidate, nodeId: number): void {
  const voter = state.voters.all.find((each) => each.nodeId === nodeId);
  if (voter === undefined || role.refused.has(replicaText(voter))) return;
  role.refused.add(replicaText(voter));
  giveUpIfLost(state, role);
}

/**
 * The leader's process is gone (R16). All who follow it learn that in the same moment: each waits a little,
 * at random, or they would split the vote; whoever asks first is elected by those who still wait.
 */
export function onLeaderGone(state: RaftState): void {
  const spreadMs = Math.floor(state.timing.electionBackoffMaxMs / LEADER_GONE_SPREAD);
  becomeUnattached(state, state.isElectable && spreadMs > 0 ? state.randomBelow(spreadMs) : 0);
}

function giveUpIfLost(state: RaftState, role: Prospective | Candidate): void {
  const { voters } = state;
  if (voters.all.length - role.refused.size < voters.majority) onLost(state, role);
}

/** It will not be elected: others may, before it tries again. */
function onLost(state: RaftState, role: Prospective | Candidate): void {
  if (role.kind === "prospective" && role.fallbackLeaderId !== null) {
    becomeFollower(state, role.fallbackLeaderId);
    return;
  }
  const waitMs = state.randomBelow(state.timing.electionBackoffMaxMs);
  role.untilMs = Math.min(role.untilMs, state.nowMs + waitMs);
}

/** The leader has resigned: nobody needs to wait until its silence is noticed. */
export function onLeaderResigned(
  state: RaftState,
  from: ReplicaKey,
  successors: EndQuorumEpoch["preferredSuccessors"],
): void {
  const { role, timing } = state;
  const isMine =
    (role.kind === "follower" && role.leaderId === from.nodeId) ||
    (role.kind === "prospective" && role.fallbackLeaderId === from.nodeId);
  if (!isMine) return;
  if (!state.isElectable) {
    becomeUnattached(state, 0);
    return;
  }
  const rank = successors.findIndex((replica) => isSameReplica(replica, state.self));
  if (rank === 0) {
    becomeProspective(state, null);
    return;
  }
  // Those whom it prefers go first.
  const stepMs = Math.floor(timing.electionBackoffMaxMs / state.voters.all.length);
  becomeUnattached(state, stepMs * Math.max(1, rank) + state.randomBelow(stepMs));
}

function ballot(state: RaftState) {
  const { self } = state;
  return {
    // Whose own removal is not committed yet needs the others' votes only.
    granted: new Map(state.isVoter ? [[replicaText(self), self]] : []),
    refused: new Set<string>(),
    untilMs: state.nowMs + electionTimeoutMs(state),
  };
}

function askForVotes(state: RaftState, isPreVote: boolean): void {
  const { epoch, log } = state;
  const { lastEpoch, endOffset } = log;
  state.sendToOtherVoters((voter) => ({
    kind: "vote",
    epoch,
    isPreVote,
    voter,
    lastEpoch,
    endOffset,
  }));
}

/** Who is asked may be gone, or not have heard of the new leader: an observer soon asks another one (R16). */
function leaderWaitMs(state: RaftState): number {
  if (state.isElectable) return electionTimeoutMs(state);
  return Math.ceil(state.timing.requestTimeoutMs / ASKS_PER_REQUEST_TIMEOUT);
}

/** Never the same for all, or they would split the vote again and again. */
function electionTimeoutMs(state: RaftState): number {
  const { electionTimeoutMs: timeoutMs } = state.timing;
  return timeoutMs + state.randomBelow(timeoutMs);
}
