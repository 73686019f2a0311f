/**
 * What the operating system answers when it refuses: `code` is its name for the reason (ENOENT,
 * EIO, ENOSPC, …), `path` the file. Every Disk throws this and nothing else.
 */
export class DiskError extends Error {
  override readonly name = "DiskError";
  readonly code: string;
  readonly path: string;
  /** The call of Disk or DiskFile that was refused. */
  readonly operation: string;

  constructor(code: string, path: string, operation: string, options?: ErrorOptions) {
    super(`${operation} ${path}: ${code}`, options);
    this.code = code;
    this.path = path;
    this.operation = operation;
  }
}

/**
 * Whether `error` says that there is no room, and said so before anything was promised: it goes away
 * when room comes. A sync that fails has lost what it was to keep, whatever its reason (R9).
 */
export function isOutOfSpace(error: DiskError): boolean {
  const isSync = error.operation === "datasync" || error.operation === "syncDir";
  return !isSync && ["ENOSPC", "EDQUOT", "EFBIG"].includes(error.code);
}

/** Whether `error` says that the file or directory does not exist. */
export function isNotFound(error: unknown): boolean {
  return error instanceof DiskError && error.code === "ENOENT";
}

export interface OpenOptions {
  /** Create the file when it is missing. Its name is durable only after `syncDir` of its directory. */
  readonly create?: boolean;
  /** Cut an existing file to zero bytes. */
  readonly truncate?: boolean;
}

export interface DiskSpace {
  readonly totalBytes: number;
  readonly usableBytes: number;
}

/** A held lock on a directory. It frees itself when the process dies, however it dies. */
export interface DiskLock {
  release(): Promise<void>;
}

/**
 * The seam that the product lives by (design.md, section 2). Paths are absolute or relative to the
 * process, with `/`. Nothing is durable before the sync that says so: bytes and length by
 * `DiskFile.datasync`, names by `syncDir`. Throws DiskError.
 */
export interface Disk {
  /** Opens for reading and writing. ENOENT without `create`. */
  open(path: string, options?: OpenOptions): Promise<DiskFile>;
  /** Atomically gives the file or directory a new name, replacing a file of that name. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, or a directory with all that is in it. ENOENT when missing. */
  remove(path: string): Promise<void>;
  /** Creates the directory and missing parents; an existing one is no error. */
  mkdir(path: string): Promise<void>;
  /** Names in the directory, sorted. */
  list(path: string): Promise<readonly string[]>;
  /** Makes creations, renames and removals in the directory durable. */
  syncDir(path: string): Promise<void>;
  statfs(path: string): Promise<DiskSpace>;
  /**
   * Takes the directory's lock, or throws DiskError EBUSY while another live process holds it, and
   * EDEADLK when this process does, perhaps under another name.
   */
  lock(directory: string): Promise<DiskLock>;
}

/** An open file. Operations on ranges that overlap are the caller's to order. */
export interface DiskFile {
  readonly path: string;
  /** Fills `target` from `position`; returns how many bytes there were (fewer only at the end). */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Writes all buffers one after the other at `position`. All of it is in the page cache when it resolves. */
  writev(buffers: readonly Uint8Array[], position: number): Promise<void>;
  /** Resolves when all writes and truncations that had resolved before the call survive a power cut. */
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}
