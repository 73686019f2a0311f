import { must } from "../base/assert.ts";
import type { DiskError, DiskFile } from "../base/disk.ts";
import {
  batchBaseOffset,
  batchLeaderEpoch,
  batchMagic,
  batchMaxTimestamp,
  batchSizeBytes,
  BATCH_OVERHEAD,
  MAGIC_V2,
} from "../protocol/records/batch.ts";
import { scanBatches } from "./batch-scanner.ts";
import { type Damage, reportCut, reportDamage, type ScannedSegment } from "./damage.ts";
import { offsetFileName } from "./file-names.ts";
import { LeaderEpochs } from "./leader-epochs.ts";
import type { LogOptions } from "./log-config.ts";
import {
  listLogFiles,
  loadLeaderEpochs,
  loadProducers,
  type LogFiles,
  removeFile,
  removeSegmentFiles,
  type StoredProducers,
} from "./log-files.ts";
import type { ProducerState } from "./producer-state.ts";
import { Segment, type SegmentDependencies, type SegmentOptions } from "./segment.ts";
import { loadIndexes, scanIndexes, type SegmentIndexes } from "./segment-indexes.ts";
import { loadTxnIndex } from "./segment-transactions.ts";
import { TxnIndex } from "./txn-index.ts";

/** What a log begins its life with. */
export interface RecoveredLog {
  /** Whether the directory was made just now. */
  readonly isNew: boolean;
  /** Ascending, without gaps in their names; the last one is active. Empty after a failure. */
  readonly segments: Segment[];
  readonly epochs: LeaderEpochs;
  readonly producers: ProducerState;
  readonly logEndOffset: number;
  /** What is durable for certain. */
  readonly flushedEndOffset: number;
  /** Set when the log is damaged where it was durable: it is left as it is (R10). */
  readonly failure: DiskError | null;
}

/**
 * Finds out what an existing directory holds, and puts it in order (S3, S4, S6, S11, S16, S17); null
 * when there is no segment. After
 * a clean stop only the end of the last segment is looked at. Otherwise every batch from the segment
 * with the recovery point on is checked, and the log is cut where the first one is not whole. Every
 * step may be repeated: a crash in between leaves a directory that the next recovery brings to the
 * same state. Throws DiskError when the disk fails.
 */
export async function recoverLog(
  dependencies: SegmentDependencies,
  options: LogOptions,
): Promise<RecoveredLog | null> {
  const { disk } = dependencies;
  const files = await listLogFiles(disk, options.directory);
  if (files === null) return null;
  for (const name of files.strayNames) await removeFile(disk, `${options.directory}/${name}`);
  if (files.segmentBases.length === 0)
    return await removeAllSnapshots(dependencies, options, files);
  const epochs = await loadLeaderEpochs(disk, options.directory);
  const recovery = new Recovery(dependencies, options, files);
  if (options.isClean === true && epochs !== null) {
    const found = await recovery.openClean(epochs);
    if (found !== null) return found;
    dependencies.logger.warn(
      { directory: options.directory },
      "the log does not end as a clean stop leaves it: it is scanned",
    );
  }
  return await recovery.scan(recovery.areEpochsWrong ? null : epochs);
}

/** Snapshots of a log that is not there must not be taken for those of its successor. */
async function removeAllSnapshots(
  { disk }: SegmentDependencies,
  { directory }: LogOptions,
  files: LogFiles,
): Promise<null> {
  for (const offset of files.snapshotOffsets) {
    await removeFile(disk, `${directory}/${offsetFileName(offset, ".snapshot")}`);
  }
  return null;
}

class Recovery {
  readonly #dependencies: SegmentDependencies;
  readonly #options: LogOptions;
  readonly #files: LogFiles;
  readonly #recoveryPoint: number;
  #areEpochsWrong = false;

