import { assert, must } from "../base/assert.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { type Disk, DiskError, isNotFound } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { type Random, randomUuid } from "../base/random.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { KafkaError } from "../protocol/errors.ts";
import { asDirectoryError } from "./directory-error.ts";
import { markedDirectoryName, partitionDirectoryName, type DirectoryMark } from "./file-names.ts";
import { Limiter } from "./limiter.ts";
import { Log, type LogConfig } from "./log.ts";
import { LogDirectory } from "./log-directory.ts";
import { listLogFiles, removeFile } from "./log-files.ts";
import { SegmentCache } from "./segment-cache.ts";
import { TailCache } from "./tail-cache.ts";

export { DirectoryError, type DirectoryErrorCode } from "./directory-error.ts";

export interface LogManagerDependencies {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly timers: TimerQueue;
}

export interface LogManagerOptions {
  readonly logDirs: readonly string[];
  readonly nodeId: number;
  /** null: keep the directories' own, or make one. */
  readonly clusterId: string | null;
  /** log.flush.offset.checkpoint.interval.ms; default 60000. */
  readonly checkpointIntervalMs?: number;
  /** replica.high.watermark.checkpoint.interval.ms; default 5000. */
  readonly highWatermarkCheckpointIntervalMs?: number;
  /** producer.id.expiration.ms; default 86400000. */
  readonly producerIdExpirationMs?: number;
  /** holdfast.tail.cache.bytes; default 0: none. */
  readonly tailCacheBytes?: number;
}

export interface PartitionId {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid;
}

export interface LogDirectoryState {
  readonly path: string;
  readonly directoryId: Uuid;
  readonly isOnline: boolean;
}

type HighWatermarkSource = (topic: string, partitionIndex: number) => number | undefined;

/** Logs that are opened, recovered or closed at a time. */
const MAX_CONCURRENT_LOGS = 16;
/** Inactive segments that are kept open, over all logs. */
const MAX_OPEN_SEGMENTS = 256;
/** producer.id.expiration.check.interval.ms. */
const PRODUCER_CHECK_INTERVAL_MS = 600_000;
/** Refusals that say nothing about the health of the directory's disk. */
const HARMLESS_CODES: ReadonlySet<string> = new Set(["EUCLEAN", "EMFILE", "ENFILE"]);

/**
 * The logs of this node's partitions in all its log directories. A directory in which a write or
 * sync has failed is offline with all its logs, for ever (R9); the process and the others go on.
 */
export class LogManager {
  readonly clusterId: string;
  /** Of the run before, if that ended in order in all directories; otherwise null (R5). */
  readonly previousBrokerEpoch: number | null;

  readonly #dependencies: LogManagerDependencies;
  readonly #options: LogManagerOptions;
  readonly #directories: readonly LogDirectory[];
  readonly #limiter = new Limiter(MAX_CONCURRENT_LOGS);
  readonly #segmentCache = new SegmentCache(MAX_OPEN_SEGMENTS);
  readonly #tailCache: TailCache;
  /** What is going on with a partition, by directory name: one thing at a time. */
  readonly #pending = new Map<string, Promise<unknown>>();
  readonly #timers = new Set<Timer>();
  readonly #background = new Set<Promise<void>>();
  #highWatermarks: HighWatermarkSource = () => undefined;
  #onOffline: (path: string, error: DiskError) => void = () => undefined;
  #closing: Promise<void> | null = null;

