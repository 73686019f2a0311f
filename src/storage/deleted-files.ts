import type { Timer } from "../base/clock.ts";
import { type Disk, DiskError, isNotFound } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { offsetFileName, SEGMENT_SUFFIXES } from "./file-names.ts";
import { removeFile } from "./log-files.ts";
import { DELETED_SUFFIX } from "./segment-swap.ts";

/**
 * Takes a segment out of the log, durably: its files get names that no log has. The `.log` goes first, and
 * for certain, as the rest is stray without it: one that a power cut brought back without its `.txnindex`
 * would have no aborted transactions (X6). Returns the new paths. Throws DiskError.
 */
export async function markDeleted(
  disk: Disk,
  directory: string,
  baseOffset: number,
): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const suffix of SEGMENT_SUFFIXES) {
    const path = `${directory}/${offsetFileName(baseOffset, suffix)}`;
    try {
      await disk.rename(path, `${path}${DELETED_SUFFIX}`);
      paths.push(`${path}${DELETED_SUFFIX}`);
    } catch (error) {
      // Not every segment has a transaction index, and the first one no snapshot.
      if (!isNotFound(error)) throw error;
    }
    if (suffix === ".log") await disk.syncDir(directory);
  }
  return paths;
}

/** Files of a log that are marked as deleted and wait for file.delete.delay.ms. */
export class DeletedFiles {
  readonly #disk: Disk;
  readonly #timers: TimerQueue;
  readonly #logger: Logger;
  readonly #waiting = new Set<Timer>();
  readonly #removing = new Set<Promise<void>>();

  constructor(dependencies: {
    readonly disk: Disk;
    readonly timers: TimerQueue;
    readonly logger: Logger;
  }) {
    this.#disk = dependencies.disk;
    this.#timers = dependencies.timers;
    this.#logger = dependencies.logger;
  }

  removeAfter(delayMs: number, paths: readonly string[]): void {
    if (paths.length === 0) return;
    const timer = this.#timers.after(delayMs, () => {
      this.#waiting.delete(timer);
      const removing = this.#remove(paths).finally(() => this.#removing.delete(removing));
      this.#removing.add(removing);
    });
    this.#waiting.add(timer);
  }

  /** What still waits is removed when the log is opened the next time. */
  async close(): Promise<void> {
    for (const timer of this.#waiting) timer.cancel();
    this.#waiting.clear();
    await Promise.all(this.#removing);
  }

  async #remove(paths: readonly string[]): Promise<void> {
    try {
      for (const path of paths) await removeFile(this.#disk, path);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      // Nothing hangs on it but the room: the next start tries again.
      this.#logger.warn({ error }, "a deleted segment's file could not be removed");
    }
  }
}
