import { assert } from "../base/assert.ts";
import { type Disk, DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { Random } from "../base/random.ts";
import { KafkaError } from "../protocol/errors.ts";
import { removeDirectory } from "./directory-files.ts";
import type { DirectoryHealth } from "./directory-health.ts";
import { markedDirectoryName, partitionDirectoryName } from "./file-names.ts";
import { CopyAbortedError, LogCopy } from "./log-copy.ts";
import { makeLogDirectory } from "./log-creation.ts";
import type { CheckpointName, LogDirectory } from "./log-directory.ts";
import type { Log, LogConfig } from "./log.ts";
import type { PartitionId } from "./log-manager-options.ts";
import type { StoredLog } from "./stored-logs.ts";

/** Below it, the rest of a log is copied while nothing is appended: some milliseconds. */
const SMALL_REST_BYTES = 1024 * 1024;
/** Segments that are begun so that the rest gets small; a log that grows faster than a disk copies is given up on. */
const MAX_ROLLS = 8;

/** What a moved log must be told by those who serve it. */
export interface MovedLog {
  /** Of the partition when nothing is appended any more. */
  readonly highWatermark: () => number;
  /** Makes the cluster know that the replica lies in the directory of that id from now on. Throws KafkaError. */
  readonly assign: (directoryId: Uuid) => Promise<void>;
}

export interface LogMovesDependencies {
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
  readonly health: DirectoryHealth;
  /** Runs the task when what goes on with the partition is over. */
  readonly inTurn: <T>(key: string, task: () => Promise<T>) => Promise<T>;
  /** Opens the log that lies in the directory. Throws DiskError. */
  readonly open: (
    directory: LogDirectory,
    key: string,
    id: PartitionId,
    config: LogConfig,
  ) => Promise<Log>;
  /** Renames the partition's directory, to be removed. */
  readonly remove: (directory: LogDirectory, key: string) => Promise<void>;
}

/**
 * Moves logs from one directory of this node to another (KIP-113). The copy grows in
 * `topic-partition.<unique>-future`; when little is left, the log is closed, the rest is copied, and the
 * copy takes its name. Until the cluster knows of the new place the old one counts, and until the old one
 * is gone nothing is appended, so that after a crash either of the two is the whole log (S4, S15).
 */
export class LogMoves {
  readonly #dependencies: LogMovesDependencies;
  readonly #moves = new Set<LogMove>();

  constructor(dependencies: LogMovesDependencies) {
    this.#dependencies = dependencies;
  }

  /** Whether the log is being copied: nobody may rewrite its segments meanwhile. */
  isMoving(log: Log): boolean {
    for (const move of this.#moves) if (move.log === log) return true;
    return false;
  }

  /** The copies that grow in the directory. */
  storedIn(directory: LogDirectory): StoredLog[] {
    return [...this.#moves].filter(({ to }) => to === directory).map((move) => move.stored);
  }

  /** Begins a move, durably: it is begun anew after a restart. Throws KafkaError KAFKA_STORAGE_ERROR. */
  async begin(id: PartitionId, from: LogDirectory, to: LogDirectory): Promise<LogMove> {
    const key = partitionDirectoryName(id.topic, id.partitionIndex);
    const log = from.logs.get(key);
    assert(log !== undefined && from !== to, "an open log is moved to another directory");
    const move = new LogMove(this.#dependencies, { id, key, log, from, to }, () => {
      this.#moves.delete(move);
    });
    this.#moves.add(move);
    try {
      await move.begin();
      return move;
    } catch (error) {
      await move.giveUp();
      throw error;
    }
  }
}

interface Route {
  readonly id: PartitionId;
  readonly key: string;
  readonly log: Log;
  readonly from: LogDirectory;
  readonly to: LogDirectory;
}

/** One log on its way. `copy`, then `complete`; `giveUp` at any time before that has begun. */
export class LogMove {
  readonly log: Log;
  readonly to: LogDirectory;
  readonly #dependencies: LogMovesDependencies;
  readonly #route: Route;
  readonly #futurePath: string;
  readonly #copy: LogCopy;
  readonly #onEnd: () => void;
  #isWanted = true;
  /** The copy bears the log's name. */
  #isNamed = false;
  /** The cluster knows of the new place. */
  #isAssigned = false;

  constructor(dependencies: LogMovesDependencies, route: Route, onEnd: () => void) {
    this.#dependencies = dependencies;
    this.#route = route;
    this.#onEnd = onEnd;
    this.log = route.log;
    this.to = route.to;
    const uniqueId = dependencies.random.bytes(16).toString("hex");
    this.#futurePath = `${route.to.path}/${markedDirectoryName(route.key, uniqueId, "future")}`;
    const directories = { from: route.log.directory, to: this.#futurePath };
    this.#copy = new LogCopy(dependencies.disk, directories, () => this.#isStillWanted());
  }

  /** How it stands, as clients are told. */
  get stored(): StoredLog {
    const { topic, partitionIndex } = this.#route.id;
    const { sizeBytes, endOffset } = this.#copy;
    // The one that is served is always to be seen, also while the old one goes.
    const isFuture = !this.#isAssigned || this.#route.from.logs.has(this.#route.key);
    const offsetLag = isFuture ? Math.max(0, this.log.logEndOffset - endOffset) : 0;
    return { topic, partitionIndex, sizeBytes, offsetLag, isFuture };
  }

  /** Makes the directory of the copy. */
  async begin(): Promise<void> {
    await this.#inDestination(async () => {
      // It says whose the copy is, so that it is begun anew for the same topic only.
      const owner = { topicId: this.#route.id.topicId, parentSync: this.to.sync };
      await makeLogDirectory(this.#dependencies.disk, this.#futurePath, owner);
    });
    // A compaction that is in the middle of a swap comes to its end, and no other begins.
    await this.log.removeSegmentsBelow(0, "the log moves without them");
  }

  /**
   * Copies until little is left. Throws KafkaError KAFKA_STORAGE_ERROR, or NOT_LEADER_OR_FOLLOWER when the
   * log was closed meanwhile; CopyAbortedError after `stop`.
   */
  async copy(): Promise<void> {
    for (let rolls = 0; ; rolls += 1) {
      await this.#inDestination(() => this.#copy.copyInactive(this.log));
      if (this.log.sizeBytes - this.#copy.sizeBytes <= SMALL_REST_BYTES) return;
      if (rolls === MAX_ROLLS) {
        throw new KafkaError("KAFKA_STORAGE_ERROR", "the log grows faster than it can be copied");
      }
      this.log.rollSegment();
      await this.log.flush();
    }
  }

  /** The copy is not wanted any more: what runs ends with CopyAbortedError. */
  stop(): void {
    this.#isWanted = false;
  }

  /** Removes what was copied. */
  async giveUp(): Promise<void> {
    this.#onEnd();
    const { disk, health } = this.#dependencies;
    await health.guard(this.to, async () => {
      await removeDirectory(disk, this.#futurePath, () => true);
      // What was noted of it must not be taken for a later log's of that name.
      if (!this.to.partitions.has(this.#route.key)) await this.to.forget(this.#route.key);
    });
  }

  /**
   * Closes the log, and opens it in its new place. Nothing may be appended from the call on. When it
   * fails, the log is closed, and `LogManager.openLog` finds it where it was. Throws KafkaError, DiskError,
   * CopyAbortedError.
   */
  complete(served: MovedLog): Promise<Log> {
    const { key, from } = this.#route;
    return this.#dependencies.inTurn(key, async () => {
      if (!this.#isStillWanted()) throw new CopyAbortedError("the log is not there any more");
      await this.log.close();
      // Closed in order, and opened like that if it has to stay.
      from.recovered.add(key);
      try {
        if (this.log.failure !== null) throw this.log.failure;
        return await this.#takePlace(served);
      } catch (error) {
        from.logs.delete(key);
        throw error;
      }
    });
  }

  async #takePlace(served: MovedLog): Promise<Log> {
    const { key, id, from } = this.#route;
    const { logger, open, remove } = this.#dependencies;
    let log: Log | null = null;
    try {
      await this.#inDestination(() => this.#rename(served.highWatermark()));
      log = await this.#inDestination(() => open(this.to, key, id, this.log.config));
      await served.assign(this.to.directoryId);
    } catch (error) {
      // Whatever the cluster knows now, this node has it where it was, and says so.
      await log?.abandon();
      if (this.#isNamed) await remove(this.to, key);
      throw error;
    }
    this.#isAssigned = true;
    await remove(from, key);
    this.to.partitions.set(key, id);
    this.to.logs.set(key, log);
    // Its directory went offline meanwhile (R9).
    if (this.to.failure !== null) log.fail(this.to.failure);
    this.#onEnd();
    logger.info(
      { from: from.path, to: this.to.path, log: key },
      "moved a log to another directory",
    );
    return log;
  }

  /** The rest of the log, then what is noted of it, then its name: it is never there without them (S13). */
  async #rename(highWatermark: number): Promise<void> {
    const { key, id } = this.#route;
    await this.#copy.finish();
    await this.to.noteCheckpoints(id, this.#checkpoints(highWatermark));
    await this.#dependencies.disk.rename(this.#futurePath, `${this.to.path}/${key}`);
    this.#isNamed = true;
    await this.to.sync.sync();
    this.to.recovered.add(key);
  }

  #checkpoints(highWatermark: number): ReadonlyMap<CheckpointName, number> {
    const { id, from } = this.#route;
    const { topic, partitionIndex } = id;
    const cleaned = from.checkpointOf("cleaner-offset-checkpoint", topic, partitionIndex) ?? 0;
    return new Map([
      ["recovery-point-offset-checkpoint", this.log.logEndOffset],
      ["log-start-offset-checkpoint", this.log.logStartOffset],
      ["replication-offset-checkpoint", highWatermark],
      ["cleaner-offset-checkpoint", cleaned],
    ]);
  }

  /** Not after its topic was deleted, or its directory has failed. */
  #isStillWanted(): boolean {
    const { key, log, from } = this.#route;
    return this.#isWanted && from.logs.get(key) === log && log.failure === null;
  }

  /** A disk that refuses is the business of the directory that it lies under. */
  async #inDestination<T>(task: () => Promise<T>): Promise<T> {
    if (this.to.failure !== null) throw storageError(this.to.failure);
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      // The log itself cannot be read there: that is for its readers to find out.
      const isOurs = error.path.startsWith(`${this.to.path}/`) || error.path === this.to.path;
      if (isOurs) this.#dependencies.health.failed(this.to, error);
      throw storageError(error);
    }
  }
}

function storageError(error: DiskError): KafkaError {
  return new KafkaError("KAFKA_STORAGE_ERROR", error.message, { cause: error });
}
