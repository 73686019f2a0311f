import { KafkaError } from "../protocol/errors.ts";
import { partitionDirectoryName } from "./file-names.ts";
import type { LogDirectory } from "./log-directory.ts";
import type { PartitionId } from "./log-manager-options.ts";

/** Where the logs of new partitions go, and which partitions are not known to be new. */
export class LogPlacement {
  readonly #directories: readonly LogDirectory[];
  readonly #unusablePaths: () => readonly string[];
  /** Opened after the start. They take no new log: the cluster does not know them before the next one. */
  readonly #late = new Set<LogDirectory>();
  /** Partitions that may lie where nothing could be read at the start: in this run, found or refused. */
  readonly #outOfSight = new Set<string>();
  /** Where clients want logs that are not there yet, by partition. */
  readonly #preferredPaths = new Map<string, string>();
  #mayMakeAll: boolean;

  /** Both lists may change; `unusablePaths` are of log.dirs that could not be opened. */
  constructor(directories: readonly LogDirectory[], unusablePaths: () => readonly string[]) {
    this.#directories = directories;
    this.#unusablePaths = unusablePaths;
    this.#mayMakeAll = unusablePaths().length === 0;
  }

  /** Whether the partitions that the node had when it started have been asked for. */
  get hasStarted(): boolean {
    return this.#mayMakeAll;
  }

  /** From now on a partition that was not asked for before is new. */
  finishStart(): void {
    this.#mayMakeAll = true;
  }

  addLate(directory: LogDirectory): void {
    this.#late.add(directory);
  }

  /** The partition's log, when it is made, is to lie in the directory of that path, if it takes anything. */
  prefer(topic: string, partitionIndex: number, path: string): void {
    this.#preferredPaths.set(partitionDirectoryName(topic, partitionIndex), path);
  }

  /**
   * The directory for a partition that has none: nothing was ever written to it, if the cluster knows it
   * to be in one that can be read. Throws KafkaError KAFKA_STORAGE_ERROR.
   */
  place({ topic, topicId, partitionIndex, directoryId }: PartitionId): LogDirectory {
    const assigned = this.#directories.find((each) => each.directoryId === directoryId);
    if (assigned?.failure === null) return assigned;
    const name = `${topicId}-${partitionIndex}`;
    if (!this.#mayMakeAll) this.#outOfSight.add(name);
    if (!this.#outOfSight.has(name)) {
      const candidates = this.#directories.filter((directory) => !this.#late.has(directory));
      const wanted = this.#preferredPaths.get(partitionDirectoryName(topic, partitionIndex));
      const preferred = candidates.find(({ path, failure }) => path === wanted && failure === null);
      return preferred ?? leastFilled(candidates);
    }
    // Its log may lie in the directory that could not be opened: an empty one must not take its place,
    // not even when that has been opened and the log is not in it (R5).
    const paths = this.#unusablePaths();
    throw new KafkaError(
      "KAFKA_STORAGE_ERROR",
      paths.length > 0
        ? `it may lie in ${paths.join(", ")}, which is offline`
        : "it was not found while a log directory could not be opened: restart",
    );
  }
}

/**
 * Of those that take anything, one that is not full if there is one, the one with the fewest
 * partitions. Throws KafkaError KAFKA_STORAGE_ERROR.
 */
function leastFilled(directories: readonly LogDirectory[]): LogDirectory {
  const online = directories.filter(({ failure }) => failure === null);
  const roomy = online.filter(({ fullness }) => fullness === null);
  const candidates = roomy.length > 0 ? roomy : online;
  const [first] = candidates;
  if (first === undefined) {
    throw new KafkaError("KAFKA_STORAGE_ERROR", "every log directory is offline");
  }
  return candidates.reduce(
    (best, other) => (other.partitions.size < best.partitions.size ? other : best),
    first,
  );
}
