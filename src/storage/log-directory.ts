import { must } from "../base/assert.ts";
import { type Disk, DiskError, type DiskLock } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { Mailbox } from "../base/mailbox.ts";
import { type Random, randomUuid } from "../base/random.ts";
import { replaceFile } from "./atomic-file.ts";
import {
  DamagedFileError,
  decodeOffsetCheckpoint,
  encodeOffsetCheckpoint,
  type PartitionOffset,
} from "./checkpoint.ts";
import { type CleanShutdown, putCleanShutdown, takeCleanShutdown } from "./clean-shutdown.ts";
import { asDirectoryError, DirectoryError } from "./directory-error.ts";
import { removeDirectory, syncParents } from "./directory-files.ts";
import { DirectorySync } from "./directory-sync.ts";
import {
  isMarkedForDeletion,
  parseFutureDirectoryName,
  parsePartitionDirectoryName,
  PARTITION_METADATA,
  partitionDirectoryName,
} from "./file-names.ts";
import type { Limiter } from "./limiter.ts";
import type { Log } from "./log.ts";
import type { TruncationLimits } from "./log-config.ts";
import { readUnlessMissing } from "./log-files.ts";
import {
  decodeMetaProperties,
  encodeMetaProperties,
  META_PROPERTIES,
  type MetaProperties,
} from "./meta-properties.ts";
import { decodePartitionMetadata } from "./partition-metadata.ts";

/** Kafka's names of the offset checkpoints. */
export type CheckpointName =
  | "recovery-point-offset-checkpoint"
  | "log-start-offset-checkpoint"
  | "replication-offset-checkpoint"
  | "cleaner-offset-checkpoint";

const CHECKPOINTS: readonly CheckpointName[] = [
  "recovery-point-offset-checkpoint",
  "log-start-offset-checkpoint",
  "replication-offset-checkpoint",
  "cleaner-offset-checkpoint",
];

/** The metadata log's directory: the raft driver opens it. */
const METADATA_LOG = "__cluster_metadata";

export interface LogDirectoryDependencies {
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
}

/** A partition's directory; without an id its partition.metadata is missing or damaged. */
export interface StoredPartition {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid | null;
}

/** One of log.dirs: its lock, its identity, its checkpoints and the partitions in it. */
export class LogDirectory {
  readonly path: string;
  readonly sync: DirectorySync;
  /** By directory name. */
  readonly partitions = new Map<string, StoredPartition>();
  readonly logs = new Map<string, Log>();
  /** Logs that were on their way here when the last run ended: they are to begin anew. */
  readonly futures: StoredPartition[] = [];
  /** Of partitions that need no recovery since an unclean stop: recovered unopened, or closed in order. */
  readonly recovered = new Set<string>();
  /** Of partitions whose logs are open the last value that was written, of others the one found. */
  readonly checkpoints = new Map<CheckpointName, Map<string, PartitionOffset>>();
  /** Set for ever when a write or sync in it has failed (R9). */
  failure: DiskError | null = null;
  /** Set while there is no room in it. */
  fullness: DiskError | null = null;

  readonly #dependencies: LogDirectoryDependencies;
  readonly #lock: DiskLock;
  readonly #mailbox = new Mailbox();
  readonly #written = new Map<CheckpointName, Buffer>();
  /** A partition that is gone still stands in a checkpoint: there was no room to write it anew. */
  #hasStaleEntries = false;
  #meta: MetaProperties | null;
  #cleanShutdown: CleanShutdown | null = null;
  readonly #wasEmpty: boolean;
  #namesToRemove: readonly string[] = [];

  private constructor(
    dependencies: LogDirectoryDependencies,
    path: string,
    lock: DiskLock,
    meta: MetaProperties | null,
  ) {
    this.#dependencies = dependencies;
    this.path = path;
    this.sync = new DirectorySync(dependencies.disk, path);
    this.#lock = lock;
    this.#meta = meta;
    this.#wasEmpty = meta === null;
    for (const name of CHECKPOINTS) this.checkpoints.set(name, new Map());
  }

