import { assert, must } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";

/** A member of the quorum, or an observer: an id alone could be a node that has lost its disk (R14, KIP-853). */
export interface ReplicaKey {
  readonly nodeId: number;
  readonly directoryId: Uuid;
}

/** Where a voter listens for the others, by the listener's name. */
export interface VoterEndpoint {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** As the Voters record has it. The core looks at the key only, and keeps the rest with it. */
export interface Voter extends ReplicaKey {
  readonly endpoints: readonly VoterEndpoint[];
}

/** One at a time, so that majorities before and after it overlap (K13). */
export type VoterChange =
  | { readonly kind: "add"; readonly voter: Voter }
  | { readonly kind: "remove"; readonly voter: ReplicaKey };

/** Why a change of the voters is not to be proposed now. The first four may be gone later. */
export type VoterChangeRefusal =
  | "notLeader"
  /** No record of the leader's epoch is committed yet: it may not know of the last change (K13). */
  | "epochNotCommitted"
  | "changeNotCommitted"
  /** The new voter has not fetched lately, or is far behind: nothing could be committed for a while. */
  | "notCaughtUp"
  /** The node id votes already, perhaps with another directory: that one is to be removed first. */
  | "duplicateVoter"
  | "voterNotFound"
  | "lastVoter";

export function isSameReplica(a: ReplicaKey, b: ReplicaKey): boolean {
  return a.nodeId === b.nodeId && a.directoryId === b.directoryId;
}

/** The key of a `Map` by replica. */
export function replicaText({ nodeId, directoryId }: ReplicaKey): string {
  return `${nodeId}:${directoryId}`;
}

/** Who elects and who counts. Never changed in place. */
export class VoterSet {
  readonly all: readonly Voter[];

  constructor(voters: readonly Voter[]) {
    assert(voters.length > 0, "a quorum has a voter");
    const ids = new Set(voters.map(({ nodeId }) => nodeId));
    assert(ids.size === voters.length, "a node votes once, whatever its directories are");
    this.all = [...voters];
  }

  get majority(): number {
    return Math.floor(this.all.length / 2) + 1;
  }

  has(replica: ReplicaKey): boolean {
    return this.all.some((voter) => isSameReplica(voter, replica));
  }

  /** Nobody but it. */
  isOnly(replica: ReplicaKey): boolean {
    return this.all.length === 1 && this.has(replica);
  }

  others(self: ReplicaKey): readonly Voter[] {
    return this.all.filter((voter) => !isSameReplica(voter, self));
  }

  after(change: VoterChange): VoterSet {
    const { kind, voter } = change;
    return new VoterSet(kind === "add" ? [...this.all, change.voter] : this.others(voter));
  }

  /** The greatest value that a majority has reached, given each voter's. */
  reachedByMajority(valueOf: (voter: ReplicaKey) => number): number {
    const values = this.all.map(valueOf).sort((a, b) => b - a);
    return must(values[this.majority - 1], "a majority is no larger than the quorum");
  }
}
