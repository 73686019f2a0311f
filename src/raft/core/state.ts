import { assert } from "../../base/assert.ts";
import { type Random, randomBelow } from "../../base/random.ts";
import type { Effect, QuorumState } from "./events.ts";
import type { LogView } from "./log-view.ts";
import type { Message } from "./messages.ts";
import type { Role } from "./roles.ts";
import { isSameReplica, type ReplicaKey, type Voter, type VoterSet } from "./voters.ts";

/** Kafka's controller.quorum.* and what follows from them. */
export interface RaftTiming {
  readonly electionTimeoutMs: number;
  readonly electionBackoffMaxMs: number;
  readonly fetchTimeoutMs: number;
  /** How long a fetch at the end of the log waits for news. */
  readonly fetchMaxWaitMs: number;
  /** After that a fetch, or an announcement, is taken for lost and sent again. */
  readonly requestTimeoutMs: number;
  /** A leader whose disk has not synced for so long gives up (R13). */
  readonly diskStallTimeoutMs: number;
}

export const DEFAULT_TIMING: RaftTiming = {
  electionTimeoutMs: 1_000,
  electionBackoffMaxMs: 1_000,
  fetchTimeoutMs: 2_000,
  fetchMaxWaitMs: 500,
  requestTimeoutMs: 1_000,
  diskStallTimeoutMs: 3_000,
};

export interface RaftNodeOptions {
  readonly self: ReplicaKey;
  readonly timing: RaftTiming;
  readonly random: Random;
  readonly log: LogView;
  /** The voters that a batch's Voters record names; null: it has none. Pure. */
  readonly votersIn: (batch: Buffer) => readonly Voter[] | null;
  /** As it was read from the disk; null: this node never heard of an epoch. */
  readonly quorumState: QuorumState | null;
}

const NEVER_HEARD: QuorumState = { leaderEpoch: 0, leaderId: null, voted: null };

/** What the roles share: epoch, vote, log and what is to be done. */
export class RaftState {
  readonly self: ReplicaKey;
  readonly timing: RaftTiming;
  readonly log: LogView;
  readonly votersIn: RaftNodeOptions["votersIn"];
  role: Role = { kind: "unattached", electionAtMs: Infinity };
  nowMs = 0;
  readonly #random: Random;
  #epoch: number;
  #leaderId: number | null;
  #voted: ReplicaKey | null;
  /** Never falls (K9). */
  #highWatermark: number;
  #durable: QuorumState;
  #persisting: QuorumState | null = null;
  /**
   * What must not be said before the epoch and the vote are durable (K6, K7): the last of each kind to
   * each node, so that nothing piles up while the disk stalls.
   */
  readonly #held = new Map<string, Effect>();
  #effects: Effect[] = [];
  #told: { readonly leaderId: number | null; readonly leaderEpoch: number } | null = null;