  /** Makes the directory if need be, locks it and reads whose it is. Throws DirectoryError. */
  static async open(dependencies: LogDirectoryDependencies, path: string): Promise<LogDirectory> {
    const { disk } = dependencies;
    let lock: DiskLock | null = null;
    try {
      await disk.mkdir(path);
      lock = await disk.lock(path);
      const bytes = await readUnlessMissing(disk, `${path}/${META_PROPERTIES}`);
      const meta = bytes === null ? null : decodeMetaProperties(bytes);
      if (meta === null) await refuseUnlessEmpty(disk, path);
      return new LogDirectory(dependencies, path, lock, meta);
    } catch (error) {
      await lock?.release();
      if (!(error instanceof DamagedFileError)) throw asDirectoryError(path, error);
      throw new DirectoryError(
        "DAMAGED_META",
        `${path}/${META_PROPERTIES} cannot be read (${error.message}): restore it, or give ` +
          "log.dirs another directory",
        { cause: error },
      );
    }
  }

  get directoryId(): Uuid {
    return must(this.#meta, "the directory is formatted").directoryId;
  }

  /** null: the directory is new. */
  get clusterId(): string | null {
    return this.#meta?.clusterId ?? null;
  }

  /** Whether nothing in it needs recovery: it was left by an orderly stop, or is new. */
  get isClean(): boolean {
    return this.#cleanShutdown !== null || this.#wasEmpty;
  }

  get cleanShutdown(): CleanShutdown | null {
    return this.#cleanShutdown;
  }

  /** Throws DirectoryError when the directory belongs to somebody else. */
  checkOwner(nodeId: number, clusterId: string | null): void {
    if (this.#meta === null) return;
    if (this.#meta.nodeId !== nodeId) {
      throw new DirectoryError(
        "OTHER_NODE",
        `log directory ${this.path} belongs to node ${this.#meta.nodeId}, but node.id is ` +
          `${nodeId}: set node.id=${this.#meta.nodeId}, or give log.dirs another directory`,
      );
    }
    if (clusterId !== null && this.#meta.clusterId !== clusterId) {
      throw new DirectoryError(
        "OTHER_CLUSTER",
        `log directory ${this.path} belongs to cluster ${this.#meta.clusterId}, not to ` +
          `${clusterId}: set that cluster id, or give log.dirs another directory`,
      );
    }
  }

  /** Makes a new directory this node's; `load` makes that durable. Throws DiskError. */
  async format(nodeId: number, clusterId: string): Promise<void> {
    if (this.#meta !== null) return;
    const { disk, random, logger } = this.#dependencies;
    const meta = { nodeId, clusterId, directoryId: randomUuid(random) };
    // Whoever made the directory, or one that it lies in, may have died before the name was durable;
    // once meta.properties is there, nobody looks again.
    await syncParents(disk, this.path);
    await replaceFile(disk, `${this.path}/${META_PROPERTIES}`, encodeMetaProperties(meta));
    this.#meta = meta;
    logger.info({ directory: this.path, clusterId }, "formatted a new log directory");
  }

  /** Reads what is there, and takes the clean-shutdown mark away for good (R5). Throws DiskError. */
  async load(limiter: Limiter): Promise<void> {
    const { disk } = this.#dependencies;
    this.#cleanShutdown = await takeCleanShutdown(disk, this.path);
    // That mark's removal, and the name of meta.properties: who made it may have died before it was
    // durable, and a power cut must not leave logs without it.
    await this.sync.sync();
    const names = await disk.list(this.path);
    const toRemove = names.filter(isMarkedForDeletion);
    for (const name of names) {
      const id = parseFutureDirectoryName(name);
      if (id === null) continue;
      this.futures.push({ ...id, topicId: await this.#readTopicId(name) });
      toRemove.push(name);
    }
    this.#namesToRemove = toRemove;
    await Promise.all(
      names.map(async (name) => {
        const id = parsePartitionDirectoryName(name);
        if (id === null || id.topic === METADATA_LOG) return;
        const topicId = await limiter.run(() => this.#readTopicId(name));
        this.partitions.set(name, { ...id, topicId });
      }),
    );
    for (const name of CHECKPOINTS) await this.#loadCheckpoint(name);
  }

  checkpointOf(name: CheckpointName, topic: string, partitionIndex: number): number | undefined {
    const key = partitionDirectoryName(topic, partitionIndex);
    return this.checkpoints.get(name)?.get(key)?.offset;
  }

  /** What a log is opened with. */
  checkpointsOf({ topic, partitionIndex }: StoredPartition): {
    readonly recoveryPoint: number;
    readonly logStartOffset: number;
    readonly cleanedOffset: number;
  } {
    const offsetOf = (name: CheckpointName): number =>
      this.checkpointOf(name, topic, partitionIndex) ?? 0;
    return {
      recoveryPoint: offsetOf("recovery-point-offset-checkpoint"),
      logStartOffset: offsetOf("log-start-offset-checkpoint"),
      cleanedOffset: offsetOf("cleaner-offset-checkpoint"),
    };
  }

  /**
   * The partition's log is about to be cut: nothing that is noted of it lies beyond the limits when
   * this resolves. Throws DiskError.
   */
  async lowerCheckpoints(
    { topic, partitionIndex }: StoredPartition,
    { endOffset, logStartOffset }: TruncationLimits,
  ): Promise<void> {
    const key = partitionDirectoryName(topic, partitionIndex);
    await this.#mailbox.run(async () => {
      for (const [name, values] of this.checkpoints) {
        const noted = values.get(key);
        const limit = name === "log-start-offset-checkpoint" ? logStartOffset : endOffset;
        if (noted === undefined || noted.offset <= limit) continue;
        values.set(key, { ...noted, offset: limit });
        await this.#write(name, encodeOffsetCheckpoint([...values.values()]));
      }
    });
  }

  /**
   * Writes the checkpoint unless it is as it was written last, with the values that open logs give
   * now. Calls run one after the other. Throws DiskError.
   */
  async writeCheckpoint(
    name: CheckpointName,
    offsetOf: (log: Log, topic: string, partitionIndex: number) => number | null,
  ): Promise<void> {
    await this.#mailbox.run(async () => {
      const values = must(this.checkpoints.get(name), "every checkpoint has a map");
      for (const [key, log] of this.logs) {
        const partition = this.partitions.get(key);
        if (partition === undefined || log.failure !== null) continue;
        const { topic, partitionIndex } = partition;
        const offset = offsetOf(log, topic, partitionIndex);
        if (offset === null) values.delete(key);
        else values.set(key, { topic, partitionIndex, offset });
      }
      await this.#write(name, encodeOffsetCheckpoint([...values.values()]));
    });
  }

  /** Notes the offsets of a partition that is about to appear here, durably. Throws DiskError. */
  async noteCheckpoints(
    { topic, partitionIndex }: Omit<StoredPartition, "topicId">,
    offsets: ReadonlyMap<CheckpointName, number>,
  ): Promise<void> {
    const key = partitionDirectoryName(topic, partitionIndex);
    await this.#mailbox.run(async () => {
      for (const [name, offset] of offsets) {
        const values = must(this.checkpoints.get(name), "every checkpoint has a map");
        if (offset > 0) values.set(key, { topic, partitionIndex, offset });
        else values.delete(key);
        await this.#write(name, encodeOffsetCheckpoint([...values.values()]));
      }
    });
  }

