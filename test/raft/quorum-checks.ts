import {
  batchBaseOffset,
  batchLeaderEpoch,
  batchNextOffset,
  batchSizeBytes,
  isBatchCrcValid,
} from "../../src/protocol/records/batch.ts";
import { isSameReplica, type ReplicaKey, replicaText } from "../../src/raft/core/voters.ts";
import { FORMATION_FILE } from "../../src/raft/formation-state.ts";
import { parseQuorumState } from "../../src/raft/quorum-state.ts";
import type { CommittedBatch, LeaderAndEpoch } from "../../src/raft/raft-client.ts";
import { snapshotIdOf } from "../../src/raft/snapshot-file.ts";
import type { RaftMessage } from "../../src/raft/transport.ts";
import type { MemoryDisk } from "../../src/sim/memory-disk.ts";
import type { Machine } from "./quorum-world.ts";

const DIRECTORY = "/data/__cluster_metadata-0";

interface PlatterBatch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly leaderEpoch: number;
}

/** The rules of reliability.md, section 3, on what is said, what is delivered, and what is on the platters. */
export class QuorumChecks {
  /** What the cluster has agreed on, by offset. */
  readonly committed = new Map<number, string>();
  /** How often a node's state came from a snapshot. */
  snapshotCount = 0;
  /** How often one was fetched from a leader. */
  fetchedSnapshotCount = 0;
  /** Who counts now; those who have changed it say so. */
  voters: readonly ReplicaKey[];
  readonly #machines: readonly Machine[];
  readonly #leaders = new Map<number, number>();
  readonly #votes = new Map<string, number>();
  readonly #saidEpochs = new Map<string, number>();
  #violation: Error | null = null;

  constructor(voters: readonly ReplicaKey[], machines: readonly Machine[]) {
    this.voters = voters;
    this.#machines = machines;
  }

