import { assert, must } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";

/** A member of the quorum, or an observer: an id alone could be a node that has lost its disk (R14, KIP-853). */
export interface ReplicaKey {
  readonly nodeId: number;
  readonly directoryId: Uuid;
}

export function isSameReplica(a: ReplicaKey, b: ReplicaKey): boolean {
  return a.nodeId === b.nodeId && a.directoryId === b.directoryId;
}

/** The key of a `Map` by replica. */
export function replicaText({ nodeId, directoryId }: ReplicaKey): string {
  return `${nodeId}:${directoryId}`;
}

/** Who elects and who counts. Never changed in place. */
export class VoterSet {
  readonly all: readonly ReplicaKey[];

  constructor(voters: readonly ReplicaKey[]) {
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

  others(self: ReplicaKey): readonly ReplicaKey[] {
    return this.all.filter((voter) => !isSameReplica(voter, self));
  }

  /** The greatest value that a majority has reached, given each voter's. */
  reachedByMajority(valueOf: (voter: ReplicaKey) => number): number {
    const values = this.all.map(valueOf).sort((a, b) => b - a);
    return must(values[this.majority - 1], "a majority is no larger than the quorum");
  }
}
