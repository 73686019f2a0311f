import type { BrokerEndPoint } from "../metadata/image-queries.ts";

/** Who leads the partition, and where clients of the listener reach it; null: nobody does. */
export type LeaderLookup = (
  partition: { readonly topic: string; readonly partitionIndex: number },
  listenerName: string,
) => { readonly leaderEpoch: number; readonly endPoint: BrokerEndPoint } | null;

/** Tells a client that came to the wrong node who leads instead, so that it need not ask (KIP-951). */
export class LeaderHints {
  readonly #leaderOf: LeaderLookup;
  readonly #listenerName: string;
  readonly #endPoints = new Map<number, BrokerEndPoint>();

  constructor(leaderOf: LeaderLookup, listenerName: string) {
    this.#leaderOf = leaderOf;
    this.#listenerName = listenerName;
  }

  /** Notes the leader in the answer, if there is one. */
  fillIn(
    answer: { currentLeader?: { leaderId: number; leaderEpoch: number } | undefined },
    partition: { readonly topic: string; readonly partitionIndex: number },
  ): void {
    const leader = this.#leaderOf(partition, this.#listenerName);
    if (leader === null) return;
    const { leaderEpoch, endPoint } = leader;
    answer.currentLeader = { leaderId: endPoint.nodeId, leaderEpoch };
    this.#endPoints.set(endPoint.nodeId, endPoint);
  }

  /** Where clients reach those that were named. */
  get nodeEndpoints(): BrokerEndPoint[] {
    return [...this.#endPoints.values()];
  }
}
