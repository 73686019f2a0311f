import { assert } from "../base/assert.ts";
import type { DiskError } from "../base/disk.ts";
import { BackgroundTasks } from "./background-tasks.ts";
import { cleanerOf } from "./directory-cleaning.ts";
import { DirectoryHealth, type DirectoryLog, storageError } from "./directory-health.ts";
import { directoryStates } from "./directory-states.ts";
import { type OpenedDirectories, openDirectories, openLeftOut } from "./directory-opening.ts";
import { partitionDirectoryName } from "./file-names.ts";
import { Limiter } from "./limiter.ts";
import { Log, type LogConfig } from "./log.ts";
import type { LogCleaner } from "./log-cleaner.ts";
import type { LogDirectory, StoredPartition } from "./log-directory.ts";
import { type LogMove, LogMoves } from "./log-moves.ts";
import { LogRemoval } from "./log-removal.ts";
import { repairPartitionMetadata } from "./partition-repair.ts";
import { RecoveryReport } from "./recovery-report.ts";
import { retainedLogs, Retention } from "./retention.ts";
import { SegmentCache } from "./segment-cache.ts";
import type {
  InterruptedMove,
  LogDirectoryState,
  LogManagerDependencies,
  LogManagerOptions,
  PartitionId,
} from "./log-manager-options.ts";
import { LogPlacement } from "./log-placement.ts";
import { type StoredLog, storedLogsOf } from "./stored-logs.ts";
import { TailCache } from "./tail-cache.ts";
import { recoverUnopened } from "./unopened-logs.ts";
import { Turns } from "./turns.ts";
import { UnusableDirectories } from "./unusable-directories.ts";

export { DirectoryError, type DirectoryErrorCode } from "./directory-error.ts";
export type {
  LogDirectoryState,
  LogManagerDependencies,
  LogManagerOptions,
  PartitionId,
} from "./log-manager-options.ts";

type HighWatermarkSource = (topic: string, partitionIndex: number) => number | undefined;

/** Logs that are opened, recovered or closed at a time. */
const MAX_CONCURRENT_LOGS = 16;
/** Inactive segments that are kept open, over all logs, and their share of the files. */
const MAX_OPEN_SEGMENTS = 256;
const OPEN_SEGMENTS_SHARE = 1 / 8;
/** producer.id.expiration.check.interval.ms. */
const PRODUCER_CHECK_INTERVAL_MS = 600_000;
/**
 * The logs of this node's partitions in all its log directories. A directory in which a write or
 * sync has failed is offline with all its logs, for ever (R9); one that is full heals by itself. The
 * process and the other directories go on, even when there is no other.
 */
export class LogManager {
  readonly clusterId: string;
  /** Of the run before, if that ended in order in all directories; otherwise null (R5). */
  readonly previousBrokerEpoch: number | null;

  readonly #dependencies: LogManagerDependencies;
  readonly #options: LogManagerOptions;
  readonly #directories: LogDirectory[];
  readonly #unusable: UnusableDirectories;
  readonly #placement: LogPlacement;
  readonly #health: DirectoryHealth;
  readonly #limiter: Limiter;
  readonly #segmentCache: SegmentCache;
  readonly #tailCache: TailCache;
  /** What is going on with a partition, by directory name: one thing at a time. */
  readonly #turns = new Turns();
  readonly #background: BackgroundTasks;
  readonly #cleaner: LogCleaner | null;
  readonly #removal: LogRemoval;
  readonly #moves: LogMoves;
  #highWatermarks: HighWatermarkSource = () => undefined;
  #onHealed: () => void = () => undefined;
  /** Logs in the directories that others have opened: the metadata log. */
  readonly #adopted = new Map<LogDirectory, DirectoryLog>();
  readonly #recoveryReport: RecoveryReport;
  #closing: Promise<void> | null = null;

