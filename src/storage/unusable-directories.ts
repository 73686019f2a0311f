import type { Disk } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import type { BackgroundTasks } from "./background-tasks.ts";
import { DirectoryError } from "./directory-error.ts";
import { hasRoom, PROBE_INTERVAL_MS } from "./directory-health.ts";
import type { UnusableDirectory } from "./directory-opening.ts";
import type { LogDirectory } from "./log-directory.ts";

export interface UnusableDirectoriesDependencies {
  readonly disk: Pick<Disk, "statfs">;
  readonly logger: Logger;
  readonly background: BackgroundTasks;
  /** Tries once more. Throws DirectoryError. */
  readonly open: (path: string) => Promise<LogDirectory>;
  readonly onOpened: (directory: LogDirectory) => void;
}

/**
 * Those of log.dirs that could not be opened at the start. One that had no room is tried every second
 * and opened when it has; any other failure is final until the next start (R9).
 */
export class UnusableDirectories {
  readonly #dependencies: UnusableDirectoriesDependencies;
  #list: readonly UnusableDirectory[];

  constructor(dependencies: UnusableDirectoriesDependencies, list: readonly UnusableDirectory[]) {
    this.#dependencies = dependencies;
    this.#list = list;
  }

  get paths(): readonly string[] {
    return this.#list.map(({ path }) => path);
  }

  start(): void {
    if (!this.#list.some(isFull)) return;
    this.#dependencies.background.every(PROBE_INTERVAL_MS, async () => {
      for (const directory of this.#list) {
        if (isFull(directory)) await this.#retry(directory);
      }
    });
  }

  async #retry(directory: UnusableDirectory): Promise<void> {
    const { disk, logger, open, onOpened } = this.#dependencies;
    const { path } = directory;
    if (!(await hasRoom(disk, path))) return;
    const others = this.#list.filter((each) => each !== directory);
    try {
      const opened = await open(path);
      this.#list = others;
      logger.warn({ directory: path }, "there is room in the log directory: it is online");
      onOpened(opened);
    } catch (error) {
      if (!(error instanceof DirectoryError)) throw error;
      if (error.code === "NO_ROOM") return;
      this.#list = [...others, { path, error }];
      logger.error(
        { directory: path, error },
        "the log directory stays offline, and the partitions in it; check the disk, then restart",
      );
    }
  }
}

function isFull({ error }: UnusableDirectory): boolean {
  return error.code === "NO_ROOM";
}
