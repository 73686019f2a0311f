import { assert, must } from "../../base/assert.ts";
import type { EpochStart } from "../../storage/checkpoint.ts";
import { LeaderEpochs } from "../../storage/leader-epochs.ts";
import type { SnapshotId } from "./messages.ts";
import type { VoterSet } from "./voters.ts";

/** A place in a log: the epoch, and where it ends. */
export interface EpochEnd {
  readonly epoch: number;
  readonly endOffset: number;
}

/** Who the voters are once the log reaches `endOffset`: the Voters record is the one before it. */
export interface VotersAt {
  readonly endOffset: number;
  readonly voters: VoterSet;
}

/** Before the first record: no snapshot is needed for what is not there. */
export const LOG_BEGINNING: SnapshotId = { endOffset: 0, epoch: 0 };

/** What is in a log when the process starts. */
export interface RecoveredLog {
  /** The snapshot at whose end the log begins. */
  readonly start: SnapshotId;
  /** The newest one there is, at or above the start. Its last record is in the log, if it is not the start. */
  readonly newestSnapshot: SnapshotId;
  readonly endOffset: number;
  readonly flushedEndOffset: number;
  readonly epochs: readonly EpochStart[];
  /** Ascending; the first holds at the log's start. */
  readonly voterHistory: readonly VotersAt[];
}

/**
 * What the core knows of the log: its start and end, how far it is synced, which epoch wrote what, and who
 * the voters were when. Appends and truncations count here at once; the driver does them in the same order.
 */
export class LogView {
  #epochs: LeaderEpochs;
  /** Invariant: start <= newestSnapshot <= endOffset. */
  #start: SnapshotId;
  #newestSnapshot: SnapshotId;
  #endOffset: number;
  /** Invariant: flushedEndOffset <= endOffset. */
  #flushedEndOffset: number;
  /** Ascending; the first is as of the log's start. Never empty. */
  #voterHistory: readonly VotersAt[];

  /** A log as it was recovered: whatever is in it then is synced, or is synced before it counts. */
  constructor(recovered: RecoveredLog) {
    const { start, newestSnapshot, endOffset, voterHistory } = recovered;
    assert(start.endOffset <= newestSnapshot.endOffset, "a log begins at a snapshot (K11)");
    assert(newestSnapshot.endOffset <= endOffset, "a log reaches its newest snapshot");
    assert(
      (voterHistory[0]?.endOffset ?? Infinity) <= start.endOffset,
      "the log's start has voters",
    );
    this.#epochs = epochsFrom(start, recovered.epochs);
    this.#start = start;
    this.#newestSnapshot = newestSnapshot;
    this.#endOffset = endOffset;
    this.#flushedEndOffset = recovered.flushedEndOffset;
    this.#voterHistory = voterHistory;
  }

  /** Where the log begins, and the epoch of the record before that. */
  get start(): SnapshotId {
    return this.#start;
  }

  get newestSnapshot(): SnapshotId {
    return this.#newestSnapshot;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  get flushedEndOffset(): number {
    return this.#flushedEndOffset;
  }

  get isFlushed(): boolean {
    return this.#flushedEndOffset === this.#endOffset;
  }

