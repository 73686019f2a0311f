import { assert } from "../../base/assert.ts";
import {
  becomeProspective,
  becomeUnattached,
  onElectionTick,
  onLeaderGone,
  onLeaderResigned,
  onVoteAnswer,
  onVoteRequest,
  onVoterGone,
} from "./election.ts";
import type { Effect, RaftEvent, SnapshotEvent } from "./events.ts";
import {
  becomeFollower,
  followerDeadlineMs,
  isLeaderLost,
  onFetchAnswer,
  onFollowerFlushed,
  onFollowerTick,
  sendFetch,
} from "./follower.ts";
import {
  leaderDeadlineMs,
  maybeBeginEpoch,
  onFetch,
  onFetchSnapshot,
  onLeaderFlushed,
  onLeaderTick,
  onPropose,
  onProposeVoters,
  refuseParked,
  resign,
  voterChangeRefusal,
} from "./leader.ts";
import type {
  FetchAnswer,
  FetchRequest,
  Message,
  SnapshotChunk,
  SnapshotGone,
  SnapshotId,
  SnapshotRequest,
} from "./messages.ts";
import type { Progress, Role } from "./roles.ts";
import {
  onLogStart,
  onSnapshotChunk,
  onSnapshotFetched,
  onSnapshotLost,
  onSnapshotTaken,
  snapshotIdAt,
} from "./snapshots.ts";
import { type RaftNodeOptions, RaftState } from "./state.ts";
import type { ReplicaKey, VoterChange, VoterChangeRefusal, VoterSet } from "./voters.ts";

/**
 * One replica of the quorum, as a pure function of what happens to it: no I/O, no timers, no promises.
 * `step` says what is to be done, and the driver does it (docs/decisions/0008).
 */
export class RaftNode {
  readonly #state: RaftState;

  constructor(options: RaftNodeOptions) {
    this.#state = new RaftState(options);
  }

  get role(): Role["kind"] {
    return this.#state.role.kind;
  }

  get epoch(): number {
    return this.#state.epoch;
  }

  get leaderId(): number | null {
    return this.#state.currentLeaderId;
  }

  get voted(): ReplicaKey | null {
    return this.#state.voted;
  }

  get highWatermark(): number {
    return this.#state.highWatermark;
  }

  get endOffset(): number {
    return this.#state.log.endOffset;
  }

  get flushedEndOffset(): number {
    return this.#state.log.flushedEndOffset;
  }

  /** The epoch that this node leads and may propose in; null: it may not. */
  get leadingEpoch(): number | null {
    const { role, epoch } = this.#state;
    return role.kind === "leader" && role.epochStartOffset !== null ? epoch : null;
  }

  /** Those of the last Voters record in the log, committed or not (KIP-853). */
  get voters(): VoterSet {
    return this.#state.voters;
  }

  /** The voters as of all below the offset, which is not below the log's start: part of a snapshot there. */
  votersAt(endOffset: number): VoterSet {
    return this.#state.log.votersAt(endOffset);
  }

