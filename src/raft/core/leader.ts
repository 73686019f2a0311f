import { assert, must } from "../../base/assert.ts";
import type { FetchRequest, SnapshotRequest } from "./messages.ts";
import type { Leader, Progress } from "./roles.ts";
import type { RaftState } from "./state.ts";
import {
  isSameReplica,
  type ReplicaKey,
  replicaText,
  type VoterChange,
  type VoterChangeRefusal,
  type VoterSet,
} from "./voters.ts";

/** More replicas than any cluster has: beyond it, observers are not remembered. */
const MAX_REPLICAS = 1_000;
/** An observer that has not fetched for so long is forgotten; Kafka's time. */
const OBSERVER_SESSION_MS = 300_000;

/** A leader without a majority's fetches for so long resigns (K15); Kafka's factor. */
const CHECK_QUORUM_FACTOR = 1.5;

/** LeaderChange; and, in the first batch of all, KRaftVersion and Voters. */
const EPOCH_START_RECORDS = 1;
const FIRST_EPOCH_START_RECORDS = 3;
const VOTERS_RECORDS = 1;

export function becomeLeader(state: RaftState, grantingVoters: readonly ReplicaKey[]): void {
  state.follow(state.self.nodeId);
  const replicas = new Map<string, Progress>();
  for (const key of state.voters.others(state.self)) {
    replicas.set(replicaText(key), newProgress(state, key));
  }
  const role: Leader = {
    kind: "leader",
    grantingVoters,
    epochStartOffset: null,
    sinceMs: state.nowMs,
    replicas,
    announceAtMs: state.nowMs,
    unflushedSinceMs: null,
  };
  state.role = role;
  announce(state, role);
  maybeBeginEpoch(state, role);
}

/** Nothing is appended in an epoch that a power cut could bring back to be led in again (K7). */
export function maybeBeginEpoch(state: RaftState, role: Leader): void {
  if (role.epochStartOffset !== null || !state.isDurable) return;
  const { epoch, log, voters } = state;
  const baseOffset = log.endOffset;
  const isFirst = baseOffset === 0;
  const recordCount = isFirst ? FIRST_EPOCH_START_RECORDS : EPOCH_START_RECORDS;
  role.epochStartOffset = baseOffset;
  append(state, role, recordCount, isFirst ? voters : null);
  state.do({
    kind: "appendEpochStart",
    epochStart: {
      baseOffset,
      leaderEpoch: epoch,
      recordCount,
      isFirst,
      voters: voters.all,
      grantingVoters: role.grantingVoters,
    },
  });
  answerParked(state, role);
}

export function onPropose(
  state: RaftState,
  role: Leader,
  proposal: { readonly recordCount: number; readonly bytes: Buffer },
): void {
  must(role.epochStartOffset, "an epoch begins with its own first record (K8)");
  const baseOffset = state.log.endOffset;
  const endOffset = baseOffset + proposal.recordCount;
  append(state, role, proposal.recordCount);
  const { epoch: leaderEpoch } = state;
  const { bytes } = proposal;
  state.do({ kind: "append", batch: { baseOffset, endOffset, leaderEpoch, bytes } });
  answerParked(state, role);
}

/** Why the change is not to be proposed now (K13); null: it may be. */
export function voterChangeRefusal(
  state: RaftState,
  role: Leader,
  change: VoterChange,
  nowMs: number,
): VoterChangeRefusal | null {
  const { highWatermark, log, voters } = state;
  if (highWatermark <= (role.epochStartOffset ?? Infinity)) return "epochNotCommitted";
  if (highWatermark < log.votersEndOffset) return "changeNotCommitted";
  if (change.kind === "remove") {
    if (!voters.has(change.voter)) return "voterNotFound";
    return voters.isOnly(change.voter) ? "lastVoter" : null;
  }
  const { nodeId } = change.voter;
  if (voters.all.some((voter) => voter.nodeId === nodeId)) return "duplicateVoter";
  const caughtUpAtMs = role.replicas.get(replicaText(change.voter))?.caughtUpAtMs ?? -Infinity;
  return nowMs - caughtUpAtMs > state.timing.fetchTimeoutMs ? "notCaughtUp" : null;
}

/** In force as soon as it is appended, here and wherever it is fetched; a cut takes it back (KIP-853). */
export function onProposeVoters(state: RaftState, role: Leader, change: VoterChange): void {
  const refusal = voterChangeRefusal(state, role, change, state.nowMs);
  assert(refusal === null, "one change of the voters at a time (K13)", () => refusal);
  const voters = state.voters.after(change);
  const { epoch: leaderEpoch } = state;
  const { endOffset: baseOffset } = state.log;
  append(state, role, VOTERS_RECORDS, voters);
  state.do({ kind: "appendVoters", append: { baseOffset, leaderEpoch, voters: voters.all } });
  answerParked(state, role);
  announce(state, role);
}

