import { must } from "../base/assert.ts";
import { type Random, randomUuid } from "../base/random.ts";
import { asDirectoryError, DirectoryError } from "./directory-error.ts";
import { withoutSlash } from "./file-names.ts";
import type { Limiter } from "./limiter.ts";
import { LogDirectory, type LogDirectoryDependencies } from "./log-directory.ts";

/** One of log.dirs that could not be used at the start: nothing in it is served. */
export interface UnusableDirectory {
  readonly path: string;
  readonly error: DirectoryError;
}

export interface OpenedDirectories {
  readonly clusterId: string;
  /** Locked, this node's, and read. In the order of log.dirs. */
  readonly usable: readonly LogDirectory[];
  readonly unusable: readonly UnusableDirectory[];
}

export interface DirectoryOpeningOptions {
  readonly logDirs: readonly string[];
  readonly nodeId: number;
  readonly clusterId: string | null;
  /** Whether a cluster may begin here, with an id of its own making; default: it may. */
  readonly mayMakeClusterId?: boolean;
}

export interface DirectoryOpeningDependencies extends LogDirectoryDependencies {
  readonly random: Random;
  readonly limiter: Limiter;
}

/**
 * Locks the directories, makes new ones this node's, and reads what is in them. One that the disk
 * refuses is left out and named, as in Kafka, except for the first: the metadata lies there. One that
 * is another's is a mistake of the settings. Throws DirectoryError; nothing stays locked then.
 */
export async function openDirectories(
  dependencies: DirectoryOpeningDependencies,
  options: DirectoryOpeningOptions,
): Promise<OpenedDirectories> {
  const locked: LogDirectory[] = [];
  const unusable: UnusableDirectory[] = [];
  const logDirs = options.logDirs.map(withoutSlash);
  const first = must(logDirs[0], "there is a log directory");
  /** Runs one step of a directory's opening; false: the directory cannot be used. */
  const attempt = async (path: string, step: () => Promise<void>): Promise<boolean> => {
    try {
      await step();
      return true;
    } catch (error) {
      const refusal = asDirectoryError(path, error);
      const isRefused =
        refusal instanceof DirectoryError && ["NOT_WRITABLE", "NO_ROOM"].includes(refusal.code);
      if (!isRefused || path === first) throw refusal;
      unusable.push({ path, error: refusal });
      const wayOut =
        refusal.code === "NO_ROOM"
          ? "make room, it goes on by itself"
          : "check the disk, then restart";
      dependencies.logger.error(
        { directory: path, error: refusal },
        "the log directory is offline, and the partitions in it: it could not be opened; the " +
          `others are served; ${wayOut}`,
      );
      return false;
    }
  };
  try {
    for (const path of logDirs) {
      await attempt(path, async () => {
        locked.push(await LogDirectory.open(dependencies, path));
      });
    }
    const found = locked.find((directory) => directory.clusterId !== null)?.clusterId;
    const known = options.clusterId ?? found;
    if (known === undefined && options.mayMakeClusterId === false) {
      throw new DirectoryError("NO_CLUSTER_ID", noClusterId(first));
    }
    const clusterId = known ?? randomUuid(dependencies.random);
    for (const directory of locked) directory.checkOwner(options.nodeId, clusterId);
    const usable: LogDirectory[] = [];
    for (const directory of [...locked]) {
      const isUsable = await attempt(directory.path, async () => {
        await directory.format(options.nodeId, clusterId);
        await directory.load(dependencies.limiter);
      });
      if (isUsable) usable.push(directory);
      else await release(locked, directory);
    }
    return { clusterId, usable, unusable };
  } catch (error) {
    for (const directory of locked) await directory.unlock();
    throw error;
  }
}

/** R14: nodes that each made up an id of their own would never find each other. */
function noClusterId(directory: string): string {
  return (
    `log directory ${directory} is new, and a node of several needs the cluster's id: set ` +
    "holdfast.cluster.id (or CLUSTER_ID) to the same on each node; make one with " +
    `node -p "crypto.randomBytes(16).toString('base64url')"`
  );
}

/** Opens one of the directories that `openDirectories` has left out. Throws DirectoryError. */
export async function openLeftOut(
  dependencies: DirectoryOpeningDependencies,
  path: string,
  { nodeId, clusterId }: { readonly nodeId: number; readonly clusterId: string },
): Promise<LogDirectory> {
  const directory = await LogDirectory.open(dependencies, path);
  try {
    directory.checkOwner(nodeId, clusterId);
    await directory.format(nodeId, clusterId);
    await directory.load(dependencies.limiter);
    return directory;
  } catch (error) {
    await directory.unlock();
    throw asDirectoryError(path, error);
  }
}

async function release(locked: LogDirectory[], directory: LogDirectory): Promise<void> {
  locked.splice(locked.indexOf(directory), 1);
  await directory.unlock();
}