  /**
   * How a snapshot of all below the offset is named; null: it may not be taken, as it would hold what is
   * not committed, or is older than the newest.
   */
  snapshotIdAt(endOffset: number): SnapshotId | null {
    return snapshotIdAt(this.#state, endOffset);
  }

  /** Why a change of the voters may not be proposed now (K13); null: it may. */
  voterChangeRefusal(change: VoterChange, nowMs: number): VoterChangeRefusal | null {
    const { role } = this.#state;
    if (role.kind !== "leader") return "notLeader";
    return voterChangeRefusal(this.#state, role, change, nowMs);
  }

  /** What a leader knows of the other replicas; nothing when this node does not lead. */
  get replicas(): readonly Readonly<Progress>[] {
    const { role } = this.#state;
    return role.kind === "leader" ? [...role.replicas.values()] : [];
  }

  /** When a `tick` is due; Infinity: not at all. To be asked anew after each step. */
  get deadlineMs(): number {
    const state = this.#state;
    const { role } = state;
    switch (role.kind) {
      case "unattached":
        return role.electionAtMs;
      case "prospective":
      case "candidate":
      case "resigned":
        return role.untilMs;
      case "follower":
        return followerDeadlineMs(state, role);
      case "leader":
        return leaderDeadlineMs(state, role);
    }
  }

  step(event: RaftEvent, nowMs: number): readonly Effect[] {
    const state = this.#state;
    assert(nowMs >= state.nowMs, "time goes on");
    state.nowMs = nowMs;
    this.#on(event);
    return state.takeEffects();
  }

  #on(event: RaftEvent): void {
    const state = this.#state;
    switch (event.kind) {
      case "start":
        this.#start();
        break;
      case "tick":
        this.#tick();
        break;
      case "message":
        this.#onMessage(event.from, event.message);
        break;
      case "persisted":
        state.persisted();
        if (state.role.kind === "leader") maybeBeginEpoch(state, state.role);
        break;
      case "flushed":
        this.#onFlushed(event.endOffset);
        break;
      case "propose":
        assert(state.role.kind === "leader", "only a leader proposes");
        onPropose(state, state.role, event);
        break;
      case "proposeVoters":
        assert(state.role.kind === "leader", "only a leader proposes");
        onProposeVoters(state, state.role, event.change);
        break;
      case "resign":
        if (state.role.kind === "leader") resign(state, state.role);
        break;
      case "unreachable":
        this.#onUnreachable(event.nodeId);
        break;
      default:
        this.#onSnapshotEvent(event);
    }
  }

  #onSnapshotEvent(event: SnapshotEvent): void {
    const state = this.#state;
    switch (event.kind) {
      case "snapshotTaken":
        onSnapshotTaken(state, event.id);
        break;
      case "logStart":
        onLogStart(state, event.id);
        break;
      default:
        // A leader never loads one (K12), whatever it began before it was elected.
        if (state.role.kind === "follower") onSnapshotFetched(state, state.role, event);
    }
  }