  /** Where it can be seen: it is found inside callbacks of the program. */
  throwIfBroken(): void {
    if (this.#violation !== null) throw this.#violation;
  }

  onDelivered(machine: Machine, batch: CommittedBatch): void {
    const { nodeId } = machine.key;
    const isNext = batch.baseOffset === machine.deliveredOffset;
    this.#that(
      isNext,
      "K17",
      `${nodeId} was given ${batch.baseOffset} after ${machine.deliveredOffset}`,
    );
    machine.deliveredOffset = batch.lastOffset + 1;
    machine.deliveredEpoch = batch.leaderEpoch;
    const text = `${batch.leaderEpoch}: ${batch.records.map(String).join()}`;
    const known = this.committed.get(batch.baseOffset);
    if (known === undefined) {
      this.#checkMajority(batch);
      this.committed.set(batch.baseOffset, text);
    } else {
      this.#that(
        known === text,
        "K5",
        `${nodeId} was given ${text} at ${batch.baseOffset}, not ${known}`,
      );
    }
  }

  /** K11: its state is what all records below its end make. */
  onSnapshot(machine: Machine, endOffset: number, values: readonly string[]): void {
    const { nodeId } = machine.key;
    const isAhead = endOffset >= machine.deliveredOffset;
    this.#that(isAhead, "K17", `${nodeId} went back to ${endOffset}`);
    machine.deliveredOffset = endOffset;
    this.snapshotCount += 1;
    const expected = [...this.committed]
      .filter(([offset]) => offset < endOffset)
      .sort(([a], [b]) => a - b)
      .map(([, text]) => text.slice(text.indexOf(" ") + 1))
      .filter((text) => text !== "");
    this.#that(expected.join() === values.join(), "K11", `${nodeId}'s snapshot to ${endOffset}`);
  }

  /** K5: who leads has been given all that was committed before, up to the first record of its epoch. */
  onLeaderTold(machine: Machine, leader: LeaderAndEpoch): void {
    const { key, deliveredEpoch } = machine;
    const isReady = leader.leaderId !== key.nodeId || deliveredEpoch === leader.leaderEpoch;
    this.#that(isReady, "K5", `${key.nodeId} leads ${leader.leaderEpoch}, given ${deliveredEpoch}`);
    this.#onLeader(machine, leader);
  }

  #onLeader({ key }: Machine, { leaderId, leaderEpoch }: LeaderAndEpoch): void {
    if (leaderId === null) return;
    const known = this.#leaders.get(leaderEpoch) ?? leaderId;
    this.#that(
      known === leaderId,
      "K1",
      `${key.nodeId}: ${leaderId} leads ${leaderEpoch}, not ${known}`,
    );
    this.#leaders.set(leaderEpoch, leaderId);
  }

  /** A process goes on where the one before it has been. */
  onStarted({ key }: Machine, epoch: number): void {
    const saidEpoch = this.#saidEpochs.get(replicaText(key)) ?? 0;
    this.#that(
      epoch >= saidEpoch,
      "K7",
      `${key.nodeId} starts in ${epoch} and was in ${saidEpoch}`,
    );
  }

  /** Nothing is said in an epoch, no vote is given and no fetch sent that a power cut could take back. */
  onSaid(machine: Machine, to: number, message: RaftMessage): void {
    if (message.kind === "promised") this.#checkPromise(machine);
    if (!("epoch" in message)) return;
    const { key } = machine;
    const { platter } = machine.disk;
    const state = platterState(platter);
    const durableEpoch = state?.leaderEpoch ?? 0;
    const { epoch } = message;
    this.#that(
      durableEpoch >= epoch,
      "K7",
      `${key.nodeId} says ${epoch}, its disk ${durableEpoch}`,
    );
    const saidEpoch = this.#saidEpochs.get(replicaText(key)) ?? 0;
    this.#saidEpochs.set(replicaText(key), Math.max(epoch, saidEpoch));
    if (message.kind === "beginQuorumEpoch")
      this.#onLeader(machine, { leaderId: key.nodeId, leaderEpoch: epoch });
    if (message.kind === "fetchSnapshot" && message.position === 0) this.fetchedSnapshotCount += 1;
    if (message.kind === "fetch") {
      // The end of a snapshot is as good as a record.
      const syncedEndOffset = platterEndOffset(platter);
      const isSynced = syncedEndOffset >= message.fetchOffset;
      this.#that(
        isSynced,
        "K9",
        `${key.nodeId} promised ${message.fetchOffset}, synced ${syncedEndOffset}`,
      );
    }
    const isVote = message.kind === "voteAnswer" && !message.isPreVote && message.isGranted;
    const isCandidacy = message.kind === "vote" && !message.isPreVote;
    if (!isVote && !isCandidacy) return;
    const isVoter = this.voters.some((voter) => isSameReplica(voter, key));
    this.#that(isVoter, "K14", `observer ${key.nodeId} votes`);
    const candidateId = isVote ? to : key.nodeId;
    const vote = `${replicaText(key)}/${epoch}`;
    const first = this.#votes.get(vote) ?? candidateId;
    this.#that(first === candidateId, "K6", `${vote} is given to ${first} and ${candidateId}`);
    this.#votes.set(vote, first);
    const isKept = durableEpoch > epoch || state?.voted?.nodeId === candidateId;
    this.#that(isKept, "K6", `${vote} is not on the disk`);
  }

  /** R14: a promise that a power cut could take back is none. */
  #checkPromise({ key, disk }: Machine): void {
    const bytes = disk.platter.files().get(`/data/${FORMATION_FILE}`) ?? Buffer.alloc(0);
    const isKept = /"promised"|"formed"/.test(bytes.toString("utf8"));
    this.#that(isKept, "R14", `${key.nodeId}'s promise is not on the disk`);
  }

  /** K9: a majority of voters has it on the platter. A voter that was wiped since had kept its promise. */
  #checkMajority({ baseOffset, leaderEpoch }: CommittedBatch): void {
    const keptCount = this.#machines.filter(({ key, disk }) => {
      const isOriginal = this.voters.some((voter) => isSameReplica(voter, key));
      const isVotersId = this.voters.some(({ nodeId }) => nodeId === key.nodeId);
      if (!isOriginal) return isVotersId;
      if (platterSnapshotEnd(disk.platter) > baseOffset) return true;
      return platterBatches(disk.platter).some(
        (batch) => batch.baseOffset === baseOffset && batch.leaderEpoch === leaderEpoch,
      );
    }).length;
    const isMajority = keptCount > this.voters.length / 2;
    this.#that(
      isMajority,
      "K9",
      `${baseOffset}/${leaderEpoch} is committed, and synced by ${keptCount}`,
    );
  }

  #that(condition: boolean, rule: string, message: string): void {
    if (!condition) this.#violation ??= new Error(`${rule}: ${message}`);
  }
}

function platterState(platter: MemoryDisk) {
  const bytes = platter.files().get(`${DIRECTORY}/quorum-state`);
  return bytes === undefined ? null : parseQuorumState(bytes.toString("utf8"), "quorum-state");
}

/** What a power cut now would leave of the log. */
export function platterBatches(platter: MemoryDisk): PlatterBatch[] {
  const batches: PlatterBatch[] = [];
  for (const [path, bytes] of [...platter.files()].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!path.startsWith(DIRECTORY) || !path.endsWith(".log")) continue;
    for (let position = 0; position + 61 <= bytes.length;) {
      const sizeBytes = batchSizeBytes(bytes, position);
      if (sizeBytes < 61 || position + sizeBytes > bytes.length) break;
      if (!isBatchCrcValid(bytes, position)) break;
      batches.push({
        baseOffset: batchBaseOffset(bytes, position),
        endOffset: batchNextOffset(bytes, position),
        leaderEpoch: batchLeaderEpoch(bytes, position),
      });
      position += sizeBytes;
    }
  }
  return batches;
}

function platterEndOffset(platter: MemoryDisk): number {
  return Math.max(platterBatches(platter).at(-1)?.endOffset ?? 0, platterSnapshotEnd(platter));
}

/** Where the newest snapshot ends that a power cut now would leave. */
function platterSnapshotEnd(platter: MemoryDisk): number {
  const ends = [...platter.files().keys()].map(
    (path) => snapshotIdOf(path.slice(path.lastIndexOf("/") + 1))?.endOffset ?? 0,
  );
  return Math.max(0, ...ends);
}