  /** The epoch of the last record; 0 when there is none. */
  get lastEpoch(): number {
    return Math.max(0, this.#epochs.latestEpoch);
  }

  /** Those of the last Voters record, whether it is committed or not (KIP-853). */
  get voters(): VoterSet {
    return this.#lastVoters.voters;
  }

  /** What must be committed before the voters may change again (K13). */
  get votersEndOffset(): number {
    return this.#lastVoters.endOffset;
  }

  /** Those of the record before it; null: it lies below the log's start, and is committed. */
  get previousVoters(): VoterSet | null {
    return this.#voterHistory.at(-2)?.voters ?? null;
  }

  /** Who the voters are as of all below the offset: they are part of a snapshot that ends there. */
  votersAt(endOffset: number): VoterSet {
    assert(endOffset >= this.#start.endOffset, "what lies below the log's start is forgotten");
    const found = this.#voterHistory.findLast((entry) => entry.endOffset <= endOffset);
    return must(found, "the log's start has voters").voters;
  }

  /** `voters`: the batch says who they are from its end on. */
  append(leaderEpoch: number, endOffset: number, voters: VoterSet | null = null): void {
    assert(endOffset > this.#endOffset, "an append moves the end of the log");
    this.#epochs.assign(leaderEpoch, this.#endOffset);
    this.#endOffset = endOffset;
    if (voters !== null) this.#voterHistory = [...this.#voterHistory, { endOffset, voters }];
  }

  flushed(endOffset: number): void {
    assert(endOffset <= this.#endOffset, "what is synced was appended");
    this.#flushedEndOffset = Math.max(this.#flushedEndOffset, endOffset);
  }

  /** No sync is under way then: it could not be told from one of what takes the place of the rest. */
  truncateTo(endOffset: number): void {
    assert(endOffset < this.#endOffset && this.isFlushed, "a synced log is truncated");
    assert(endOffset >= this.#newestSnapshot.endOffset, "what is in a snapshot is not cut (K10)");
    this.#epochs.truncateFromEnd(endOffset);
    this.#voterHistory = this.#voterHistory.filter((entry) => entry.endOffset <= endOffset);
    this.#endOffset = endOffset;
    this.#flushedEndOffset = endOffset;
  }

  snapshotTaken(id: SnapshotId): void {
    assert(id.endOffset <= this.#endOffset, "a snapshot is of what is in the log");
    this.#newestSnapshot = id;
  }

  /** The prefix up to one of this node's own snapshots is dropped. */
  startAt(id: SnapshotId): void {
    assert(id.endOffset <= this.#newestSnapshot.endOffset, "a log begins at a snapshot (K11)");
    const voters = this.votersAt(id.endOffset);
    const later = this.#voterHistory.filter((entry) => entry.endOffset > id.endOffset);
    this.#voterHistory = [{ endOffset: id.endOffset, voters }, ...later];
    this.#epochs = epochsFrom(id, this.#epochs.entries);
    this.#start = id;
  }

  /** The log is emptied and begins at the end of another's snapshot, once that is synced. */
  resetTo(id: SnapshotId, voters: VoterSet): void {
    assert(this.isFlushed, "a synced log is emptied");
    // All that is certain to survive until then lies below the start.
    this.#flushedEndOffset = this.#start.endOffset;
    this.#epochs = epochsFrom(id, []);
    this.#voterHistory = [{ endOffset: id.endOffset, voters }];
    this.#start = id;
    this.#newestSnapshot = id;
    this.#endOffset = id.endOffset;
  }

  /** The epoch of the record before the offset, which is not below the log's start. */
  epochBefore(endOffset: number): number {
    assert(endOffset >= this.#start.endOffset, "what lies below the log's start is forgotten");
    return Math.max(0, this.#epochs.epochAt(endOffset - 1));
  }

  /** The greatest epoch at or below `epoch`, and where it ends here (KIP-101). */
  endOffsetFor(epoch: number): EpochEnd {
    if (epoch >= this.lastEpoch) return { epoch: this.lastEpoch, endOffset: this.#endOffset };
    const { leaderEpoch, endOffset } = this.#epochs.endOffsetFor(epoch, this.#endOffset);
    return { epoch: leaderEpoch, endOffset };
  }

  get #lastVoters(): VotersAt {
    return must(this.#voterHistory.at(-1), "the log's start has voters");
  }
}

/** The epoch of the snapshot at the log's start wrote the record before it, whatever else it wrote. */
function epochsFrom(start: SnapshotId, epochs: readonly EpochStart[]): LeaderEpochs {
  if (start.endOffset === 0) return new LeaderEpochs(epochs);
  const first = { epoch: start.epoch, startOffset: start.endOffset - 1 };
  return new LeaderEpochs([first, ...epochs.filter(({ epoch }) => epoch > start.epoch)]);
}