  /** Forgets a partition whose directory was renamed, durably. Throws DiskError. */
  async forget(key: string): Promise<void> {
    this.partitions.delete(key);
    this.logs.delete(key);
    for (const values of this.checkpoints.values()) {
      if (values.delete(key)) this.#hasStaleEntries = true;
    }
    await this.sync.sync();
  }

  /**
   * Takes what is gone out of the checkpoints. Before a log is made it must have succeeded: the recovery
   * point of an older log must not be taken for one of a new log under the same name. Throws DiskError.
   */
  async dropStaleEntries(): Promise<void> {
    if (!this.#hasStaleEntries) return;
    await this.#mailbox.run(async () => {
      if (!this.#hasStaleEntries) return;
      for (const [name, values] of this.checkpoints) {
        await this.#write(name, encodeOffsetCheckpoint([...values.values()]));
      }
      this.#hasStaleEntries = false;
    });
  }

  /** High watermarks and recovery points, which go together (R10). Throws DiskError. */
  async writeCheckpoints(
    highWatermarkOf: (topic: string, partitionIndex: number) => number | undefined,
  ): Promise<void> {
    await this.writeCheckpoint(
      "replication-offset-checkpoint",
      (log, topic, partitionIndex) => highWatermarkOf(topic, partitionIndex) ?? log.safeEndOffset,
    );
    await this.writeCheckpoint("recovery-point-offset-checkpoint", (log) => log.flushedEndOffset);
  }

