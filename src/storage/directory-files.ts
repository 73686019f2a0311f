import { type Disk, DiskError, isNotFound } from "../base/disk.ts";
import { removeFile } from "./log-files.ts";

/** Makes the directory and its missing parents, each durable before the next. Throws DiskError. */
export async function makeDirectory(disk: Disk, path: string): Promise<void> {
  const parent = parentOf(path);
  try {
    await disk.list(path);
    return;
  } catch (error) {
    if (!isNotFound(error) || parent === path) throw error;
  }
  await makeDirectory(disk, parent);
  await disk.mkdir(path);
  await disk.syncDir(parent);
}

/** Makes the directory's own name durable. Throws DiskError. */
export async function syncParent(disk: Disk, path: string): Promise<void> {
  try {
    await disk.syncDir(parentOf(path));
  } catch (error) {
    // One that may not be opened was not made by us.
    const isForeign = error instanceof DiskError && ["EACCES", "EPERM"].includes(error.code);
    if (!isForeign) throw error;
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
