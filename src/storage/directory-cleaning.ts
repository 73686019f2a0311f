import { must } from "../base/assert.ts";
import { CleaningAbortedError } from "./cleaning-pace.ts";
import type { DirectoryHealth } from "./directory-health.ts";
import type { Log } from "./log.ts";
import { type CleanableLogs, LogCleaner, type LogCleanerOptions } from "./log-cleaner.ts";
import type { LogDirectory, StoredPartition } from "./log-directory.ts";
import type { LogManagerDependencies } from "./log-manager-options.ts";

interface Directories {
  readonly directories: readonly LogDirectory[];
  readonly health: DirectoryHealth;
  readonly logsOnline: () => Iterable<Log>;
  /** undefined: the log has no replicas that say (one replica): what is safe is committed. */
  readonly highWatermarkOf: (topic: string, partitionIndex: number) => number | undefined;
}

/** A cleaner for the logs in the directories; null: it is off, or there is nothing to inflate with. */
export function cleanerOf(
  dependencies: LogManagerDependencies,
  options: LogCleanerOptions | undefined,
  directories: Directories,
): LogCleaner | null {
  const { offload } = dependencies;
  if (offload === undefined || options === undefined) return null;
  return new LogCleaner({ ...dependencies, offload }, cleanableLogs(directories), options);
}

/** What the cleaner must know of logs that lie in directories, and where it notes what it has done. */
function cleanableLogs({
  directories,
  health,
  logsOnline,
  highWatermarkOf,
}: Directories): CleanableLogs {
  const placeOf = (log: Log): { directory: LogDirectory; partition: StoredPartition } => {
    for (const directory of directories) {
      for (const [key, each] of directory.logs) {
        if (each !== log) continue;
        const partition = must(directory.partitions.get(key), "an open log is known");
        return { directory, partition };
      }
    }
    // It was deleted meanwhile, which the cleaner finds out before it touches anything.
    throw new CleaningAbortedError(`${log.directory} is not open any more`);
  };
  const write = async (
    log: Log,
    task: (directory: LogDirectory) => Promise<void>,
  ): Promise<void> => {
    const { directory } = placeOf(log);
    const isWritten = await health.guard(directory, async () => {
      await task(directory);
      return true;
    });
    if (isWritten === null) throw new CleaningAbortedError(`${directory.path} takes nothing now`);
  };
  return {
    logsOnline,
    cleanedOffset: (log) => {
      const { directory, partition } = placeOf(log);
      const { topic, partitionIndex } = partition;
      return directory.checkpointOf("cleaner-offset-checkpoint", topic, partitionIndex) ?? 0;
    },
    stableEndOffset: (log) => {
      const { topic, partitionIndex } = placeOf(log).partition;
      const highWatermark = highWatermarkOf(topic, partitionIndex) ?? log.safeEndOffset;
      return Math.min(highWatermark, log.firstUnstableOffset(highWatermark) ?? highWatermark);
    },
    checkpointFlushed: (log) =>
      write(log, (directory) => directory.writeCheckpoints(highWatermarkOf)),
    checkpointCleaned: (log, cleanedOffset) =>
      write(log, (directory) =>
        directory.writeCheckpoint("cleaner-offset-checkpoint", (each, topic, partitionIndex) =>
          each === log
            ? cleanedOffset
            : (directory.checkpointOf("cleaner-offset-checkpoint", topic, partitionIndex) ?? null),
        ),
      ),
  };
}
