import type { Follower } from "./replication-ports.ts";

/** A member of an ISR that a leader asks for, in the incarnation that it has heard (KIP-903). */
export type IsrMember = Follower;

/** What the controller has committed about a partition's replicas, as their leader needs it. */
export interface CommittedReplicas {
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

/** Where the leader's log stands. */
export interface LeaderMarks {
  readonly highWatermark: number;
  readonly logEndOffset: number;
  /** Where the log ended when the leader epoch began. */
  readonly leaderEpochStartOffset: number;
}

/** What the metadata know of the incarnations of brokers. */
export interface BrokerIncarnations {
  /** Of the incarnation that is registered; null: none is. */
  brokerEpoch(brokerId: number): number | null;
  /** Whether it may be in an ISR: neither fenced nor about to stop. */
  isActive(brokerId: number): boolean;
}

/** An ISR that differs from the committed one, to be compared and set on the epochs. */
export interface IsrProposal {
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly members: readonly IsrMember[];
}

const NOBODY: readonly number[] = [];

interface FollowerState {
  readonly brokerEpoch: number;
  isConnected: boolean;
  safeOffset: number;
  /** When it last had all that the leader had. */
  caughtUpMs: number;
  /** Whoever has this offset had, at this time, all that the leader had. */
  markOffset: number;
  markMs: number;
}

/**
 * What the leader of a partition knows of its followers, and which of them are in sync. Pure: positions, decisions and the time
 * go in; who counts for the high watermark, and the ISR that should be asked for, come out.
 */
export class IsrState {
  readonly #nodeId: number;
  readonly #followers = new Map<number, FollowerState>();
  #committed: CommittedReplicas;
  /** Members of all ISRs that were asked for under the committed partition epoch, and may be decided yet. */
  readonly #pending = new Set<number>();
  #isAsking = false;
  /** Of a question it is not known whether it will still be decided. */
  #isUnsure = false;
  /** When the leader epoch began here: members of the ISR were in sync then, whether they were heard of or not. */
  #epochBeganMs: number;

  constructor(nodeId: number, committed: CommittedReplicas, nowMs: number) {
    this.#nodeId = nodeId;
    this.#committed = committed;
    this.#epochBeganMs = nowMs;
  }

  get committed(): CommittedReplicas {
    return this.#committed;
  }

  /** Whether an ISR was asked for, and there is no answer yet. */
  get isAsking(): boolean {
    return this.#isAsking;
  }

  /** The controller's next decision that leaves this replica the leader. */
  update(committed: CommittedReplicas, nowMs: number): void {
    const { leaderEpoch, partitionEpoch } = this.#committed;
    this.#committed = committed;
    if (committed.leaderEpoch > leaderEpoch) {
      // Positions of an older epoch count for nothing.
      this.#followers.clear();
      this.#epochBeganMs = nowMs;
    }
    if (committed.partitionEpoch <= partitionEpoch) return;
    // Whatever was asked for on the epoch before is decided, or never will be.
    this.#pending.clear();
    this.#isAsking = false;
    this.#isUnsure = false;
  }

