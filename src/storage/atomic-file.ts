import type { Disk, DiskFile } from "../base/disk.ts";

/** Suffix of a file that is not yet what its name says; left ones are removed when the log opens. */
export const TEMPORARY_SUFFIX = ".tmp";

/** Small files (checkpoints, properties) are read up to this size; a longer one is not one of ours. */
const MAX_SMALL_FILE_BYTES = 64 * 1024 * 1024;
const FIRST_READ_BYTES = 4096;

/**
 * Replaces the file so that a crash leaves the old or the new content, whole. The new content itself
 * is durable when this resolves; that the name points to it is only after a `syncDir` of the directory.
 */
export async function replaceFile(disk: Disk, path: string, content: Buffer): Promise<void> {
  const temporaryPath = `${path}${TEMPORARY_SUFFIX}`;
  const file = await disk.open(temporaryPath, { create: true, truncate: true });
  try {
    await file.writev([content], 0);
    // Without it the rename may outlive the bytes: a file of zeros under the final name.
    await file.datasync();
  } finally {
    await file.close();
  }
  await disk.rename(temporaryPath, path);
}

/**
 * Makes the file with that content, durable when this resolves; its name is after a `syncDir` of the
 * directory. A crash may leave any part of it: for files that are checked when they are read.
 */
export async function writeSynced(disk: Disk, path: string, content: Buffer): Promise<void> {
  const file = await disk.open(path, { create: true, truncate: true });
  try {
    await file.writev([content], 0);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** The whole of a small file. Throws DiskError ENOENT, or EFBIG for a file that cannot be one of ours. */
export async function readSmallFile(disk: Disk, path: string): Promise<Buffer> {
  const file = await disk.open(path);
  try {
    const first = Buffer.allocUnsafe(FIRST_READ_BYTES);
    const readBytes = await file.read(first, 0);
    if (readBytes < first.length) return first.subarray(0, readBytes);
    return await readWhole(file);
  } finally {
    await file.close();
  }
}

/** The content of an open file, at most 64 MiB of it. */
export async function readWhole(file: DiskFile): Promise<Buffer> {
  const sizeBytes = Math.min(await file.size(), MAX_SMALL_FILE_BYTES);
  const content = Buffer.allocUnsafe(sizeBytes);
  const readBytes = await file.read(content, 0);
  return content.subarray(0, readBytes);
}