  constructor({ self, timing, random, log, votersIn, quorumState }: RaftNodeOptions) {
    this.self = self;
    this.timing = timing;
    this.#random = random;
    this.log = log;
    this.votersIn = votersIn;
    // A snapshot holds nothing else than what is committed.
    this.#highWatermark = log.newestSnapshot.endOffset;
    this.#durable = quorumState ?? NEVER_HEARD;
    // A log without its quorum state: its epochs were led in.
    const isBehindLog = log.lastEpoch > this.#durable.leaderEpoch;
    this.#epoch = Math.max(this.#durable.leaderEpoch, log.lastEpoch);
    this.#leaderId = isBehindLog ? null : this.#durable.leaderId;
    this.#voted = isBehindLog ? null : this.#durable.voted;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Who leads, or has led, in the epoch, if known; never changes within it (K1). */
  get leaderId(): number | null {
    return this.#leaderId;
  }

  get voted(): ReplicaKey | null {
    return this.#voted;
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  /** Those of the last Voters record in the log, committed or not (KIP-853). */
  get voters(): VoterSet {
    return this.log.voters;
  }

  get isVoter(): boolean {
    return this.voters.has(this.self);
  }

  /**
   * Whether it stands for election: a voter, or one whose removal is in its log and not committed as far as
   * it knows. That one may have the longest log, so that nobody else could be elected (Raft, 4.2.2).
   */
  get isElectable(): boolean {
    const { log, self } = this;
    if (this.isVoter) return true;
    return log.votersEndOffset > this.#highWatermark && log.previousVoters?.has(self) === true;
  }

  /** Whom this node follows, or itself if it leads; not one that has resigned. */
  get currentLeaderId(): number | null {
    const { role } = this;
    switch (role.kind) {
      case "leader":
        return this.self.nodeId;
      case "follower":
        return role.leaderId;
      case "prospective":
        return role.fallbackLeaderId;
      default:
        return null;
    }
  }

  /** Whether what this node says in its epoch survives a power cut. */
  get isDurable(): boolean {
    const { leaderEpoch, voted } = this.#durable;
    if (leaderEpoch !== this.#epoch) return false;
    if (this.#voted === null || voted === null) return this.#voted === voted;
    return isSameReplica(this.#voted, voted);
  }

  enterEpoch(epoch: number): void {
    assert(epoch > this.#epoch, "epochs rise (K7)");
    this.#epoch = epoch;
    this.#leaderId = null;
    this.#voted = null;
  }

  vote(candidate: ReplicaKey): void {
    const isFirst = this.#voted === null || isSameReplica(this.#voted, candidate);
    assert(isFirst && this.#leaderId === null, "one vote in an epoch (K6)");
    this.#voted = candidate;
  }

  follow(leaderId: number): void {
    assert(this.#leaderId === null || this.#leaderId === leaderId, "one leader in an epoch (K1)");
    this.#leaderId = leaderId;
  }

  commit(highWatermark: number): void {
    if (highWatermark <= this.#highWatermark) return;
    assert(highWatermark <= this.log.endOffset, "what is committed is in the log");
    this.#highWatermark = highWatermark;
    this.do({ kind: "commit", highWatermark });
  }

  do(effect: Effect): void {
    this.#effects.push(effect);
  }

  send(to: number, message: Message): void {
    const effect: Effect = { kind: "send", to, message };
    if (this.isDurable) this.do(effect);
    else this.#held.set(`${to} ${message.kind}`, effect);
  }

  sendToOtherVoters(messageTo: (voter: ReplicaKey) => Message): void {
    for (const voter of this.voters.others(this.self)) this.send(voter.nodeId, messageTo(voter));
  }

  /** The write that was asked for is durable. */
  persisted(): void {
    assert(this.#persisting !== null, "something was being written");
    this.#durable = this.#persisting;
    this.#persisting = null;
    // What was promised in an epoch that has gone by meanwhile stays promised: no vote is given twice.
    if (!this.isDurable) return;
    for (const effect of this.#held.values()) this.do(effect);
    this.#held.clear();
  }

  randomBelow(boundMs: number): number {
    return randomBelow(this.#random, Math.max(1, boundMs));
  }

  /** What is to be done after the step. */
  takeEffects(): readonly Effect[] {
    this.#persistChange();
    this.#tellChange();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #persistChange(): void {
    if (this.#persisting !== null) return;
    if (this.isDurable && this.#durable.leaderId === this.#leaderId) return;
    this.#persisting = {
      leaderEpoch: this.#epoch,
      leaderId: this.#leaderId,
      voted: this.#voted,
    };
    this.do({ kind: "persist", state: this.#persisting });
  }

  #tellChange(): void {
    const leaderId = this.currentLeaderId;
    const leaderEpoch = this.#epoch;
    if (this.#told?.leaderEpoch === leaderEpoch && this.#told.leaderId === leaderId) return;
    this.#told = { leaderId, leaderEpoch };
    this.do({ kind: "leaderChange", leaderId, leaderEpoch });
  }
}
