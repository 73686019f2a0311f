import { type Disk, DiskError, isNotFound } from "../base/disk.ts";
import { removeFile } from "./log-files.ts";

const FOREIGN_CODES: ReadonlySet<string> = new Set(["EACCES", "EPERM", "EINVAL", "ENOTSUP"]);

/** Makes the names of a directory and of all that it lies in durable. Throws DiskError. */
export async function syncParents(disk: Disk, path: string): Promise<void> {
  let at = path;
  for (let parent = parentOf(at); parent !== at; parent = parentOf(at)) {
    try {
      await disk.syncDir(parent);
    } catch (error) {
      // One that may not be opened, or that its file system does not sync, was not made by us.
      if (!(error instanceof DiskError) || !FOREIGN_CODES.has(error.code)) throw error;
    }
    at = parent;
  }
}

/**
 * Removes a directory of files one by one, so that a huge one is no long call that others wait for;
 * it is left, to be gone on with at the next start, when `isWanted` says so. Throws DiskError.
 */
export async function removeDirectory(
  disk: Disk,
  path: string,
  isWanted: () => boolean,
): Promise<void> {
  try {
    for (const name of await disk.list(path)) {
      if (!isWanted()) return;
      await removeFile(disk, `${path}/${name}`);
    }
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  await removeFile(disk, path);
}

/** "." for a path relative to the process with a single name. */
function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}