  private constructor(
    dependencies: LogManagerDependencies,
    options: LogManagerOptions,
    directories: readonly LogDirectory[],
    clusterId: string,
  ) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#tailCache = new TailCache({ capacityBytes: options.tailCacheBytes ?? 0 });
    this.#directories = directories;
    this.clusterId = clusterId;
    const epochs = new Set(directories.map((found) => found.cleanShutdown?.brokerEpoch ?? null));
    const [epoch = null] = epochs;
    this.previousBrokerEpoch = epochs.size === 1 ? epoch : null;
  }

  /**
   * Locks the directories, makes new ones this node's, reads checkpoints and takes the clean-shutdown
   * marks away, durably (R5). Opens no log. Throws DirectoryError; nothing stays locked then.
   */
  static async open(
    dependencies: LogManagerDependencies,
    options: LogManagerOptions,
  ): Promise<LogManager> {
    assert(options.logDirs.length > 0, "there is a log directory");
    const directories: LogDirectory[] = [];
    try {
      for (const path of options.logDirs) {
        directories.push(await LogDirectory.open(dependencies, withoutSlash(path)));
      }
      const found = directories.find((directory) => directory.clusterId !== null)?.clusterId;
      const clusterId = options.clusterId ?? found ?? randomUuid(dependencies.random);
      for (const directory of directories) directory.checkOwner(options.nodeId, clusterId);
      const limiter = new Limiter(MAX_CONCURRENT_LOGS);
      for (const directory of directories) {
        try {
          await directory.format(options.nodeId, clusterId);
          await directory.load(limiter);
        } catch (error) {
          throw asDirectoryError(directory.path, error);
        }
      }
      const manager = new LogManager(dependencies, options, directories, clusterId);
      manager.#start();
      return manager;
    } catch (error) {
      for (const directory of directories) await directory.unlock();
      throw error;
    }
  }

  get directories(): readonly LogDirectoryState[] {
    return this.#directories.map(({ path, directoryId, failure }) => ({
      path,
      directoryId,
      isOnline: failure === null,
    }));
  }

  /** Called when a directory goes offline (R9), after its logs were told. */
  setDirectoryListener(onOffline: (path: string, error: DiskError) => void): void {
    this.#onOffline = onOffline;
  }

  /** What replication-offset-checkpoint holds; without one, each log's safe end (one replica). */
  setHighWatermarkSource(source: HighWatermarkSource): void {
    this.#highWatermarks = source;
  }

  /** The high watermark that was checkpointed before this start. */
  checkpointedHighWatermark(topic: string, partitionIndex: number): number | undefined {
    return this.#holder(partitionDirectoryName(topic, partitionIndex))?.checkpointOf(
      "replication-offset-checkpoint",
      topic,
      partitionIndex,
    );
  }

  /** Partitions with a directory here whose topic is known, opened or not. */
  partitionsOnDisk(): readonly PartitionId[] {
    return this.#directories.flatMap((directory) =>
      [...directory.partitions.values()].flatMap(({ topic, partitionIndex, topicId }) =>
        topicId === null ? [] : [{ topic, partitionIndex, topicId }],
      ),
    );
  }

  /** The log, if it is open. */
  log(topic: string, partitionIndex: number): Log | undefined {
    const key = partitionDirectoryName(topic, partitionIndex);
    return this.#holder(key)?.logs.get(key);
  }

  /**
   * Opens the partition's log, recovering what was not flushed, or makes it in the directory with the
   * fewest. A directory of that name that is of another topic id, or of none that can be read, is a
   * stray: it is moved aside. Throws KafkaError KAFKA_STORAGE_ERROR.
   */
  openLog(id: PartitionId, config: LogConfig): Promise<Log> {
    const key = partitionDirectoryName(id.topic, id.partitionIndex);
    return this.#inTurn(key, () => this.#limiter.run(() => this.#openLog(key, id, config)));
  }

  /** Deletes the partition's log, open or not. The name is free when it resolves. */
  deleteLog(topic: string, partitionIndex: number): Promise<void> {
    const key = partitionDirectoryName(topic, partitionIndex);
    return this.#inTurn(key, async () => {
      const directory = this.#holder(key);
      if (directory === undefined) return;
      await directory.logs.get(key)?.abandon();
      const path = await this.#moveAside(directory, key, "delete");
      if (path !== null)
        await this.#guard(directory, () => removeFile(this.#dependencies.disk, path));
    });
  }

  /**
   * Closes all logs and leaves each directory marked as clean in which everything was in order, with
   * the broker epoch that the next registration names. Releases the locks. Idempotent.
   */
  close(brokerEpoch: number | null): Promise<void> {
    this.#closing ??= this.#close(brokerEpoch);
    return this.#closing;
  }

  async #close(brokerEpoch: number | null): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    await Promise.allSettled([...this.#pending.values(), ...this.#background]);
    const logs = this.#directories.flatMap((directory) => [...directory.logs.values()]);
    await Promise.all(logs.map((log) => this.#limiter.run(() => log.close())));
    for (const directory of this.#directories) {
      await this.#checkpoint(directory, true);
      const isInOrder = [...directory.logs.values()].every((log) => log.failure === null);
      // A partition that nobody opened since an unclean start still has to be recovered.
      const isAllOpened = directory.isClean || directory.logs.size === directory.partitions.size;
      if (isInOrder && isAllOpened) {
        await this.#guard(directory, () => directory.markClean(brokerEpoch));
      }
      await directory.unlock();
    }
  }

  async #openLog(key: string, id: PartitionId, config: LogConfig): Promise<Log> {
    // Several directories may hold the name: one that was offline when its topic was deleted.
    let directory = this.#directories.find(
      (each) => each.partitions.get(key)?.topicId === id.topicId,
    );
    const open = directory?.logs.get(key);
    if (open !== undefined) return open;
    for (const each of this.#directories) {
      if (each !== directory && each.partitions.has(key)) await this.#evict(each, key, id);
    }
    directory ??= this.#emptiest();
    const chosen = directory;
    // At once, so that many partitions that are made together are spread.
    chosen.partitions.set(key, id);
    const log = await this.#guard(chosen, () => this.#open(chosen, key, id, config));
    if (log === null) throw offline(chosen);
    // The directory went offline while the log was being opened (R9).
    if (chosen.failure !== null) log.fail(chosen.failure);
    chosen.logs.set(key, log);
    return log;
  }

  #open(directory: LogDirectory, key: string, id: PartitionId, config: LogConfig): Promise<Log> {
    const { disk, clock, logger, timers } = this.#dependencies;
    const offsetOf = (name: Parameters<LogDirectory["checkpointOf"]>[0]): number =>
      directory.checkpointOf(name, id.topic, id.partitionIndex) ?? 0;
    return Log.open(
      {
        disk,
        clock,
        logger,
        timers,
        segmentCache: this.#segmentCache,
        tailCache: this.#tailCache,
        parentSync: directory.sync,
      },
      {
        directory: `${directory.path}/${key}`,
        config,
        isClean: directory.isClean,
        recoveryPoint: offsetOf("recovery-point-offset-checkpoint"),
        logStartOffset: offsetOf("log-start-offset-checkpoint"),
        topicId: id.topicId,
        onFailure: (error) => this.#failed(directory, error),
      },
    );
  }

  /** Takes a directory of the same name but of another topic out of the way. */
  async #evict(directory: LogDirectory, key: string, id: PartitionId): Promise<void> {
    const { disk, logger } = this.#dependencies;
    const path = `${directory.path}/${key}`;
    const stored = directory.partitions.get(key);
    if (stored?.topicId === null) {
      const files = await this.#guard(directory, () => listLogFiles(disk, path));
      if (files === null || files.segmentBases.length === 0) {
        // A crash came before its first file: there is nothing in it.
        directory.partitions.delete(key);
        return;
      }
    }
    await directory.logs.get(key)?.abandon();
    const movedTo = await this.#moveAside(directory, key, "stray");
    logger.warn(
      { directory: path, foundTopicId: stored?.topicId, topicId: id.topicId, movedTo },
      "moved a directory of another topic aside",
    );
  }

  /** null: the directory is offline, and the log only forgotten. */
  async #moveAside(
    directory: LogDirectory,
    key: string,
    mark: DirectoryMark,
  ): Promise<string | null> {
    const { disk, random } = this.#dependencies;
    const uniqueId = random.bytes(16).toString("hex");
    const path = `${directory.path}/${markedDirectoryName(key, uniqueId, mark)}`;
    const moved = await this.#guard(directory, async () => {
      try {
        await disk.rename(`${directory.path}/${key}`, path);
      } catch (error) {
        // Its opening was refused before anything was made (EMFILE): there is nothing to move.
        if (!isNotFound(error)) throw error;
      }
      await directory.forget(key);
      return path;
    });
    if (moved === null) {
      directory.partitions.delete(key);
      directory.logs.delete(key);
    }
    return moved;
  }

  #holder(key: string): LogDirectory | undefined {
    return this.#directories.find((directory) => directory.partitions.has(key));
  }

  #emptiest(): LogDirectory {
    const online = this.#directories.filter((directory) => directory.failure === null);
    if (online.length === 0) throw offline(must(this.#directories[0], "there is a directory"));
    return online.reduce((best, other) =>
      other.partitions.size < best.partitions.size ? other : best,
    );
  }

  #start(): void {
    const {
      checkpointIntervalMs = 60_000,
      highWatermarkCheckpointIntervalMs = 5_000,
      producerIdExpirationMs = 86_400_000,
    } = this.#options;
    this.#every(checkpointIntervalMs, () => this.#checkpointAll(true));
    this.#every(highWatermarkCheckpointIntervalMs, () => this.#checkpointAll(false));
    this.#every(PRODUCER_CHECK_INTERVAL_MS, () => {
      for (const { logs } of this.#directories) {
        for (const log of logs.values()) log.expireProducers(producerIdExpirationMs);
      }
      return Promise.resolve();
    });
    for (const directory of this.#directories) {
      this.#inBackground(async () => {
        await this.#guard(directory, () => directory.removeLeftovers());
      });
    }
  }

  /** Runs the task again and again, so long after it has ended. */
  #every(intervalMs: number, task: () => Promise<void>): void {
    const timer = this.#dependencies.timers.after(intervalMs, () => {
      this.#timers.delete(timer);
      this.#inBackground(async () => {
        await task();
        if (this.#closing === null) this.#every(intervalMs, task);
      });
    });
    this.#timers.add(timer);
  }

  #inBackground(task: () => Promise<void>): void {
    const running = task().finally(() => this.#background.delete(running));
    this.#background.add(running);
  }

  async #checkpointAll(hasStarts: boolean): Promise<void> {
    for (const directory of this.#directories) await this.#checkpoint(directory, hasStarts);
  }

  /**
   * Recovery points go with the high watermarks, not with the log starts: damage below them is told
   * from a torn tail (R10), so each moment that they are late is one in which it would be cut.
   */
  async #checkpoint(directory: LogDirectory, hasStarts: boolean): Promise<void> {
    await this.#guard(directory, async () => {
      await directory.writeCheckpoint(
        "replication-offset-checkpoint",
        (log, topic, partitionIndex) =>
          this.#highWatermarks(topic, partitionIndex) ?? log.safeEndOffset,
      );
      await directory.writeCheckpoint(
        "recovery-point-offset-checkpoint",
        (log) => log.flushedEndOffset,
      );
      if (!hasStarts) return;
      await directory.writeCheckpoint("log-start-offset-checkpoint", (log) =>
        log.logStartOffset > 0 ? log.logStartOffset : null,
      );
    });
  }

  /** null when the directory is, or by this goes, offline. */
  async #guard<T>(directory: LogDirectory, task: () => Promise<T>): Promise<T | null> {
    if (directory.failure !== null) return null;
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#failed(directory, error);
      return null;
    }
  }

  #failed(directory: LogDirectory, error: DiskError): void {
    if (directory.failure !== null || HARMLESS_CODES.has(error.code)) return;
    directory.failure = error;
    this.#dependencies.logger.error(
      { directory: directory.path, error },
      "the log directory is offline: a failed write or sync is final; check the disk, then restart",
    );
    for (const log of directory.logs.values()) log.fail(error);
    this.#onOffline(directory.path, error);
  }

  /** Runs the task when what goes on with the partition is over. */
  #inTurn<T>(key: string, task: () => Promise<T>): Promise<T> {
    assert(this.#closing === null, "a closed manager opens and deletes no logs");
    const before = this.#pending.get(key) ?? Promise.resolve();
    const result = before.then(task, task);
    this.#pending.set(key, result);
    const clear = (): void => {
      if (this.#pending.get(key) === result) this.#pending.delete(key);
    };
    result.then(clear, clear);
    return result;
  }
}

function offline(directory: LogDirectory): KafkaError {
  const reason = directory.failure?.message ?? "it was refused";
  return new KafkaError(
    "KAFKA_STORAGE_ERROR",
    `log directory ${directory.path} cannot be used: ${reason}`,
  );
}

function withoutSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}
