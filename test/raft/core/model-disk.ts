import { randomBelow, type Random } from "../../../src/base/random.ts";
import type { QuorumState } from "../../../src/raft/core/events.ts";
import { LOG_BEGINNING, type VotersAt } from "../../../src/raft/core/log-view.ts";
import type { Batch, SnapshotId } from "../../../src/raft/core/messages.ts";
import { VoterSet } from "../../../src/raft/core/voters.ts";
import { type Snapshot, votersIn } from "./model-state.ts";

export function isSameBatch(a: Batch | undefined, b: Batch | undefined): boolean {
  if (a === b) return a !== undefined;
  return (
    a !== undefined &&
    b !== undefined &&
    a.baseOffset === b.baseOffset &&
    a.endOffset === b.endOffset &&
    a.leaderEpoch === b.leaderEpoch &&
    a.bytes.equals(b.bytes)
  );
}

/** A log as it is in the page cache, or on the platter. */
export interface LogImage {
  /** The end of the snapshot that stands for all before. */
  readonly start: SnapshotId;
  readonly batches: readonly Batch[];
}

const EMPTY_LOG: LogImage = { start: LOG_BEGINNING, batches: [] };

export function endOffsetOf({ start, batches }: LogImage): number {
  return batches.at(-1)?.endOffset ?? start.endOffset;
}

export function batchAt({ batches }: LogImage, baseOffset: number): Batch | undefined {
  let low = 0;
  let high = batches.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (batches[middle]!.baseOffset < baseOffset) low = middle + 1;
    else high = middle;
  }
  const found = batches[low];
  return found?.baseOffset === baseOffset ? found : undefined;
}

/** One node's disk: what survives the process, and what survives the power. */
export class ModelDisk {
  /** The log as the process sees it. */
  log: LogImage = EMPTY_LOG;
  /** The log as of the last sync. */
  durable: LogImage = EMPTY_LOG;
  /** Whole and synced, oldest first. */
  snapshots: readonly Snapshot[] = [];
  quorumState: QuorumState | null = null;
  /** A write of the quorum state that is under way. */
  writing: QuorumState | null = null;
  /** The log that a snapshot takes the place of, until that has got its name. */
  #beforeReset: { readonly log: LogImage; readonly snapshot: Snapshot } | null = null;
  /** Who votes as far as nothing says otherwise. */
  readonly #firstVoters: VoterSet;
  #lastVoters: { readonly log: LogImage; readonly voters: VotersAt } | null = null;

  constructor(firstVoters: VoterSet) {
    this.#firstVoters = firstVoters;
  }

  get isResetting(): boolean {
    return this.#beforeReset !== null;
  }

  get newestSnapshot(): Snapshot | null {
    return this.snapshots.at(-1) ?? null;
  }