  /** A session begins: this incarnation's log fits. Voids what its older one had. */
  connect({ brokerId, brokerEpoch }: Follower, marks: LeaderMarks, nowMs: number): void {
    const before = this.#followers.get(brokerId);
    const isSame = before?.brokerEpoch === brokerEpoch;
    this.#followers.set(brokerId, {
      ...{ brokerEpoch, isConnected: true, safeOffset: -1 },
      caughtUpMs: isSame ? before.caughtUpMs : -Infinity,
      ...{ markOffset: marks.logEndOffset, markMs: nowMs },
    });
  }

  /** The session is over; what its log has, it still has. */
  disconnect(
    { brokerId, brokerEpoch }: Follower,
    { logEndOffset }: LeaderMarks,
    nowMs: number,
  ): void {
    const follower = this.#followers.get(brokerId);
    if (follower?.brokerEpoch !== brokerEpoch) return;
    if (follower.isConnected && follower.safeOffset >= logEndOffset) follower.caughtUpMs = nowMs;
    follower.isConnected = false;
  }

  /** How far the follower's log has come. Neither offset falls within a session. */
  progress(
    { brokerId, brokerEpoch }: Follower,
    {
      receivedOffset,
      safeOffset,
    }: { readonly receivedOffset: number; readonly safeOffset: number },
    { logEndOffset }: LeaderMarks,
    nowMs: number,
  ): void {
    const follower = this.#followers.get(brokerId);
    if (follower?.brokerEpoch !== brokerEpoch || !follower.isConnected) return;
    follower.safeOffset = Math.max(follower.safeOffset, Math.min(safeOffset, receivedOffset));
    // By what counts for the high watermark: a member that receives all and makes nothing safe would hold it for ever.
    if (follower.safeOffset >= logEndOffset) follower.caughtUpMs = nowMs;
    else if (follower.safeOffset >= follower.markOffset) follower.caughtUpMs = follower.markMs;
    else return;
    follower.markOffset = logEndOffset;
    follower.markMs = nowMs;
  }

  /** The leader's log grows, from this end on: whoever had all falls behind from now on. */
  willAppend(logEndOffset: number, nowMs: number): void {
    for (const follower of this.#followers.values()) {
      if (!follower.isConnected || follower.safeOffset < logEndOffset) continue;
      follower.caughtUpMs = nowMs;
      follower.markOffset = logEndOffset;
      follower.markMs = nowMs;
    }
  }

  /** The safe positions of all followers in ISR and pending ISR; -1: of one nothing is known. */
  safePositions(): readonly number[] {
    if (this.#committed.isr.length <= 1 && this.#pending.size === 0) return NOBODY;
    const members = new Set([...this.#committed.isr, ...this.#pending]);
    members.delete(this.#nodeId);
    return [...members].map((brokerId) => this.#followers.get(brokerId)?.safeOffset ?? -1);
  }

  /**
   * The ISR that there should be, where that is another than the committed one. It counts as pending from now on; `settle` is to
   * be told what became of it. null: there is nothing to ask, or a question is under way.
   */
  propose(
    marks: LeaderMarks,
    timing: { readonly nowMs: number; readonly lagMaxMs: number },
    brokers: BrokerIncarnations,
  ): IsrProposal | null {
    if (this.#isAsking) return null;
    const { isr, replicas, leaderEpoch, partitionEpoch } = this.#committed;
    const stay = isr.filter((id) => id === this.#nodeId || !this.#lags(id, marks, timing));
    const enter = replicas.filter((id) => !isr.includes(id) && this.#mayEnter(id, marks, brokers));
    if (stay.length === isr.length && enter.length === 0) return null;
    const members = [...stay, ...enter].flatMap((brokerId) => {
      const brokerEpoch =
        this.#followers.get(brokerId)?.brokerEpoch ?? brokers.brokerEpoch(brokerId);
      return brokerEpoch === null ? [] : [{ brokerId, brokerEpoch }];
    });
    this.#isAsking = true;
    for (const { brokerId } of members) this.#pending.add(brokerId);
    return { leaderEpoch, partitionEpoch, members };
  }

  /**
   * What became of a question: decided otherwise, or never to be decided ("refused"); or nobody knows ("unknown"), or it was decided,
   * or something newer was: the metadata are about to say so ("told"). Then its members stay pending until they do.
   */
  settle(proposal: IsrProposal, outcome: "refused" | "unknown" | "told"): void {
    if (proposal.partitionEpoch !== this.#committed.partitionEpoch) return;
    if (proposal.leaderEpoch !== this.#committed.leaderEpoch || outcome === "told") return;
    this.#isAsking = false;
    if (outcome === "unknown") this.#isUnsure = true;
    // An older question may still be on its way.
    else if (!this.#isUnsure) this.#pending.clear();
  }

  #lags(
    brokerId: number,
    { logEndOffset }: LeaderMarks,
    { nowMs, lagMaxMs }: { readonly nowMs: number; readonly lagMaxMs: number },
  ): boolean {
    const follower = this.#followers.get(brokerId);
    if (follower?.isConnected === true && follower.safeOffset >= logEndOffset) return false;
    const caughtUpMs = Math.max(follower?.caughtUpMs ?? -Infinity, this.#epochBeganMs);
    return nowMs - caughtUpMs > lagMaxMs;
  }

  /** It has all that is committed, and all that the leader had when its epoch began, as an incarnation that is known. */
  #mayEnter(brokerId: number, marks: LeaderMarks, brokers: BrokerIncarnations): boolean {
    const follower = this.#followers.get(brokerId);
    if (follower?.isConnected !== true) return false;
    const { highWatermark, leaderEpochStartOffset } = marks;
    if (follower.safeOffset < Math.max(highWatermark, leaderEpochStartOffset)) return false;
    return brokers.brokerEpoch(brokerId) === follower.brokerEpoch && brokers.isActive(brokerId);
  }
}
