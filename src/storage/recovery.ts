import { must } from "../base/assert.ts";
import type { DiskFile } from "../base/disk.ts";
import {
  batchBaseOffset,
  batchLeaderEpoch,
  batchMagic,
  batchMaxTimestamp,
  batchSizeBytes,
  BATCH_OVERHEAD,
  MAGIC_V2,
} from "../protocol/records/batch.ts";
import { writeSynced } from "./atomic-file.ts";
import { scanBatches } from "./batch-scanner.ts";
import { type Cut, reportCut, reportDamage, type ScannedSegment } from "./damage.ts";
import { offsetFileName, parentDirectory } from "./file-names.ts";
import { LeaderEpochs } from "./leader-epochs.ts";
import type { LogOptions } from "./log-config.ts";
import {
  listLogFiles,
  loadLeaderEpochs,
  loadProducers,
  type LogFiles,
  removeFile,
  removeSegmentFiles,
  removeSnapshots,
  type StoredEpochs,
  type StoredProducers,
} from "./log-files.ts";
import { emptyLog } from "./log-creation.ts";
import type { ProducerState } from "./producer-state.ts";
import { scanSegments } from "./recovery-scan.ts";
import { scanOverDamage } from "./resync.ts";
import { Segment, type SegmentDependencies, type SegmentOptions } from "./segment.ts";
import { loadIndexes, type SegmentIndexes } from "./segment-indexes.ts";
import { completeSwaps } from "./segment-swap.ts";
import { loadTxnIndex } from "./segment-transactions.ts";

/** What a log begins its life with. */
export interface RecoveredLog {
  /** Ascending; the last one is active. Empty when nothing was ever written, or nothing is left. */
  readonly segments: Segment[];
  readonly epochs: LeaderEpochs;
  readonly producers: ProducerState;
  readonly logEndOffset: number;
  /** What is durable for certain. */
  readonly flushedEndOffset: number;
}

/**
 * Finds out what the log's directory holds, if it is there, and puts it in order (S3, S4, S6, S11, S16,
 * S17). After a clean stop only the end of the last segment is looked at. Otherwise
 * every batch from the segment with the recovery point on is checked, and the log is cut where the first
 * one at or above that point is not whole. What is damaged below it is kept and said (R10). Every
 * step may be repeated: a crash in between leaves a directory that the next recovery brings to the
 * same state. Throws DiskError when the disk fails.
 */
