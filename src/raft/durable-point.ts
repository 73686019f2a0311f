import type { Timer } from "../base/clock.ts";
import { type Disk, DiskError, isOutOfSpace } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { replaceFile } from "../storage/atomic-file.ts";
import {
  DamagedFileError,
  decodeOffsetCheckpoint,
  encodeOffsetCheckpoint,
} from "../storage/checkpoint.ts";
import { readUnlessMissing } from "../storage/log-files.ts";

/** Kafka's name and format of such a file; Kafka keeps none for this log, and looks at none here. */
const FILE = "recovery-point-offset-checkpoint";
const PARTITION = { topic: "__cluster_metadata", partitionIndex: 0 } as const;

/** How far the file may lag behind the syncs: it costs three syncs itself. */
const LAG_MS = 1_000;

export interface DurablePointDependencies {
  readonly disk: Disk;
  readonly timers: TimerQueue;
  readonly logger: Logger;
  /** A call has failed: what that means for the directory is for who owns it to say (R9). */
  readonly onDiskFailure: (error: DiskError) => void;
}

/**
 * Up to where the metadata log is durable, in a file of its own beside it. Everything in that log was
 * promised to somebody, so what is damaged below this point is no torn tail, and the node must not go on
 * without it (R10, R12). Only what was appended in the last second before a crash cannot be told apart.
 */
export class DurablePoint {
  readonly #dependencies: DurablePointDependencies;
  readonly #directory: string;
  #writtenOffset: number;
  #offset: number;
  #timer: Timer | null = null;
  #writing: Promise<void> | null = null;
  /** A sync that has failed is not tried again (R9). */
  #hasFailed = false;

  private constructor(dependencies: DurablePointDependencies, directory: string, offset: number) {
    this.#dependencies = dependencies;
    this.#directory = directory;
    this.#offset = offset;
    this.#writtenOffset = offset;
  }

  /** Reads the file; without one, or with a damaged one, nothing is known to be durable. */
  static async open(
    dependencies: DurablePointDependencies,
    directory: string,
  ): Promise<DurablePoint> {
    const path = `${directory}/${FILE}`;
    const bytes = await readUnlessMissing(dependencies.disk, path);
    let offset = 0;
    try {
      if (bytes !== null) offset = decodeOffsetCheckpoint(bytes)[0]?.offset ?? 0;
    } catch (error) {
      if (!(error instanceof DamagedFileError)) throw error;
      dependencies.logger.warn(
        { file: path, reason: error.message },
        "the file is damaged: made anew",
      );
    }
    return new DurablePoint(dependencies, directory, offset);
  }

  get offset(): number {
    return this.#offset;
  }

  /** All below the offset is synced. It is noted a little later. */
  advance(offset: number): void {
    if (offset <= this.#offset) return;
    this.#offset = offset;
    if (this.#hasFailed) return;
    this.#timer ??= this.#dependencies.timers.after(LAG_MS, () => {
      this.#timer = null;
      void this.write();
    });
  }

  /** Writes what is known now. */
  async write(): Promise<void> {
    await this.#writing;
    if (this.#offset === this.#writtenOffset || this.#hasFailed) return;
    this.#writing = this.#note(this.#offset).finally(() => {
      this.#writing = null;
    });
    await this.#writing;
  }

  /**
   * The log is about to be cut there: when this resolves, no crash leaves a file that says more, by
   * which the cut would look like damage; and nothing is written before the next `advance`, as the
   * recovery that ends the cut removes what is half written. Throws DiskError.
   */
  async retreat(offset: number): Promise<void> {
    await this.stop();
    this.#offset = Math.min(this.#offset, offset);
    if (this.#writtenOffset > offset) await this.#replace(this.#offset);
  }

  /** Nothing is written any more, unless by `write`. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    await this.#writing;
  }

  async #note(offset: number): Promise<void> {
    try {
      await this.#replace(offset);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#hasFailed = !isOutOfSpace(error);
      this.#dependencies.onDiskFailure(error);
    }
  }

  async #replace(offset: number): Promise<void> {
    const { disk } = this.#dependencies;
    const content = encodeOffsetCheckpoint([{ ...PARTITION, offset }]);
    await replaceFile(disk, `${this.#directory}/${FILE}`, content);
    await disk.syncDir(this.#directory);
    this.#writtenOffset = offset;
  }
}