  constructor(dependencies: SegmentDependencies, options: LogOptions, files: LogFiles) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#files = files;
    this.#recoveryPoint = options.recoveryPoint ?? 0;
  }

  /** Whether the stored leader epochs were seen to contradict the batches. */
  get areEpochsWrong(): boolean {
    return this.#areEpochsWrong;
  }

  /** null: this is not what a clean stop leaves, or its indexes or epochs cannot be trusted. */
  async openClean(epochs: LeaderEpochs): Promise<RecoveredLog | null> {
    const { disk } = this.#dependencies;
    const baseOffset = must(this.#files.segmentBases.at(-1), "there is a segment");
    const file = await disk.open(this.#logPath(baseOffset));
    const end = await this.#findEnd(file, baseOffset, epochs);
    if (end === null || end.logEndOffset < this.#recoveryPoint) {
      await file.close();
      return null;
    }
    epochs.truncateFromEnd(end.logEndOffset);
    const producers = await this.#replayProducers(end.logEndOffset, Infinity);
    await this.#removeSnapshots(end.logEndOffset);
    const lastSegment = Segment.inactive(this.#dependencies, this.#segmentOptions(baseOffset));
    const active = Segment.reopened(this.#dependencies, this.#segmentOptions(baseOffset), {
      file,
      indexes: end.indexes,
      txns: await loadTxnIndex(this.#dependencies, lastSegment, file),
      sizeBytes: end.sizeBytes,
      flushedBytes: end.sizeBytes,
    });
    return {
      isNew: false,
      segments: [...this.#inactiveSegments(this.#files.segmentBases.length - 1), active],
      epochs,
      producers: producers.state,
      logEndOffset: end.logEndOffset,
      flushedEndOffset: end.logEndOffset,
      failure: null,
    };
  }

  /** Goes from the last index entry to the end of the last segment. */
  async #findEnd(
    file: DiskFile,
    baseOffset: number,
    epochs: LeaderEpochs,
  ): Promise<{ logEndOffset: number; indexes: SegmentIndexes; sizeBytes: number } | null> {
    const { disk, clock } = this.#dependencies;
    const sizeBytes = await file.size();
    const segment = Segment.inactive(this.#dependencies, this.#segmentOptions(baseOffset));
    const indexes = await loadIndexes({ disk, file, clock }, segment.indexPaths, {
      baseOffset,
      logBytes: sizeBytes,
      intervalBytes: segment.indexIntervalBytes,
    });
    if (indexes === null) return null;
    const entry = indexes.offsets.last();
    let leaderEpoch = epochs.latestEpoch;
    const scan = await scanBatches(
      { file, clock },
      {
        startPosition: entry?.position ?? 0,
        endPosition: sizeBytes,
        minOffset: baseOffset,
        minLeaderEpoch: -1,
        checksCrc: true,
      },
      (bytes, at) => {
        leaderEpoch = batchLeaderEpoch(bytes, at);
        return "go on";
      },
    );
    if (scan.damage !== null) return null;
    this.#areEpochsWrong = leaderEpoch !== epochs.latestEpoch;
    if (this.#areEpochsWrong) return null;
    const first = await readHeader(file, sizeBytes);
    indexes.resume(
      sizeBytes - (entry?.position ?? 0),
      first === null || batchMaxTimestamp(first) < 0 ? null : batchMaxTimestamp(first),
    );
    return { logEndOffset: scan.nextOffset, indexes, sizeBytes };
  }

  /** Checks all that may not have been flushed; without stored epochs, all there is. */
  async scan(stored: LeaderEpochs | null): Promise<RecoveredLog> {
    const { segmentBases } = this.#files;
    const { firstIndex, epochs } = await this.#chooseStart(stored);
    const firstBase = must(segmentBases[firstIndex], "there is a segment");
    const producers = await this.#replayProducers(firstBase, firstIndex);

    const scanned: ScannedSegment[] = [];
    const damage = await this.#scanSegments(firstIndex, epochs, producers, scanned);
    const last = must(scanned.at(-1), "one segment at least was scanned");
    const logEndOffset = last.nextOffset;
    if (logEndOffset < this.#recoveryPoint) {
      for (const { file } of scanned) await file.close();
      const { directory } = this.#options;
      const facts = { directory, logEndOffset, recoveryPoint: this.#recoveryPoint };
      const failure = reportDamage(this.#dependencies.logger, damage, facts);
      return {
        isNew: false,
        segments: [],
        epochs,
        producers: producers.state,
        logEndOffset,
        flushedEndOffset: 0,
        failure,
      };
    }
    await this.#cut(damage, logEndOffset);
    for (const segment of scanned.slice(0, -1)) await this.#finish(segment);
    const isFlushed = logEndOffset <= this.#recoveryPoint;
    const active = Segment.reopened(this.#dependencies, this.#segmentOptions(last.baseOffset), {
      ...last,
      flushedBytes: isFlushed ? last.sizeBytes : 0,
    });
    if (epochs.entries.length > 0) epochs.markDirty();
    return {
      isNew: false,
      segments: [...this.#inactiveSegments(segmentBases.indexOf(last.baseOffset)), active],
      epochs,
      producers: producers.state,
      logEndOffset,
      flushedEndOffset: Math.min(this.#recoveryPoint, logEndOffset),
      failure: null,
    };
  }

  /** The segment that holds the recovery point, and the leader epochs that began before it. */
  async #chooseStart(
    stored: LeaderEpochs | null,
  ): Promise<{ readonly firstIndex: number; readonly epochs: LeaderEpochs }> {
    const { segmentBases } = this.#files;
    const found = segmentBases.findLastIndex((base) => base <= this.#recoveryPoint);
    const firstIndex = Math.max(0, found);
    const firstBase = must(segmentBases[firstIndex], "there is a segment");
    if (stored === null) return { firstIndex: 0, epochs: new LeaderEpochs() };
    stored.truncateFromEnd(firstBase);
    const file = await this.#dependencies.disk.open(this.#logPath(firstBase));
    try {
      const first = await readHeader(file, await file.size());
      // A flipped digit in the file must not make good batches look damaged (E14).
      const isBelow = first !== null && batchLeaderEpoch(first) < stored.latestEpoch;
      if (!isBelow || !isBatchStart(first)) return { firstIndex, epochs: stored };
    } finally {
      await file.close();
    }
    return { firstIndex: 0, epochs: new LeaderEpochs() };
  }

  /** Fills `scanned`, epochs and producers from the segments on, up to the first damage. */
  async #scanSegments(
    firstIndex: number,
    epochs: LeaderEpochs,
    producers: StoredProducers,
    scanned: ScannedSegment[],
  ): Promise<Damage | null> {
    const { clock } = this.#dependencies;
    const { segmentBases } = this.#files;
    for (let index = firstIndex; index < segmentBases.length; index += 1) {
      const baseOffset = must(segmentBases[index], "the index is in range");
      const before = scanned.at(-1);
      // A compacted segment may end early, but compaction only touches what is durable.
      if (before !== undefined && before.nextOffset !== baseOffset) {
        const isCompacted = before.nextOffset < baseOffset && baseOffset <= this.#recoveryPoint;
        if (!isCompacted) {
          const reason = "the next segment begins at another offset";
          return { offset: before.nextOffset, reason, segment: null, nextIndex: index };
        }
      }
      const file = await this.#dependencies.disk.open(this.#logPath(baseOffset));
      const fileBytes = await file.size();
      const nowMs = clock.nowMs();
      const txns = new TxnIndex([]);
      const { indexes, scan } = await scanIndexes(
        { file, clock },
        {
          baseOffset,
          endPosition: fileBytes,
          intervalBytes: this.#options.config.indexIntervalBytes,
          minLeaderEpoch: epochs.latestEpoch,
          gaplessFrom: this.#recoveryPoint,
          checksCrc: true,
        },
        (bytes, at) => {
          const offset = batchBaseOffset(bytes, at);
          epochs.assign(batchLeaderEpoch(bytes, at), offset);
          if (offset < producers.offset) return "go on";
          const completed = producers.state.update(bytes, at, nowMs);
          if (completed?.isAborted === true) txns.add(completed);
          return "go on";
        },
      );
      const { endPosition: sizeBytes, nextOffset } = scan;
      const segment = { baseOffset, file, indexes, txns, sizeBytes, fileBytes, nextOffset };
      scanned.push(segment);
      if (scan.damage !== null) {
        return { offset: nextOffset, reason: scan.damage, segment, nextIndex: index + 1 };
      }
    }
    return null;
  }

  /** Removes what cannot be kept, so that no later power cut brings it back. */
  async #cut(damage: Damage | null, logEndOffset: number): Promise<void> {
    const { disk, logger } = this.#dependencies;
    const { directory } = this.#options;
    const gone = damage === null ? [] : this.#files.segmentBases.slice(damage.nextIndex);
    if (damage !== null) {
      const facts = { directory, logEndOffset, recoveryPoint: this.#recoveryPoint };
      await reportCut(logger, damage, gone, facts);
    }
    // Newest first: a crash in between leaves no gap that a later start would take for the end.
    for (const baseOffset of gone.toReversed()) {
      await removeSegmentFiles(disk, directory, baseOffset);
    }
    const hasRemoved = await this.#removeSnapshots(logEndOffset);
    if (gone.length > 0 || hasRemoved) await disk.syncDir(directory);
    const cut = damage?.segment;
    if (cut === null || cut === undefined) return;
    await cut.file.truncate(cut.sizeBytes);
    // Before anything is appended: else a power cut could put the old tail behind new batches.
    await cut.file.datasync();
  }

  /** Makes a scanned segment that is not the last durable, with its new indexes, and closes it. */
  async #finish({ baseOffset, file, indexes, txns }: ScannedSegment): Promise<void> {
    const segment = Segment.inactive(this.#dependencies, this.#segmentOptions(baseOffset));
    indexes.noteEnd();
    await indexes.store(this.#dependencies.disk, segment.indexPaths, true, true);
    await txns.store(this.#dependencies.disk, segment.path(".txnindex"), true, true);
    await file.datasync();
    await file.close();
  }

  /** The producers as they were at the offset, from a snapshot and the batches after it (S11). */
  async #replayProducers(endOffset: number, endIndex: number): Promise<StoredProducers> {
    const { disk, clock } = this.#dependencies;
    const nowMs = clock.nowMs();
    const { directory } = this.#options;
    const options = { maxOffset: endOffset, nowMs };
    const producers = await loadProducers(disk, directory, this.#files, options);
    const bases = this.#files.segmentBases;
    const firstIndex = Math.max(
      0,
      bases.findLastIndex((base) => base <= producers.offset),
    );
    for (let index = firstIndex; index < Math.min(bases.length, endIndex); index += 1) {
      const base = must(bases[index], "the index is in range");
      if (producers.offset >= Math.min(endOffset, bases[index + 1] ?? Infinity)) continue;
      const file = await disk.open(this.#logPath(base));
      try {
        await scanBatches(
          { file, clock },
          {
            startPosition: 0,
            endPosition: await file.size(),
            minOffset: base,
            minLeaderEpoch: -1,
            checksCrc: false,
          },
          (bytes, at) => {
            if (batchBaseOffset(bytes, at) >= producers.offset) {
              producers.state.update(bytes, at, nowMs);
            }
            return "go on";
          },
        );
      } finally {
        await file.close();
      }
    }
    return producers;
  }

  /** Keeps the snapshots of the segments' borders and the newest; returns whether one is gone. */
  async #removeSnapshots(logEndOffset: number): Promise<boolean> {
    const bases = new Set(this.#files.segmentBases);
    const newest = this.#files.snapshotOffsets.find((offset) => offset <= logEndOffset);
    let hasRemoved = false;
    for (const offset of this.#files.snapshotOffsets) {
      const isKept = offset <= logEndOffset && (offset === newest || bases.has(offset));
      if (isKept) continue;
      const name = offsetFileName(offset, ".snapshot");
      await removeFile(this.#dependencies.disk, `${this.#options.directory}/${name}`);
      hasRemoved = true;
    }
    return hasRemoved;
  }

  #inactiveSegments(count: number): Segment[] {
    return this.#files.segmentBases
      .slice(0, count)
      .map((base) => Segment.inactive(this.#dependencies, this.#segmentOptions(base)));
  }

  #segmentOptions(baseOffset: number): SegmentOptions {
    const { directory, config } = this.#options;
    return { directory, baseOffset, indexIntervalBytes: config.indexIntervalBytes };
  }

  #logPath(baseOffset: number): string {
    return `${this.#options.directory}/${offsetFileName(baseOffset, ".log")}`;
  }
}

/** The header at the start of a segment; null: there is none. */
async function readHeader(file: DiskFile, sizeBytes: number): Promise<Buffer | null> {
  if (sizeBytes < BATCH_OVERHEAD) return null;
  const header = Buffer.alloc(BATCH_OVERHEAD);
  const readBytes = await file.read(header, 0);
  return readBytes === BATCH_OVERHEAD ? header : null;
}

function isBatchStart(header: Buffer): boolean {
  return batchMagic(header) === MAGIC_V2 && batchSizeBytes(header) >= BATCH_OVERHEAD;
}