export async function recoverLog(
  dependencies: SegmentDependencies,
  options: LogOptions,
): Promise<RecoveredLog> {
  const { disk, logger, report } = dependencies;
  const { directory } = options;
  if ((await listLogFiles(disk, directory)) === null) return emptyLog(options);
  await completeSwaps(dependencies, directory);
  const files = must(await listLogFiles(disk, directory), "the directory is there");
  reportMissing(logger, options, files);
  for (const name of files.strayNames) await removeFile(disk, `${directory}/${name}`);
  if (files.segmentBases.length === 0) {
    // Snapshots of a log that is not there must not be taken for those of its successor.
    await removeSnapshots(disk, directory, files.snapshotOffsets);
    // A process that was killed while it removed them has not made that durable.
    await disk.syncDir(directory);
    return emptyLog(options);
  }
  const stored = await loadLeaderEpochs(disk, directory);
  const recovery = new Recovery(dependencies, options, files);
  if (options.isClean === true && stored !== null) {
    const found = await recovery.openClean(stored);
    if (found !== null) {
      report?.opened(parentDirectory(directory), null);
      return found;
    }
    logger.warn({ directory }, "the log does not end as a clean stop leaves it: it is scanned");
  }
  return await recovery.scan(recovery.areEpochsWrong ? null : stored);
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
  async openClean(stored: StoredEpochs): Promise<RecoveredLog | null> {
    const { disk } = this.#dependencies;
    const { epochs } = stored;
    const baseOffset = must(this.#files.segmentBases.at(-1), "there is a segment");
    const file = await disk.open(this.#logPath(baseOffset));
    const end = await this.#findEnd(file, baseOffset, stored);
    if (end === null || end.logEndOffset < this.#recoveryPoint) {
      await file.close();
      return null;
    }
    epochs.truncateFromEnd(end.logEndOffset);
    // From now on it has a checksum.
    if (!stored.isCertain && epochs.entries.length > 0) epochs.markDirty();
    const producers = await this.#replayProducers(end.logEndOffset, Infinity);
    await this.#removeSnapshotsAbove(end.logEndOffset);
    await this.#removeOldSnapshots(end.logEndOffset, -1);
    const lastSegment = Segment.inactive(this.#dependencies, this.#segmentOptions(baseOffset));
    const active = Segment.reopened(this.#dependencies, this.#segmentOptions(baseOffset), {
      file,
      indexes: end.indexes,
      txns: await loadTxnIndex(this.#dependencies, lastSegment, () => Promise.resolve(file)),
      sizeBytes: end.sizeBytes,
      flushedBytes: end.sizeBytes,
    });
    return {
      segments: [...this.#inactiveSegments(this.#files.segmentBases.length - 1), active],
      epochs,
      producers: producers.state,
      logEndOffset: end.logEndOffset,
      flushedEndOffset: end.logEndOffset,
    };
  }

  /** Goes from the last index entry to the end of the last segment. */
  async #findEnd(
    file: DiskFile,
    baseOffset: number,
    { epochs, isCertain }: StoredEpochs,
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
        checksCrc: true,
        borderOffset: this.#recoveryPoint,
        gaplessFrom: this.#recoveryPoint,
      },
      (bytes, at) => {
        leaderEpoch = batchLeaderEpoch(bytes, at);
        return "go on";
      },
    );
    if (scan.damage !== null) return null;
    if (leaderEpoch !== epochs.latestEpoch) {
      this.#areEpochsWrong = !isCertain;
      return null;
    }
    const first = await readHeader(file, sizeBytes);
    indexes.resume(
      sizeBytes - (entry?.position ?? 0),
      first === null || batchMaxTimestamp(first) < 0 ? null : batchMaxTimestamp(first),
    );
    return { logEndOffset: scan.nextOffset, indexes, sizeBytes };
  }

  /** Checks all that may not have been flushed; without stored epochs, all there is. */
  async scan(stored: StoredEpochs | null): Promise<RecoveredLog> {
    const { segmentBases } = this.#files;
    const { firstIndex, epochs, isCertain } = await this.#chooseStart(stored);
    const firstBase = must(segmentBases[firstIndex], "there is a segment");
    const producers = await this.#replayProducers(firstBase, firstIndex);
    const { segments, cut } = await scanSegments(this.#dependencies, this.#options, {
      segmentBases,
      firstIndex,
      epochs,
      areEpochsCertain: isCertain,
      producers,
    });
    const last = must(segments.at(-1), "one segment at least was scanned");
    const logEndOffset = last.nextOffset;
    await this.#say(segments, cut, logEndOffset);
    await this.#cut(cut, logEndOffset);
    await this.#settle(last);
    if (epochs.entries.length > 0) epochs.markDirty();
    return {
      segments: await this.#reopen(firstIndex, segments, logEndOffset),
      epochs,
      producers: producers.state,
      logEndOffset,
      flushedEndOffset: Math.min(this.#recoveryPoint, logEndOffset),
    };
  }

  /** The segments of the log, the scanned ones with what is known of their damage. */
  async #reopen(
    firstIndex: number,
    scanned: readonly ScannedSegment[],
    logEndOffset: number,
  ): Promise<Segment[]> {
    const last = must(scanned.at(-1), "one segment at least was scanned");
    const segments = this.#inactiveSegments(firstIndex);
    let snapshotOffset = -1;
    for (const [index, each] of scanned.entries()) {
      const options = this.#segmentOptions(each.baseOffset);
      // Nothing is appended behind damage: where a batch begins there could not be told again.
      const isActive = each === last && each.stretches.at(-1)?.endPosition !== each.sizeBytes;
      const endOffset = scanned[index + 1]?.baseOffset ?? logEndOffset;
      if (!isActive) {
        await this.#finish(each, endOffset);
        snapshotOffset = endOffset;
      }
      const flushedBytes = logEndOffset <= this.#recoveryPoint ? each.sizeBytes : 0;
      const segment = isActive
        ? Segment.reopened(this.#dependencies, options, { ...each, flushedBytes })
        : Segment.inactive(this.#dependencies, options);
      for (const stretch of each.stretches) segment.damage.add(stretch);
      segments.push(segment);
      if (each === last && !isActive) {
        const next = this.#segmentOptions(logEndOffset);
        segments.push(Segment.active(this.#dependencies, next));
      }
    }
    // Only now: until the borders have theirs, an older one is what the producers are known from.
    await this.#removeOldSnapshots(logEndOffset, snapshotOffset);
    return segments;
  }

  /** The segment that holds the recovery point, and the leader epochs that are known before the scan. */
  async #chooseStart(stored: StoredEpochs | null): Promise<{
    readonly firstIndex: number;
    readonly epochs: LeaderEpochs;
    readonly isCertain: boolean;
  }> {
    const { segmentBases } = this.#files;
    const found = segmentBases.findLastIndex((base) => base <= this.#recoveryPoint);
    const firstIndex = Math.max(0, found);
    const firstBase = must(segmentBases[firstIndex], "there is a segment");
    const fromStart = { firstIndex: 0, epochs: new LeaderEpochs(), isCertain: false };
    if (stored === null) return fromStart;
    const { epochs, isCertain } = stored;
    epochs.truncateFromEnd(isCertain ? Math.max(firstBase, this.#recoveryPoint) : firstBase);
    if (isCertain) return { firstIndex, epochs, isCertain };
    const file = await this.#dependencies.disk.open(this.#logPath(firstBase));
    try {
      const first = await readHeader(file, await file.size());
      // A wrong digit in the file must not make good batches look damaged (E14).
      const isBelow = first !== null && batchLeaderEpoch(first) < epochs.latestEpoch;
      return isBelow && isBatchStart(first) ? fromStart : { firstIndex, epochs, isCertain };
    } finally {
      await file.close();
    }
  }

  async #say(
    segments: readonly ScannedSegment[],
    cut: Cut | null,
    logEndOffset: number,
  ): Promise<void> {
    const { logger, report } = this.#dependencies;
    const { directory } = this.#options;
    const facts = { directory, logEndOffset, recoveryPoint: this.#recoveryPoint };
    const removed = cut === null ? [] : this.#files.segmentBases.slice(cut.nextIndex);
    const cutBytes = cut === null ? 0 : await reportCut(this.#dependencies, cut, removed, facts);
    reportDamage(logger, segments, facts);
    const outcome = {
      scannedBytes: segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      cutBytes,
      damagedStretches: segments.reduce((sum, { stretches }) => sum + stretches.length, 0),
    };
    logger.info(
      {
        ...facts,
        ...outcome,
        removedSegments: removed.length,
      },
      "recovered a log",
    );
    report?.opened(parentDirectory(directory), outcome);
  }

  /** Removes what cannot be kept, so that no later power cut brings it back. */
  async #cut(cut: Cut | null, logEndOffset: number): Promise<void> {
    const { disk } = this.#dependencies;
    const { directory } = this.#options;
    const gone = cut === null ? [] : this.#files.segmentBases.slice(cut.nextIndex);
    // Newest first: a crash in between leaves no gap that a later start would take for the end.
    for (const baseOffset of gone.toReversed()) {
      await removeSegmentFiles(disk, directory, baseOffset);
    }
    await this.#removeSnapshotsAbove(logEndOffset);
    const segment = cut?.segment ?? null;
    if (segment === null || segment.sizeBytes === segment.fileBytes) return;
    await segment.file.truncate(segment.sizeBytes);
  }

  /**
   * Makes durable what the log is found to be, and what was cut, now, by a truncation or by a process that
   * was killed in the middle of one: before anything is appended, as a power cut could put the old tail
   * behind new batches.
   */
  async #settle({ file }: ScannedSegment): Promise<void> {
    await file.datasync();
    await this.#dependencies.disk.syncDir(this.#options.directory);
  }

  /**
   * Makes a scanned segment durable that takes no more, with its new indexes and the producers as they
   * are where the next one begins: the recovery point may pass it then. Closes it.
   */
  async #finish({ baseOffset, file, indexes, txns, producers }: ScannedSegment, endOffset: number) {
    const { disk } = this.#dependencies;
    const segment = Segment.inactive(this.#dependencies, this.#segmentOptions(baseOffset));
    indexes.noteEnd();
    await indexes.store(disk, segment.indexPaths, true, true);
    await txns.store(disk, segment.path(".txnindex"), true, true);
    const path = `${this.#options.directory}/${offsetFileName(endOffset, ".snapshot")}`;
    await writeSynced(disk, path, producers);
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
        await scanOverDamage(
          { file, clock },
          {
            startPosition: 0,
            endPosition: await file.size(),
            minOffset: base,
            checksCrc: false,
            durableOffset: bases[index + 1] ?? endOffset,
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

  /** Returns whether there were any. */
  #removeSnapshotsAbove(logEndOffset: number): Promise<boolean> {
    return this.#removeSnapshots((offset) => offset > logEndOffset);
  }

  /** Keeps the snapshots of the segments' borders and the newest, which may be one that we wrote. */
  async #removeOldSnapshots(logEndOffset: number, writtenOffset: number): Promise<void> {
    const bases = new Set(this.#files.segmentBases);
    const found = this.#files.snapshotOffsets.find((offset) => offset <= logEndOffset) ?? -1;
    const newest = Math.max(found, writtenOffset);
    await this.#removeSnapshots(
      (offset) => offset <= logEndOffset && offset !== newest && !bases.has(offset),
    );
  }

  #removeSnapshots(isRemoved: (offset: number) => boolean): Promise<boolean> {
    const gone = this.#files.snapshotOffsets.filter(isRemoved);
    return removeSnapshots(this.#dependencies.disk, this.#options.directory, gone);
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

/** Indexes without their log below the durable point: the log is missing, which only they can tell. */
function reportMissing(
  logger: SegmentDependencies["logger"],
  { directory, recoveryPoint = 0, logStartOffset = 0 }: LogOptions,
  { segmentBases, strayIndexBases }: LogFiles,
): void {
  const firstBase = Math.max(logStartOffset, segmentBases[0] ?? 0);
  const missing = strayIndexBases.filter((base) => base > firstBase && base < recoveryPoint);
  if (missing.length > 0) {
    logger.error(
      { directory, missingSegments: missing },
      "segments are missing, with their records",
    );
  }
  if (segmentBases.length === 0 && recoveryPoint > logStartOffset) {
    logger.error(
      { directory, logStartOffset, recoveryPoint },
      "no segment is left of this log: it goes on where it ended, without its records",
    );
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
