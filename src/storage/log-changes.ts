import { assert, must } from "../base/assert.ts";
import { DiskError, isOutOfSpace } from "../base/disk.ts";
import { Mailbox } from "../base/mailbox.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { KafkaError } from "../protocol/errors.ts";
import { DeletedFiles, markDeleted } from "./deleted-files.ts";
import type { DirectorySync } from "./directory-sync.ts";
import type { LogConfig, LogOptions, TruncationLimits } from "./log-config.ts";
import { cutSegments, findCut, startAnew } from "./log-cut.ts";
import type { LogState } from "./log-state.ts";
import { type RecoveredLog, recoverLog } from "./recovery.ts";
import { Segment, type SegmentDependencies } from "./segment.ts";

/** The log whose segments are changed. */
export interface ChangeableLog {
  readonly options: LogOptions;
  state(): LogState;
  config(): LogConfig;
  /** Throws KafkaError KAFKA_STORAGE_ERROR, NOT_LEADER_OR_FOLLOWER. */
  refuseUnlessUsable(): void;
  newState(
    recovered: RecoveredLog,
    options: { readonly logStartOffset: number; readonly isDirectoryDurable: boolean },
  ): LogState;
  /** The state takes the place of the one before. What is cached of that is dropped. */
  adopt(state: LogState): void;
  /** What lies below the offset was compacted: what is cached of it is dropped. */
  forgetCachedBelow(offset: number): void;
}

export interface LogChangesDependencies extends SegmentDependencies {
  readonly timers: TimerQueue;
  readonly parentSync: DirectorySync;
}

/**
 * Changes to the set of a log's segments, one at a time; `Log` says what each promises. A disk that
 * refuses in the middle of one fails the log, and the next recovery finds a log that is whole.
 */
export class LogChanges {
  readonly #dependencies: LogChangesDependencies;
  readonly #log: ChangeableLog;
  readonly #deleted: DeletedFiles;
  readonly #mailbox = new Mailbox();
  #isCutting = false;

  constructor(dependencies: LogChangesDependencies, log: ChangeableLog) {
    this.#dependencies = dependencies;
    this.#log = log;
    this.#deleted = new DeletedFiles(dependencies);
  }

  /** Nothing may be appended meanwhile. */
  get isCutting(): boolean {
    return this.#isCutting;
  }