function append(
  state: RaftState,
  role: Leader,
  recordCount: number,
  voters: VoterSet | null = null,
): void {
  state.log.append(state.epoch, state.log.endOffset + recordCount, voters);
  role.unflushedSinceMs ??= state.nowMs;
}

/** Its own disk has synced more: only now does it count itself (K9). */
export function onLeaderFlushed(state: RaftState, role: Leader): void {
  role.unflushedSinceMs = state.log.isFlushed ? null : state.nowMs;
  maybeAdvanceHighWatermark(state, role);
}

/** A follower's position, which it has synced up to; and what it is to get. */
export function onFetch(
  state: RaftState,
  role: Leader,
  from: ReplicaKey,
  request: FetchRequest,
): void {
  const progress = progressOf(state, role, from);
  if (progress !== null) noteFetch(state, progress, request.fetchOffset);
  const { fetchOffset, lastFetchedEpoch } = request;
  if (isBeforeStart(state, request)) {
    const outcome = { kind: "snapshot", id: state.log.newestSnapshot } as const;
    state.send(from.nodeId, { kind: "fetchAnswer", ...positionOf(state, request), outcome });
    return;
  }
  const shared = state.log.endOffsetFor(lastFetchedEpoch);
  if (shared.epoch !== lastFetchedEpoch || shared.endOffset < fetchOffset) {
    const outcome = { kind: "diverging", ...shared } as const;
    state.send(from.nodeId, { kind: "fetchAnswer", ...positionOf(state, request), outcome });
    return;
  }
  if (progress !== null && fetchOffset > progress.endOffset) {
    progress.endOffset = fetchOffset;
    maybeAdvanceHighWatermark(state, role);
    // Its own removal is committed, and everybody was told.
    if (state.role !== role) return;
  }
  const hasNews = fetchOffset < state.log.endOffset || request.highWatermark < state.highWatermark;
  if (hasNews || progress === null) answer(state, from, request);
  else progress.parked = { request, untilMs: state.nowMs + state.timing.fetchMaxWaitMs };
}

/** Observers are remembered too, but count for nothing (K14). */
function progressOf(state: RaftState, role: Leader, key: ReplicaKey): Progress | null {
  const known = role.replicas.get(replicaText(key));
  if (known !== undefined) return known;
  if (role.replicas.size >= MAX_REPLICAS) return null;
  const progress = newProgress(state, key);
  role.replicas.set(replicaText(key), progress);
  return progress;
}

function newProgress({ nowMs }: RaftState, key: ReplicaKey): Progress {
  const never = { leaderEndOffset: Infinity, caughtUpAtMs: -Infinity };
  return { key, endOffset: 0, fetchedAtMs: nowMs, ...never, parked: null };
}

/** Caught up is who has now all that there was when it fetched before, as for an ISR. */
function noteFetch({ nowMs, log }: RaftState, progress: Progress, fetchOffset: number): void {
  if (fetchOffset >= log.endOffset) progress.caughtUpAtMs = nowMs;
  else if (fetchOffset >= progress.leaderEndOffset) progress.caughtUpAtMs = progress.fetchedAtMs;
  progress.leaderEndOffset = log.endOffset;
  progress.fetchedAtMs = nowMs;
  progress.parked = null;
}

/** What a common prefix would have to be found in is in the log no longer (KIP-630). */
function isBeforeStart({ log }: RaftState, { fetchOffset, lastFetchedEpoch }: FetchRequest) {
  const { endOffset, epoch } = log.start;
  if (fetchOffset < endOffset || lastFetchedEpoch < epoch) return true;
  return fetchOffset === endOffset && lastFetchedEpoch !== epoch;
}

/** It loads a snapshot, and is alive. */
export function onFetchSnapshot(
  state: RaftState,
  role: Leader,
  from: ReplicaKey,
  { id, position }: SnapshotRequest,
): void {
  const progress = progressOf(state, role, from);
  if (progress !== null) {
    progress.fetchedAtMs = state.nowMs;
    progress.parked = null;
  }
  const { epoch, log } = state;
  if (id.endOffset > log.newestSnapshot.endOffset) {
    // Another leader's, newer than all of this node's.
    state.send(from.nodeId, { kind: "snapshotGone", epoch, id });
  } else {
    state.do({ kind: "sendSnapshotChunk", to: from.nodeId, position: { epoch, id, position } });
  }
}

