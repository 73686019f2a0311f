import type { Timer } from "../base/clock.ts";
import { type Disk, DiskError, isOutOfSpace } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { LogDirectory } from "./log-directory.ts";

/** How often a full directory is asked for room. */
export const PROBE_INTERVAL_MS = 1_000;
/** Less is not worth a try: a segment's next write would fail again. */
const MIN_USABLE_BYTES = 64 * 1024;
/** Refusals that say nothing about the health of the directory's disk. */
const HARMLESS_CODES: ReadonlySet<string> = new Set(["EUCLEAN", "EMFILE", "ENFILE"]);

/** A log as far as the health of its directory is concerned. */
export interface DirectoryLog {
  readonly failure: DiskError | null;
  fail(error: DiskError): void;
  heal(): Promise<void>;
}

export interface DirectoryHealthDependencies {
  readonly disk: Pick<Disk, "statfs">;
  readonly logger: Logger;
  readonly timers: TimerQueue;
  /** All logs that lie in the directory. */
  readonly logsOf: (directory: LogDirectory) => Iterable<DirectoryLog>;
  /** Writes what the directory keeps beside its logs; there is room again. Throws DiskError. */
  readonly rewrite: (directory: LogDirectory) => Promise<void>;
  readonly onHealed: () => void;
}

/**
 * What a failed call means for a directory. No room: it is *full*, what was refused stays refused, and
 * it is asked every second whether there is room; then its logs heal. Anything else: it is *offline*
 * with all its logs, for ever (R9), since what a failed sync was to keep may be gone.
 */
export class DirectoryHealth {
  readonly #dependencies: DirectoryHealthDependencies;
  readonly #timers = new Map<LogDirectory, Timer>();
  readonly #probes = new Set<Promise<void>>();
  #isClosed = false;

  constructor(dependencies: DirectoryHealthDependencies) {
    this.#dependencies = dependencies;
  }

  /** What the task gives, or null when the disk has failed it, or had done so before. */
  async guard<T>(directory: LogDirectory, task: () => Promise<T>): Promise<T | null> {
    if (directory.failure !== null) return null;
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.failed(directory, error);
      return null;
    }
  }

  /** A call in the directory has failed, of its own files or of a log's. */
  failed(directory: LogDirectory, error: DiskError): void {
    if (directory.failure !== null || HARMLESS_CODES.has(error.code)) return;
    if (isOutOfSpace(error)) this.#becomeFull(directory, error);
    else this.#becomeOffline(directory, error);
  }

  /** Asks no more. Resolves when no probe runs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    await Promise.all(this.#probes);
  }

  #becomeOffline(directory: LogDirectory, error: DiskError): void {
    directory.failure = error;
    this.#timers.get(directory)?.cancel();
    this.#timers.delete(directory);
    this.#dependencies.logger.error(
      { directory: directory.path, error },
      "the log directory is offline, and the partitions in it: a failed write or sync is final; " +
        "check the disk, then restart",
    );
    for (const log of this.#dependencies.logsOf(directory)) log.fail(error);
  }

  #becomeFull(directory: LogDirectory, error: DiskError): void {
    if (directory.fullness === null) {
      this.#dependencies.logger.error(
        { directory: directory.path, error },
        "the log directory is full: what does not fit is refused, nothing that was acknowledged is " +
          "lost; make room, it goes on by itself",
      );
    }
    directory.fullness = error;
    this.#probeLater(directory);
  }

  #probeLater(directory: LogDirectory): void {
    if (this.#isClosed || this.#timers.has(directory)) return;
    const timer = this.#dependencies.timers.after(PROBE_INTERVAL_MS, () => {
      const probe = this.#probe(directory).finally(() => {
        this.#probes.delete(probe);
        this.#timers.delete(directory);
        const isFull = directory.fullness !== null && directory.failure === null;
        if (isFull) this.#probeLater(directory);
      });
      this.#probes.add(probe);
    });
    this.#timers.set(directory, timer);
  }

  async #probe(directory: LogDirectory): Promise<void> {
    const { disk, logger, logsOf, rewrite, onHealed } = this.#dependencies;
    const { fullness } = directory;
    // A quota or the number of files may be the limit, which statfs does not tell: then the first
    // that does not fit says so again.
    if (!(await hasRoom(disk, directory.path))) return;
    const isHealed = await this.guard(directory, async () => {
      for (const log of logsOf(directory)) {
        if (this.#isClosed) return false;
        if (log.failure !== null && isOutOfSpace(log.failure)) await log.heal();
      }
      await rewrite(directory);
      return true;
    });
    // Meanwhile another call may have found no room.
    if (isHealed !== true || this.#isClosed || directory.fullness !== fullness) return;
    directory.fullness = null;
    logger.warn({ directory: directory.path }, "there is room again in the log directory");
    onHealed();
  }
}

/** What a client hears of a directory that has refused something. */
export function storageError({ path, failure, fullness }: LogDirectory): KafkaError {
  const reason = failure?.message ?? fullness?.message ?? "it was refused";
  return new KafkaError("KAFKA_STORAGE_ERROR", `log directory ${path} cannot be used: ${reason}`);
}

/** Whether there may be room in the directory: it is worth a try. */
export async function hasRoom(disk: Pick<Disk, "statfs">, path: string): Promise<boolean> {
  try {
    return (await disk.statfs(path)).usableBytes >= MIN_USABLE_BYTES;
  } catch (error) {
    // Nothing was to be kept by this call: it only leaves the question open.
    if (!(error instanceof DiskError)) throw error;
    return true;
  }
}
