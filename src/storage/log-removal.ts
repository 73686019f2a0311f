import { type Disk, isNotFound } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import type { Random } from "../base/random.ts";
import type { BackgroundTasks } from "./background-tasks.ts";
import { removeDirectory } from "./directory-files.ts";
import { type DirectoryHealth, storageError } from "./directory-health.ts";
import { type DirectoryMark, markedDirectoryName } from "./file-names.ts";
import type { LogDirectory } from "./log-directory.ts";
import { listLogFiles } from "./log-files.ts";
import type { PartitionId } from "./log-manager-options.ts";

export interface LogRemovalDependencies {
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
  readonly health: DirectoryHealth;
  readonly background: BackgroundTasks;
  /** A directory that is not removed to its end is gone on with at the next start. */
  readonly isClosing: () => boolean;
}

/** Takes partitions' directories out of the way. Their logs are closed, or are closed here. */
export class LogRemoval {
  readonly #dependencies: LogRemovalDependencies;

  constructor(dependencies: LogRemovalDependencies) {
    this.#dependencies = dependencies;
  }

  /** The name is free when it resolves, and what a crash leaves is removed at the next start. */
  async remove(directory: LogDirectory, key: string): Promise<void> {
    const { disk, health, background, isClosing } = this.#dependencies;
    const path = await this.#moveAside(directory, key, "delete");
    if (path === null) return;
    background.start(async () => {
      await health.guard(directory, () => removeDirectory(disk, path, () => !isClosing()));
    });
  }

  /**
   * Takes a directory out of the way of the log of the same name that `id` says. Throws KafkaError
   * KAFKA_STORAGE_ERROR where the disk refuses that: the name must not be used then (E16).
   */
  async evict(directory: LogDirectory, key: string, id: PartitionId): Promise<void> {
    await this.#evict(directory, key, id);
    if (directory.partitions.has(key)) throw storageError(directory);
  }

  async #evict(directory: LogDirectory, key: string, id: PartitionId): Promise<void> {
    const { disk, health, logger } = this.#dependencies;
    const path = `${directory.path}/${key}`;
    const stored = directory.partitions.get(key);
    if (stored?.topicId === null) {
      const files = await health.guard(directory, () => listLogFiles(disk, path));
      if (files === null) return;
      if (files.segmentBases.length === 0) {
        // A crash came before its first file: there is nothing in it.
        directory.partitions.delete(key);
        return;
      }
    }
    await directory.logs.get(key)?.abandon();
    if (stored?.topicId === id.topicId) {
      // A crash came between the two ends of a move: both logs are whole, and the other one counts.
      logger.info(
        { directory: path },
        "removing the log that a move to another directory has left",
      );
      await this.remove(directory, key);
      await health.guard(directory, () => directory.dropStaleEntries());
      return;
    }
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
    const { disk, health, random } = this.#dependencies;
    const uniqueId = random.bytes(16).toString("hex");
    const path = `${directory.path}/${markedDirectoryName(key, uniqueId, mark)}`;
    const moved = await health.guard(directory, async () => {
      try {
        await disk.rename(`${directory.path}/${key}`, path);
      } catch (error) {
        // Nothing was ever written to it: there is nothing to move.
        if (!isNotFound(error)) throw error;
      }
      await directory.forget(key);
      return path;
    });
    if (moved === null) directory.logs.delete(key);
    // Where there only was no room the name is still taken, and whoever wants it tries again (E16).
    if (directory.failure !== null) directory.partitions.delete(key);
    return moved;
  }
}