/** Up to where a majority of voters has synced, once that is a record of this epoch (K8, K9). */
function maybeAdvanceHighWatermark(state: RaftState, role: Leader): void {
  const { self, log, voters } = state;
  const endOffset = voters.reachedByMajority((voter) =>
    isSameReplica(voter, self)
      ? log.flushedEndOffset
      : must(role.replicas.get(replicaText(voter)), "a leader knows its voters").endOffset,
  );
  if (role.epochStartOffset === null || endOffset <= role.epochStartOffset) return;
  if (endOffset <= state.highWatermark) return;
  state.commit(endOffset);
  // It led on to have its own removal committed, without counting itself.
  if (!state.isVoter && endOffset >= log.votersEndOffset) resign(state, role);
  else answerParked(state, role);
}

function answerParked(state: RaftState, role: Leader): void {
  for (const progress of role.replicas.values()) {
    if (progress.parked === null) continue;
    const { request } = progress.parked;
    progress.parked = null;
    answer(state, progress.key, request);
  }
}

function answer(state: RaftState, to: ReplicaKey, request: FetchRequest): void {
  const position = positionOf(state, request);
  state.do({ kind: "sendRecords", to: to.nodeId, position });
}

function positionOf({ epoch, highWatermark }: RaftState, request: FetchRequest) {
  const { fetchOffset, lastFetchedEpoch } = request;
  return { epoch, fetchOffset, lastFetchedEpoch, highWatermark };
}

/** Says who leads to voters that do not fetch: they may not know it. */
function announce(state: RaftState, role: Leader): void {
  const { requestTimeoutMs } = state.timing;
  role.announceAtMs = state.voters.isOnly(state.self) ? Infinity : state.nowMs + requestTimeoutMs;
  for (const { key, fetchedAtMs } of role.replicas.values()) {
    const isSilent = fetchedAtMs === role.sinceMs || state.nowMs - fetchedAtMs >= requestTimeoutMs;
    if (!isSilent || !state.voters.has(key)) continue;
    state.send(key.nodeId, { kind: "beginQuorumEpoch", epoch: state.epoch });
  }
}

function forgetObservers(state: RaftState, role: Leader): void {
  for (const [name, { key, fetchedAtMs }] of role.replicas) {
    if (state.nowMs - fetchedAtMs < OBSERVER_SESSION_MS || state.voters.has(key)) continue;
    role.replicas.delete(name);
  }
}

/** When the majority's silence, or its own disk's, will have lasted too long. */
function giveUpAtMs(state: RaftState, role: Leader): number {
  const { self, timing, voters } = state;
  if (voters.isOnly(self)) return Infinity;
  const heardAtMs = voters.reachedByMajority((voter) =>
    isSameReplica(voter, self)
      ? state.nowMs
      : must(role.replicas.get(replicaText(voter)), "a leader knows its voters").fetchedAtMs,
  );
  const stalledAtMs = (role.unflushedSinceMs ?? Infinity) + timing.diskStallTimeoutMs;
  return Math.min(heardAtMs + CHECK_QUORUM_FACTOR * timing.fetchTimeoutMs, stalledAtMs);
}

export function leaderDeadlineMs(state: RaftState, role: Leader): number {
  let deadlineMs = Math.min(giveUpAtMs(state, role), role.announceAtMs);
  for (const { parked } of role.replicas.values()) {
    if (parked !== null) deadlineMs = Math.min(deadlineMs, parked.untilMs);
  }
  return deadlineMs;
}

export function onLeaderTick(state: RaftState, role: Leader): void {
  if (state.nowMs >= giveUpAtMs(state, role)) {
    resign(state, role);
    return;
  }
  if (state.nowMs >= role.announceAtMs) {
    announce(state, role);
    forgetObservers(state, role);
  }
  for (const progress of role.replicas.values()) {
    if (progress.parked === null || state.nowMs < progress.parked.untilMs) continue;
    const { request } = progress.parked;
    progress.parked = null;
    answer(state, progress.key, request);
  }
}

/** Leads no longer, and says so: those with the longest log are to stand for election first. */
export function resign(state: RaftState, role: Leader): void {
  const { electionTimeoutMs } = state.timing;
  const voters = [...role.replicas.values()].filter(({ key }) => state.voters.has(key));
  const preferredSuccessors = voters
    .sort((a, b) => b.endOffset - a.endOffset)
    .map(({ key }) => key);
  const { epoch } = state;
  state.sendToOtherVoters(() => ({ kind: "endQuorumEpoch", epoch, preferredSuccessors }));
  refuseParked(state, role);
  const untilMs = state.nowMs + electionTimeoutMs + state.randomBelow(electionTimeoutMs);
  state.role = { kind: "resigned", untilMs };
}

/** Whoever waits for news of a leader that is none any more need not wait on. */
export function refuseParked(state: RaftState, role: Leader): void {
  const { epoch } = state;
  for (const { key, parked } of role.replicas.values()) {
    if (parked === null) continue;
    state.send(key.nodeId, { kind: "refusal", epoch, leaderId: null });
  }
}
