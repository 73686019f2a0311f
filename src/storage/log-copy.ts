import { type Disk, isNotFound } from "../base/disk.ts";
import {
  EPOCH_CHECKPOINT,
  offsetFileName,
  offsetOfFileName,
  PARTITION_METADATA,
  SEGMENT_SUFFIXES,
} from "./file-names.ts";
import type { Log } from "./log.ts";
import { listUnlessMissing } from "./log-files.ts";

/** What one read and one write of a copy carry: some milliseconds of a disk. */
const CHUNK_BYTES = 1024 * 1024;

/** The copy is not wanted any more. */
export class CopyAbortedError extends Error {
  override readonly name = "CopyAbortedError";
}

/**
 * A copy of a log's files in another directory. While the log takes batches, its inactive segments are
 * copied, which nothing changes any more; the rest when it is closed. Every file is durable when it has
 * been copied, its name when `finish` is over. Throws DiskError, CopyAbortedError.
 */
export class LogCopy {
  readonly #disk: Disk;
  readonly #from: string;
  readonly #to: string;
  /** Looked at before each chunk. */
  readonly #isWanted: () => boolean;
  /** Bytes by the name of a file that has been copied whole. */
  readonly #copied = new Map<string, number>();
  #endOffset = 0;

  constructor(
    disk: Disk,
    directories: { readonly from: string; readonly to: string },
    isWanted: () => boolean,
  ) {
    this.#disk = disk;
    this.#from = directories.from;
    this.#to = directories.to;
    this.#isWanted = isWanted;
  }

  /** Of the segments that are copied. */
  get sizeBytes(): number {
    let sizeBytes = 0;
    for (const [name, bytes] of this.#copied) if (name.endsWith(".log")) sizeBytes += bytes;
    return sizeBytes;
  }

  /** Up to where it holds the log. */
  get endOffset(): number {
    return this.#endOffset;
  }

  /** Copies the inactive segments that are not copied yet. */
  async copyInactive(log: Log): Promise<void> {
    const { list } = log.segments;
    for (const [index, { baseOffset, state }] of list.entries()) {
      if (state !== "inactive") break;
      for (const suffix of SEGMENT_SUFFIXES) {
        const name = offsetFileName(baseOffset, suffix);
        if (!this.#copied.has(name)) await this.#copyUnlessGone(name);
      }
      this.#endOffset = list[index + 1]?.baseOffset ?? log.logEndOffset;
    }
  }

  /** The log is closed: makes the copy what the log is. */
  async finish(): Promise<void> {
    // Nothing was ever written to a log without a directory.
    const names = ((await listUnlessMissing(this.#disk, this.#from)) ?? []).filter(isOfALog);
    for (const name of names) {
      if (this.#copied.get(name) !== (await this.#sizeOf(name))) await this.#copyUnlessGone(name);
    }
    // What retention has removed from the log while it was copied.
    const wanted = new Set([...names, PARTITION_METADATA]);
    for (const name of await this.#disk.list(this.#to)) {
      if (!wanted.has(name)) await this.#disk.remove(`${this.#to}/${name}`);
    }
    await this.#disk.syncDir(this.#to);
  }

  async #sizeOf(name: string): Promise<number> {
    const file = await this.#disk.open(`${this.#from}/${name}`);
    try {
      return await file.size();
    } finally {
      await file.close();
    }
  }

  /** Retention may have renamed it, and not every segment has files of all kinds. */
  async #copyUnlessGone(name: string): Promise<void> {
    try {
      this.#copied.set(name, await this.#copyFile(name));
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #copyFile(name: string): Promise<number> {
    const sourceFile = await this.#disk.open(`${this.#from}/${name}`);
    try {
      const path = `${this.#to}/${name}`;
      const targetFile = await this.#disk.open(path, { create: true, truncate: true });
      try {
        const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, (await sourceFile.size()) + 1));
        let position = 0;
        for (;;) {
          if (!this.#isWanted()) throw new CopyAbortedError(`${path} is not wanted any more`);
          const readBytes = await sourceFile.read(chunk, position);
          if (readBytes === 0) break;
          await targetFile.writev([chunk.subarray(0, readBytes)], position);
          position += readBytes;
        }
        await targetFile.datasync();
        return position;
      } finally {
        await targetFile.close();
      }
    } finally {
      await sourceFile.close();
    }
  }
}

/**
 * Not what waits for its removal, nor what a crash has left; nor partition.metadata, which the copy has
 * from its beginning: written anew it could be torn, and nobody would know whose the copy is.
 */
function isOfALog(name: string): boolean {
  return (
    name === EPOCH_CHECKPOINT ||
    SEGMENT_SUFFIXES.some((suffix) => offsetOfFileName(name, suffix) !== null)
  );
}