  removeSegmentsBelow(offset: number, reason: string): Promise<number> {
    return this.#run(async (state) => {
      const { segments } = state;
      const limit = Math.max(offset, state.logStartOffset);
      const kept = segments.list.findIndex(
        (each) =>
          each.state !== "inactive" || segments.endOffsetOf(each, state.logEndOffset) > limit,
      );
      const gone = segments.list.slice(0, kept);
      const first = must(segments.list[kept], "the active segment stays");
      if (gone.length === 0) return 0;
      state.logStartOffset = Math.max(state.logStartOffset, first.baseOffset);
      const { directory } = this.#log.options;
      const bases = gone.map(({ baseOffset }) => baseOffset);
      this.#dependencies.logger.info({ directory, segments: bases, reason }, "removing segments");
      // Else a power cut could leave an empty directory, and the log would begin at 0 again.
      await state.writer.nameDurably(first);
      // One at a time: names become durable in any order, and a log must have no gap.
      for (const segment of gone) await this.#removeOldest(state, segment);
      if (first.baseOffset < state.logEndOffset) state.epochs.truncateFromStart(first.baseOffset);
      return gone.length;
    });
  }

  replaceSegments(
    old: readonly Segment[],
    putInPlace: () => Promise<readonly string[]>,
  ): Promise<boolean> {
    return this.#run(async (state) => {
      const { segments } = state;
      const first = must(old[0], "a segment is replaced");
      const at = segments.list.indexOf(first);
      // The very same: after a truncation others may have come in their places.
      const areThere = old.every(
        (each, i) => segments.list[at + i] === each && each.state === "inactive",
      );
      if (at < 0 || !areThere) return false;
      for (const segment of old) await segment.freeze();
      try {
        const deletedPaths = await putInPlace();
        const cleaned = Segment.inactive(this.#dependencies, {
          directory: this.#log.options.directory,
          baseOffset: first.baseOffset,
          indexIntervalBytes: this.#log.config().indexIntervalBytes,
        });
        await cleaned.measure();
        const last = must(old.at(-1), "a segment is replaced");
        this.#log.forgetCachedBelow(segments.endOffsetOf(last, state.logEndOffset));
        segments.replaceAll(segments.list.toSpliced(at, old.length, cleaned));
        this.#deleted.removeAfter(this.#log.config().fileDeleteDelayMs, deletedPaths);
      } finally {
        await Promise.all(old.map((segment) => segment.close()));
      }
      return true;
    });
  }

  truncateTo(endOffset: number): Promise<void> {
    return this.#run(async (state) => {
      if (endOffset >= state.logEndOffset) return;
      const { segments } = state;
      if (endOffset < segments.firstBaseOffset) {
        await this.#startAnew(state, endOffset);
        return;
      }
      const { disk, clock } = this.#dependencies;
      const { directory } = this.#log.options;
      await state.settle();
      const [segment] = segments.from(endOffset);
      // Checkpoints fall to where the log ends then: a batch that reaches the offset goes whole.
      const place = await findCut(clock, must(segment, "there is a segment"), endOffset);
      const limits = {
        endOffset: place.endOffset,
        logStartOffset: Math.min(place.endOffset, state.logStartOffset),
      };
      await this.#cut(state, limits, async () => {
        await Promise.all(segments.list.map((each) => each.freeze()));
        await cutSegments(disk, directory, segments.list, place);
        return limits;
      });
    });
  }

  truncateFullyAndStartAt(offset: number): Promise<void> {
    return this.#run((state) => this.#startAnew(state, offset));
  }

  /** Runs the task while nobody changes the segments. */
  undisturbed<T>(task: () => Promise<T>): Promise<T> {
    return this.#run(task);
  }

  /** Whether the log had failed, and goes on now. Throws DiskError. */
  heal(): Promise<boolean> {
    return this.#mailbox.run(async () => {
      const state = this.#log.state();
      if (state.failure === null) return false;
      if (!isOutOfSpace(state.failure)) throw state.failure;
      await state.release();
      await this.#reopen(state, {
        endOffset: state.writer.flushedEndOffset,
        logStartOffset: state.logStartOffset,
      });
      return true;
    });
  }

  /** Takes no more changes and resolves when those that were begun are over. */
  async close(): Promise<void> {
    await this.#mailbox.close();
    await this.#deleted.close();
  }

  /** Runs a change when those before are over; a disk that fails then fails the log. */
  #run<T>(task: (state: LogState) => Promise<T>): Promise<T> {
    return this.#mailbox.run(async () => {
      this.#log.refuseUnlessUsable();
      const state = this.#log.state();
      try {
        return await task(state);
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        state.writer.fail(error);
        throw new KafkaError("KAFKA_STORAGE_ERROR", error.message, { cause: error });
      }
    });
  }

  async #removeOldest(state: LogState, segment: Segment): Promise<void> {
    const { disk } = this.#dependencies;
    const { directory } = this.#log.options;
    await segment.freeze();
    try {
      const paths = await markDeleted(disk, directory, segment.baseOffset);
      state.segments.replaceAll(state.segments.list.filter((each) => each !== segment));
      this.#deleted.removeAfter(this.#log.config().fileDeleteDelayMs, paths);
    } finally {
      await segment.close();
    }
  }

  async #startAnew(state: LogState, offset: number): Promise<void> {
    const lowest = Math.min(offset, state.logStartOffset);
    await this.#cut(state, { endOffset: lowest, logStartOffset: lowest }, async () => {
      const { list } = state.segments;
      await Promise.all(list.map((segment) => segment.freeze()));
      await state.syncNames();
      await startAnew(this.#dependencies.disk, this.#log.options.directory, list, offset);
      return { endOffset: offset, logStartOffset: offset };
    });
  }

  /**
   * The order of a truncation: what is known durable falls first, then nobody writes or reads any more,
   * then the files are cut, and what is left is recovered as after a crash.
   */
  async #cut(
    state: LogState,
    limits: TruncationLimits,
    cutFiles: () => Promise<TruncationLimits>,
  ): Promise<void> {
    assert(!this.#isCutting, "a log is cut by one at a time");
    this.#isCutting = true;
    try {
      await state.settle();
      state.writer.distrustFrom(limits.endOffset);
      await this.#log.options.beforeTruncation?.(limits);
      state.writer.stop();
      try {
        await state.writer.quiet();
        await this.#reopen(state, await cutFiles());
      } finally {
        // Who waits to read one of the old segments looks anew, or is refused.
        await state.release();
      }
    } finally {
      this.#isCutting = false;
    }
  }

  async #reopen(old: LogState, { endOffset, logStartOffset }: TruncationLimits): Promise<void> {
    const options = {
      ...this.#log.options,
      config: this.#log.config(),
      isClean: false,
      recoveryPoint: endOffset,
      logStartOffset,
    };
    const recovered = await recoverLog(this.#dependencies, options);
    const { isDirectoryDurable } = old;
    const state = this.#log.newState(recovered, { logStartOffset, isDirectoryDurable });
    try {
      await state.measure();
      await state.settle();
      // Its directory may have gone offline meanwhile (R9).
      if (old.failure !== null && !isOutOfSpace(old.failure)) throw old.failure;
    } catch (error) {
      await state.release();
      throw error;
    }
    this.#log.adopt(state);
  }
}