  /** Below it everything survives a power cut. */
  get durableEndOffset(): number {
    return endOffsetOf(this.#recovered(this.durable));
  }

  /** How much of the log, and the snapshot it begins at, survives a power cut as it is. */
  get syncedEndOffset(): number {
    const { log, durable } = this;
    let endOffset = log.start.endOffset;
    for (const batch of log.batches) {
      if (!isSameBatch(batchAt(durable, batch.baseOffset), batch)) break;
      endOffset = batch.endOffset;
    }
    return endOffset;
  }

  /** Who votes when the log begins, and from the end of which batch on others do. */
  get voterHistory(): readonly VotersAt[] {
    const { start, batches } = this.log;
    const history: VotersAt[] = [{ endOffset: start.endOffset, voters: this.#votersAtStart }];
    for (const { endOffset, bytes } of batches) {
      const voters = votersIn(bytes);
      if (voters !== null) history.push({ endOffset, voters: new VoterSet(voters) });
    }
    return history;
  }

  /** The last of them. */
  get votersNow(): VotersAt {
    const { log } = this;
    if (this.#lastVoters?.log !== log) {
      this.#lastVoters = { log, voters: this.voterHistory.at(-1)! };
    }
    return this.#lastVoters.voters;
  }

  /** Whether the batch survives a power cut here, or is part of a snapshot. */
  holdsDurably(batch: Batch): boolean {
    const { start } = this.#recovered(this.durable);
    if (batch.endOffset <= start.endOffset) return true;
    return isSameBatch(batchAt(this.#recovered(this.durable), batch.baseOffset), batch);
  }

  holds(batch: Batch): boolean {
    if (batch.endOffset <= this.log.start.endOffset) return true;
    return isSameBatch(batchAt(this.log, batch.baseOffset), batch);
  }

  append(...batches: readonly Batch[]): void {
    this.log = { ...this.log, batches: [...this.log.batches, ...batches] };
  }

  truncateTo(endOffset: number): readonly Batch[] {
    const { start, batches } = this.log;
    this.log = { start, batches: batches.filter((batch) => batch.endOffset <= endOffset) };
    return batches.filter((batch) => batch.endOffset > endOffset);
  }

  addSnapshot(snapshot: Snapshot): void {
    this.snapshots = [...this.snapshots, snapshot];
  }

  /** What is in the snapshot need not be in the log. */
  dropPrefix(id: SnapshotId): void {
    const batches = this.log.batches.filter(({ baseOffset }) => baseOffset >= id.endOffset);
    this.log = { start: id, batches };
  }

  /** What no start needs any more. */
  removeOldSnapshots(): void {
    const neededOffset = Math.min(this.log.start.endOffset, this.durable.start.endOffset);
    this.snapshots = this.snapshots.filter(({ id }) => id.endOffset >= neededOffset);
  }

  beginReset(snapshot: Snapshot): void {
    this.#beforeReset = { log: this.log, snapshot };
    this.log = { start: snapshot.id, batches: [] };
  }

  endReset(): void {
    if (this.#beforeReset !== null) this.addSnapshot(this.#beforeReset.snapshot);
    this.#beforeReset = null;
  }

  /** What a start finds: a log that lacks the end of the newest snapshot is of no use. */
  recover(): void {
    this.log = this.#recovered(this.log);
  }

  /** The process dies: a rename that it was about to do has happened or not. */
  kill(random: Random): void {
    if (this.writing !== null && randomBelow(random, 2) === 0) this.quorumState = this.writing;
    this.writing = null;
    if (this.#beforeReset === null) return;
    const { log, snapshot } = this.#beforeReset;
    this.#beforeReset = null;
    this.log = log;
    if (randomBelow(random, 2) === 0) this.addSnapshot(snapshot);
  }

  /** What was not synced is gone, or a part of it has reached the disk all the same. */
  cutPower(random: Random): void {
    this.kill(random);
    if (randomBelow(random, 3) === 0) {
      this.log = this.durable;
    } else {
      const { start, batches } = this.log;
      const { syncedEndOffset } = this;
      const synced = batches.filter(({ endOffset }) => endOffset <= syncedEndOffset);
      const extraCount = randomBelow(random, batches.length - synced.length + 1);
      this.log = { start, batches: batches.slice(0, synced.length + extraCount) };
    }
    this.durable = this.log;
  }

  #recovered(log: LogImage): LogImage {
    const { newestSnapshot } = this;
    if (newestSnapshot === null) return log;
    const { id } = newestSnapshot;
    const epoch =
      log.start.endOffset === id.endOffset
        ? log.start.epoch
        : log.batches.find(({ endOffset }) => endOffset === id.endOffset)?.leaderEpoch;
    return epoch === id.epoch ? log : { start: id, batches: [] };
  }

  get #votersAtStart(): VoterSet {
    const { endOffset } = this.log.start;
    if (endOffset === 0) return this.#firstVoters;
    const { snapshot } = this.#beforeReset ?? {};
    const known = snapshot === undefined ? this.snapshots : [...this.snapshots, snapshot];
    const found = known.findLast(({ id }) => id.endOffset === endOffset);
    if (found === undefined) throw new Error("a log begins at a snapshot");
    return new VoterSet(found.voters);
  }
}