  /** In an epoch that it led in before, a node is anything but its leader (K7). */
  #start(): void {
    const state = this.#state;
    const { leaderId } = state;
    if (state.voters.isOnly(state.self)) becomeProspective(state, null);
    else if (leaderId !== null && leaderId !== state.self.nodeId) becomeFollower(state, leaderId);
    else if (state.isElectable) becomeUnattached(state);
    else becomeUnattached(state, 0);
  }

  #tick(): void {
    const state = this.#state;
    const { role } = state;
    switch (role.kind) {
      case "unattached":
        if (state.nowMs >= role.electionAtMs) this.#lookForLeader();
        break;
      case "resigned":
        if (state.nowMs >= role.untilMs) this.#lookForLeader();
        break;
      case "prospective":
      case "candidate":
        onElectionTick(state, role);
        break;
      case "follower":
        if (isLeaderLost(state, role)) this.#leaveLeader(role.leaderId);
        else onFollowerTick(state, role);
        break;
      case "leader":
        onLeaderTick(state, role);
        break;
    }
  }

  /** A voter stands for election, an observer asks around. */
  #lookForLeader(): void {
    const state = this.#state;
    if (state.isElectable) {
      becomeProspective(state, null);
      return;
    }
    const { all } = state.voters;
    const voter = all[state.randomBelow(all.length)];
    // A fetch is a promise, an observer's too.
    if (voter !== undefined && state.log.isFlushed) sendFetch(state, voter.nodeId);
    becomeUnattached(state);
  }

  #leaveLeader(leaderId: number): void {
    if (this.#state.isElectable) becomeProspective(this.#state, leaderId);
    else becomeUnattached(this.#state, 0);
  }

  #onFlushed(endOffset: number): void {
    const state = this.#state;
    const { role } = state;
    const { log } = state;
    log.flushed(endOffset);
    // A snapshot that was loaded is the log's start now, and holds nothing else than what is committed.
    if (log.flushedEndOffset >= log.start.endOffset) state.commit(log.start.endOffset);
    if (role.kind === "leader") onLeaderFlushed(state, role);
    if (role.kind === "follower") onFollowerFlushed(state, role);
  }

  #onUnreachable(nodeId: number): void {
    const { role } = this.#state;
    if (role.kind === "follower" && role.leaderId === nodeId) onLeaderGone(this.#state);
    if (role.kind === "prospective" || role.kind === "candidate") {
      onVoterGone(this.#state, role, nodeId);
    }
  }

  #onMessage(from: ReplicaKey, message: Message): void {
    const state = this.#state;
    if (message.epoch > state.epoch) this.#enterEpoch(message.epoch);
    this.#learnLeader(from, message);
    switch (message.kind) {
      case "vote":
        onVoteRequest(state, from, message);
        break;
      case "voteAnswer":
        onVoteAnswer(state, from, message);
        break;
      case "beginQuorumEpoch":
        this.#onBeginQuorumEpoch(from, message.epoch);
        break;
      case "endQuorumEpoch":
        if (message.epoch === state.epoch) {
          onLeaderResigned(state, from, message.preferredSuccessors);
        }
        break;
      case "refusal":
        // From the leader itself: it is none any more.
        if (message.epoch === state.epoch && message.leaderId === null) {
          onLeaderResigned(state, from, []);
        }
        break;
      case "fetch":
      case "fetchSnapshot":
        this.#onRequest(from, message);
        break;
      default:
        this.#onAnswer(from, message);
    }
  }

  #enterEpoch(epoch: number): void {
    const state = this.#state;
    const { role } = state;
    state.enterEpoch(epoch);
    becomeUnattached(state);
    if (role.kind === "leader") refuseParked(state, role);
  }

  /** Any message may say who leads in this node's epoch. */
  #learnLeader(from: ReplicaKey, message: Message): void {
    const state = this.#state;
    if (message.epoch !== state.epoch) return;
    // A voter that has left its leader goes on to an election; an observer may come back to it.
    const isLooking = !state.isElectable && state.role.kind === "unattached";
    if (state.leaderId !== null && !isLooking) return;
    const leaderId = leaderNamedIn(from, message);
    if (leaderId === null || leaderId === state.self.nodeId) return;
    becomeFollower(state, leaderId);
  }

  #onBeginQuorumEpoch(from: ReplicaKey, epoch: number): void {
    const state = this.#state;
    if (epoch < state.epoch) {
      this.#refuse(from);
    } else if (state.role.kind === "prospective" && state.leaderId === from.nodeId) {
      becomeFollower(state, from.nodeId);
    }
  }

  #onRequest(from: ReplicaKey, request: FetchRequest | SnapshotRequest): void {
    const state = this.#state;
    const { role } = state;
    const isLeading = role.kind === "leader" && role.epochStartOffset !== null;
    if (!isLeading || request.epoch !== state.epoch) this.#refuse(from);
    else if (request.kind === "fetch") onFetch(state, role, from, request);
    else onFetchSnapshot(state, role, from, request);
  }

  #onAnswer(from: ReplicaKey, answer: FetchAnswer | SnapshotChunk | SnapshotGone): void {
    const state = this.#state;
    const { role } = state;
    if (answer.epoch !== state.epoch || role.kind !== "follower") return;
    if (role.leaderId !== from.nodeId) return;
    switch (answer.kind) {
      case "fetchAnswer":
        onFetchAnswer(state, role, answer);
        break;
      case "snapshotChunk":
        onSnapshotChunk(state, role, answer);
        break;
      case "snapshotGone":
        onSnapshotLost(state, role, answer.id);
        break;
    }
  }

  #refuse(to: ReplicaKey): void {
    const { epoch, currentLeaderId: leaderId } = this.#state;
    this.#state.send(to.nodeId, { kind: "refusal", epoch, leaderId });
  }
}

function leaderNamedIn(from: ReplicaKey, message: Message): number | null {
  switch (message.kind) {
    case "beginQuorumEpoch":
    case "fetchAnswer":
    case "snapshotChunk":
    case "snapshotGone":
      return from.nodeId;
    case "voteAnswer":
    case "refusal":
      return message.leaderId;
    default:
      return null;
  }
}