  /** All that may not have fitted while there was no room. Throws DiskError. */
  async rewriteCheckpoints(
    highWatermarkOf: (topic: string, partitionIndex: number) => number | undefined,
  ): Promise<void> {
    await this.dropStaleEntries();
    await this.writeCheckpoints(highWatermarkOf);
    await this.writeLogStarts();
  }

  /** Where logs start that do not start at 0. Throws DiskError. */
  async writeLogStarts(): Promise<void> {
    await this.writeCheckpoint("log-start-offset-checkpoint", (log) =>
      log.logStartOffset > 0 ? log.logStartOffset : null,
    );
  }

  /** Removes what an earlier run had marked for deletion, and what is noted of it. Throws DiskError. */
  async removeLeftovers(isWanted: () => boolean): Promise<void> {
    const names = this.#namesToRemove;
    this.#namesToRemove = [];
    const { disk } = this.#dependencies;
    for (const name of names) await removeDirectory(disk, `${this.path}/${name}`, isWanted);
    await this.dropStaleEntries();
  }

  /** Says that everything was closed in order. Throws DiskError. */
  async markClean(brokerEpoch: number | null): Promise<void> {
    await putCleanShutdown(this.#dependencies.disk, this.path, { brokerEpoch });
    await this.sync.sync();
  }

  async unlock(): Promise<void> {
    await this.#mailbox.close();
    await this.#lock.release();
  }

  async #readTopicId(name: string): Promise<Uuid | null> {
    const { disk } = this.#dependencies;
    const bytes = await readUnlessMissing(disk, `${this.path}/${name}/${PARTITION_METADATA}`);
    try {
      return bytes === null ? null : decodePartitionMetadata(bytes);
    } catch (error) {
      if (error instanceof DamagedFileError) return null;
      throw error;
    }
  }

  async #loadCheckpoint(name: CheckpointName): Promise<void> {
    const bytes = await readUnlessMissing(this.#dependencies.disk, `${this.path}/${name}`);
    if (bytes === null) return;
    const values = must(this.checkpoints.get(name), "every checkpoint has a map");
    try {
      for (const entry of decodeOffsetCheckpoint(bytes)) {
        const key = partitionDirectoryName(entry.topic, entry.partitionIndex);
        if (this.partitions.has(key)) values.set(key, entry);
        else this.#hasStaleEntries = true;
      }
    } catch (error) {
      if (!(error instanceof DamagedFileError)) throw error;
      // Without it more is scanned; nothing else depends on it.
      this.#dependencies.logger.warn(
        { file: `${this.path}/${name}`, reason: error.message },
        "the checkpoint is damaged and starts anew",
      );
      values.clear();
    }
    this.#written.set(name, bytes);
  }

  async #write(name: CheckpointName, content: Buffer): Promise<void> {
    if (this.#written.get(name)?.equals(content) === true) return;
    await replaceFile(this.#dependencies.disk, `${this.path}/${name}`, content);
    await this.sync.sync();
    this.#written.set(name, content);
  }
}

async function refuseUnlessEmpty(disk: Disk, path: string): Promise<void> {
  const names = await disk.list(path);
  const found = names.find((name) => parsePartitionDirectoryName(name) !== null);
  if (found === undefined) return;
  throw new DirectoryError(
    "DAMAGED_META",
    `log directory ${path} holds logs (${found}) but no ${META_PROPERTIES}: restore that file, or ` +
      "give log.dirs another directory",
  );
}
