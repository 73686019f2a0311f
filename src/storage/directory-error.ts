import { DiskError, isOutOfSpace } from "../base/disk.ts";

export type DirectoryErrorCode =
  | "LOCKED"
  | "NAMED_TWICE"
  | "OTHER_NODE"
  | "OTHER_CLUSTER"
  | "NO_CLUSTER_ID"
  | "NOT_WRITABLE"
  | "NO_ROOM"
  | "DAMAGED_META";

/** A log directory that cannot be used as it is; the message names it and the way out. */
export class DirectoryError extends Error {
  override readonly name = "DirectoryError";
  readonly code: DirectoryErrorCode;

  constructor(code: DirectoryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What the disk's refusal means for a directory that is being opened. */
export function asDirectoryError(directory: string, error: unknown): unknown {
  if (!(error instanceof DiskError)) return error;
  if (error.code === "EBUSY") {
    return new DirectoryError(
      "LOCKED",
      `log directory ${directory} is in use by another running broker: stop that one, or give ` +
        "log.dirs another directory",
      { cause: error },
    );
  }
  if (error.code === "EDEADLK") {
    return new DirectoryError(
      "NAMED_TWICE",
      `log directory ${directory} is named twice in log.dirs, under two names: take one of them out`,
      { cause: error },
    );
  }
  if (isOutOfSpace(error)) {
    return new DirectoryError(
      "NO_ROOM",
      `log directory ${directory} has no room to be opened (${error.message}): make room`,
      { cause: error },
    );
  }
  return new DirectoryError(
    "NOT_WRITABLE",
    `log directory ${directory} cannot be used (${error.message}): make it writable for this ` +
      "user, or give log.dirs another directory",
    { cause: error },
  );
}