  private constructor(
    dependencies: LogManagerDependencies,
    options: LogManagerOptions,
    { usable, unusable, clusterId }: OpenedDirectories,
    limiter: Limiter,
  ) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#recoveryReport = new RecoveryReport(dependencies);
    for (const { path, partitions } of usable) this.#recoveryReport.expect(path, partitions.size);
    this.#limiter = limiter;
    this.#background = new BackgroundTasks(dependencies.timers);
    this.#tailCache = new TailCache({ capacityBytes: options.tailCacheBytes ?? 0 });
    const share = Math.floor((options.maxOpenFiles ?? Infinity) * OPEN_SEGMENTS_SHARE);
    this.#segmentCache = new SegmentCache(Math.min(MAX_OPEN_SEGMENTS, share));
    this.#directories = [...usable];
    this.clusterId = clusterId;
    this.#unusable = new UnusableDirectories(
      {
        ...dependencies,
        background: this.#background,
        open: (path) =>
          openLeftOut({ ...dependencies, limiter }, path, { nodeId: options.nodeId, clusterId }),
        onOpened: (directory) => this.#onOpenedLate(directory),
      },
      unusable,
    );
    this.#placement = new LogPlacement(this.#directories, () => this.#unusable.paths);
    const epochs = new Set(usable.map((found) => found.cleanShutdown?.brokerEpoch ?? null));
    const [epoch = null] = epochs;
    this.previousBrokerEpoch = epochs.size === 1 && unusable.length === 0 ? epoch : null;
    this.#health = new DirectoryHealth({
      ...dependencies,
      logsOf: (directory) => this.#logsOf(directory),
      rewrite: (directory) => directory.rewriteCheckpoints(this.#highWatermarks),
      onHealed: () => this.#onHealed(),
    });
    this.#removal = new LogRemoval({
      ...dependencies,
      health: this.#health,
      background: this.#background,
      isClosing: () => this.#closing !== null,
    });
    this.#moves = new LogMoves({
      ...dependencies,
      health: this.#health,
      inTurn: (key, task) => this.#inTurn(key, task),
      open: (directory, key, id, config) => this.#open(directory, key, id, config),
      remove: (directory, key) => this.#removal.remove(directory, key),
    });
    this.#cleaner = cleanerOf(dependencies, options.cleaner, {
      directories: this.#directories,
      health: this.#health,
      logsOnline: () => [...this.logsOnline()].filter((log) => !this.#moves.isMoving(log)),
      highWatermarkOf: (topic, partitionIndex) => this.#highWatermarks(topic, partitionIndex),
    });
  }

  /**
   * Locks the directories, makes new ones this node's, reads checkpoints and takes the clean-shutdown
   * marks away, durably (R5). Opens no log. One that the disk refuses is offline, and the others are
   * served; not so the first. One that has no room is opened when it has. Throws DirectoryError; nothing
   * stays locked then.
   */
  static async open(
    dependencies: LogManagerDependencies,
    options: LogManagerOptions,
  ): Promise<LogManager> {
    const limiter = new Limiter(MAX_CONCURRENT_LOGS);
    const opened = await openDirectories({ ...dependencies, limiter }, options);
    const manager = new LogManager(dependencies, options, opened, limiter);
    manager.#start();
    return manager;
  }

  get directories(): readonly LogDirectoryState[] {
    return directoryStates(this.#directories, this.#unusable.paths);
  }

  /** The logs that are open in the directory of that path, and those that are being copied there. */
  storedLogs(path: string): readonly StoredLog[] {
    const directories = this.#directories.filter((each) => each.path === path);
    return directories.flatMap((each) => [...storedLogsOf(each), ...this.#moves.storedIn(each)]);
  }

  /** The path of the directory that holds the partition. */
  pathOf(topic: string, partitionIndex: number): string | undefined {
    return this.#holder(partitionDirectoryName(topic, partitionIndex))?.path;
  }

  /** The partition's log, when it is made, is to lie in the directory of that path. */
  preferPath(topic: string, partitionIndex: number, path: string): void {
    this.#placement.prefer(topic, partitionIndex, path);
  }

  /** Moves that the last run had begun and not completed. */
  get interruptedMoves(): readonly InterruptedMove[] {
    return this.#directories.flatMap(({ path, futures }) =>
      futures.map((future) => ({ ...future, path })),
    );
  }

  /**
   * Begins to move the open log to the online directory of that path, which is not its own. The caller
   * sees the move through, or gives it up. Throws KafkaError KAFKA_STORAGE_ERROR.
   */
  beginMove(id: PartitionId, path: string): Promise<LogMove> {
    const from = this.#holder(partitionDirectoryName(id.topic, id.partitionIndex));
    const to = this.#directories.find((each) => each.path === path);
    assert(from !== undefined && to !== undefined, "a log is moved from and to a directory");
    return this.#moves.begin(id, from, to);
  }

  /** Called when a full directory has room and its logs go on: what could not be opened may be now. */
  setHealListener(onHealed: () => void): void {
    this.#onHealed = onHealed;
  }

  /** A log that somebody else has opened in one of the directories: it fails and heals with it. */
  adopt(log: DirectoryLog & { readonly directory: string }): void {
    const found = this.#directories.find(({ path }) => log.directory.startsWith(`${path}/`));
    if (found === undefined) return;
    this.#adopted.set(found, log);
    if (found.failure !== null) log.fail(found.failure);
  }

  /** What a failed call in one of the directories means for it. */
  onDiskFailure(path: string, error: DiskError): void {
    const directory = this.#directories.find((each) => each.path === path);
    if (directory !== undefined) this.#health.failed(directory, error);
  }

  /**
   * All partitions that this node had when it started are open, as far as they can be. From now on one
   * without a directory is new, and is made also while a directory is offline. Those that nobody has
   * opened are recovered, so that they do not keep the next stop from being clean.
   */
  finishStart(): void {
    this.#recoveryReport.summarize();
    this.#placement.finishStart();
    this.#background.start(async () => {
      // All that was recovered is durable now: the next start shall not go over it again, however soon it is.
      await this.#checkpointAll(false);
      await this.#recoverUnopened([...this.#directories]);
    });
  }

  /** The logs that are open and have not failed. */
  *logsOnline(): IterableIterator<Log> {
    for (const { logs } of this.#directories) {
      for (const log of logs.values()) if (log.failure === null) yield log;
    }
  }

  /**
   * Notes the log's start offset, durably: after it, no crash brings the records below it back into
   * view. Throws KafkaError KAFKA_STORAGE_ERROR.
   */
  checkpointLogStart(log: Log): Promise<void> {
    return this.#note(log, (directory) => directory.writeLogStarts());
  }

  /**
   * Notes how far the log is durable, durably: up to there recovery takes a gap in the offsets for what a
   * compaction has left. Throws KafkaError KAFKA_STORAGE_ERROR.
   */
  checkpointRecoveryPoint(log: Log): Promise<void> {
    return this.#note(log, (directory) => directory.writeCheckpoints(this.#highWatermarks));
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
      await this.#removal.remove(directory, key);
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
    await this.#turns.settled();
    await Promise.all([this.#health.close(), this.#background.close(), this.#cleaner?.close()]);
    const logs = this.#directories.flatMap((directory) => [...directory.logs.values()]);
    await Promise.all(logs.map((log) => this.#limiter.run(() => log.close())));
    for (const directory of this.#directories) {
      await this.#checkpoint(directory, true);
      const isInOrder = [...directory.logs.values()].every((log) => log.failure === null);
      // A partition that nobody opened since an unclean start still has to be recovered.
      const isAllRecovered = [...directory.partitions.keys()].every(
        (key) => directory.logs.has(key) || directory.recovered.has(key),
      );
      const isComplete = directory.fullness === null && (directory.isClean || isAllRecovered);
      if (isInOrder && isComplete) {
        await this.#health.guard(directory, () => directory.markClean(brokerEpoch));
      }
      await directory.unlock();
    }
  }

  async #openLog(key: string, id: PartitionId, config: LogConfig): Promise<Log> {
    // Several directories may hold the name: one that was offline when its topic was deleted, or the two
    // ends of a move that a crash has cut short.
    const holders = this.#directories.filter(
      (each) => each.partitions.get(key)?.topicId === id.topicId,
    );
    const directory =
      holders.find(({ directoryId }) => directoryId === id.directoryId) ??
      holders[0] ??
      (await this.#findDamaged(key, id));
    const open = directory?.logs.get(key);
    if (open !== undefined) return open;
    const isNew = !this.#directories.some(({ partitions }) => partitions.has(key));
    for (const each of this.#directories) {
      if (each !== directory && each.partitions.has(key)) await this.#removal.evict(each, key, id);
    }
    const chosen = directory ?? this.#placement.place(id);
    // At once, so that many partitions that are made together are spread.
    chosen.partitions.set(key, id);
    const log = await this.#health.guard(chosen, async () => {
      await chosen.dropStaleEntries();
      return await this.#open(chosen, key, id, config, isNew);
    });
    if (log === null) throw storageError(chosen);
    // The directory went offline while the log was being opened (R9).
    if (chosen.failure !== null) log.fail(chosen.failure);
    chosen.logs.set(key, log);
    return log;
  }

  #open(
    directory: LogDirectory,
    key: string,
    id: PartitionId,
    config: LogConfig,
    isNew = false,
  ): Promise<Log> {
    const { disk, clock, logger, timers, random } = this.#dependencies;
    return Log.open(
      {
        disk,
        clock,
        logger,
        timers,
        random: random.fork(key),
        segmentCache: this.#segmentCache,
        tailCache: this.#tailCache,
        parentSync: directory.sync,
        recoveryReport: this.#recoveryReport,
      },
      {
        directory: `${directory.path}/${key}`,
        config,
        isNew,
        isClean: directory.isClean || directory.recovered.has(key),
        ...directory.checkpointsOf(id),
        topicId: id.topicId,
        onFailure: (error) => this.#health.failed(directory, error),
        beforeTruncation: (limits) => directory.lowerCheckpoints(id, limits),
      },
    );
  }

  /** The partition's directory whose topic id cannot be read as what it was. */
  async #findDamaged(key: string, id: PartitionId): Promise<LogDirectory | undefined> {
    for (const directory of this.#directories) {
      if (!directory.partitions.has(key)) continue;
      const path = `${directory.path}/${key}`;
      const isRepaired = await this.#health.guard(directory, () =>
        repairPartitionMetadata(this.#dependencies, path, id.topicId),
      );
      if (isRepaired === true) return directory;
    }
    return undefined;
  }

  #holder(key: string): LogDirectory | undefined {
    return this.#directories.find((directory) => directory.partitions.has(key));
  }

  *#logsOf(directory: LogDirectory): IterableIterator<DirectoryLog> {
    yield* directory.logs.values();
    const adopted = this.#adopted.get(directory);
    if (adopted !== undefined) yield adopted;
  }

  /** Recovers the partitions whose topic nobody knows, where an unclean stop has left them. */
  async #recoverUnopened(directories: readonly LogDirectory[]): Promise<void> {
    const { disk, clock, logger, timers } = this.#dependencies;
    for (const directory of directories) {
      for (const key of directory.isClean ? [] : directory.partitions.keys()) {
        if (this.#closing !== null) return;
        await this.#inTurn(key, () =>
          this.#health.guard(directory, () =>
            recoverUnopened({ disk, clock, logger, timers }, directory, key),
          ),
        );
      }
    }
  }

  #start(): void {
    const {
      checkpointIntervalMs = 60_000,
      highWatermarkCheckpointIntervalMs = 5_000,
      producerIdExpirationMs = () => 86_400_000,
      retentionCheckIntervalMs = 300_000,
      initialTaskDelayMs = 30_000,
    } = this.#options;
    this.#background.every(checkpointIntervalMs, () => this.#checkpointAll(true));
    this.#background.every(highWatermarkCheckpointIntervalMs, () => this.#checkpointAll(false));
    this.#background.every(PRODUCER_CHECK_INTERVAL_MS, () => {
      for (const log of this.logsOnline()) log.expireProducers(producerIdExpirationMs());
      return Promise.resolve();
    });
    const retention = new Retention(this.#dependencies.clock);
    const retain = (): Promise<void> =>
      retention.apply(retainedLogs(this.#directories, this.#highWatermarkOf));
    this.#background.every(retentionCheckIntervalMs, retain, initialTaskDelayMs);
    this.#cleaner?.start();
    for (const directory of this.#directories) this.#tidy(directory);
    this.#unusable.start();
  }

  /** A directory that had no room at the start is there now: its partitions can be opened. */
  #onOpenedLate(directory: LogDirectory): void {
    this.#placement.addLate(directory);
    this.#directories.push(directory);
    this.#recoveryReport.expect(directory.path, directory.partitions.size);
    this.#tidy(directory);
    this.#onHealed();
    // Before the end of the start, that sees to it.
    if (this.#placement.hasStarted)
      this.#background.start(() => this.#recoverUnopened([directory]));
  }

  #tidy(directory: LogDirectory): void {
    this.#background.start(async () => {
      await this.#health.guard(directory, () =>
        directory.removeLeftovers(() => this.#closing === null),
      );
    });
  }

  async #note(log: Log, write: (directory: LogDirectory) => Promise<void>): Promise<void> {
    const directory = this.#directories.find(({ path }) => log.directory.startsWith(`${path}/`));
    assert(directory !== undefined, "a log lies in one of the directories");
    const written = await this.#health.guard(directory, async () => {
      await write(directory);
      return true;
    });
    if (written === null) throw storageError(directory);
  }

  readonly #highWatermarkOf = (log: Log, { topic, partitionIndex }: StoredPartition): number =>
    this.#highWatermarks(topic, partitionIndex) ?? log.safeEndOffset;

  async #checkpointAll(hasStarts: boolean): Promise<void> {
    for (const directory of this.#directories) await this.#checkpoint(directory, hasStarts);
  }

  /**
   * Recovery points go with the high watermarks, not with the log starts: damage below them is told
   * from a torn tail (R10), so each moment that they are late is one in which it would be cut.
   */
  async #checkpoint(directory: LogDirectory, hasStarts: boolean): Promise<void> {
    await this.#health.guard(directory, async () => {
      await directory.writeCheckpoints(this.#highWatermarks);
      if (hasStarts) await directory.writeLogStarts();
    });
  }

  /** Runs the task when what goes on with the partition is over. */
  #inTurn<T>(key: string, task: () => Promise<T>): Promise<T> {
    assert(this.#closing === null, "a closed manager opens and deletes no logs");
    return this.#turns.run(key, task);
  }
}
