import { must } from "../base/assert.ts";
import { CleaningAbortedError } from "./cleaning-pace.ts";
import type { DirectoryHealth } from "./directory-health.ts";
import type { Log } from "./log.ts";
import { type CleanableLogs, LogCleaner, type LogCleanerOptions } from "./log-cleaner.ts";
import type { LogDirectory, StoredPartition } from "./log-directory.ts";
import type { LogManagerDependencies } from "./log-manager-options.ts";

/** What was stable at a look at the log, and where the log ended then. */
interface Stability {
  /** Of the look before, by now durable. */
  readonly decidedOffset: number;
  readonly lastStableOffset: number;
  readonly endOffset: number;
}

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
  const stable = new WeakMap<Log, Stability>();
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
  return {
    logsOnline,
    cleanedOffset: (log) => {
      const { directory, partition } = placeOf(log);
      const { topic, partitionIndex } = partition;
      return directory.checkpointOf("cleaner-offset-checkpoint", topic, partitionIndex) ?? 0;
    },
    cleanableEndOffset: (log) => {
      const { directory, partition } = placeOf(log);
      const { topic, partitionIndex } = partition;
      const recoveryPoint =
        directory.checkpointOf("recovery-point-offset-checkpoint", topic, partitionIndex) ?? 0;
      const highWatermark = highWatermarkOf(topic, partitionIndex) ?? log.safeEndOffset;
      // A marker that a power cut takes away leaves its transaction undecided again: what was stable
      // counts only when all that was in the log then is durable.
      const seen = stable.get(log) ?? { decidedOffset: 0, lastStableOffset: 0, endOffset: 0 };
      if (recoveryPoint >= seen.endOffset) {
        const lastStableOffset = log.firstUnstableOffset(highWatermark) ?? highWatermark;
        stable.set(log, {
          decidedOffset: seen.lastStableOffset,
          lastStableOffset,
          endOffset: log.logEndOffset,
        });
      }
      const decidedOffset = stable.get(log)?.decidedOffset ?? 0;
      return Math.min(recoveryPoint, highWatermark, decidedOffset);
    },
    checkpointCleaned: async (log, cleanedOffset) => {
      const { directory } = placeOf(log);
      await health.guard(directory, () =>
        directory.writeCheckpoint("cleaner-offset-checkpoint", (each, topic, partitionIndex) =>
          each === log
            ? cleanedOffset
            : (directory.checkpointOf("cleaner-offset-checkpoint", topic, partitionIndex) ?? null),
        ),
      );
    },
  };
}
