const OFFSET_DIGITS = 20;
const MAX_NAME_BYTES = 255;

/** Kafka's names of what lies beside a segment, each after the segment's base offset. */
export type SegmentSuffix = ".log" | ".index" | ".timeindex" | ".txnindex" | ".snapshot";

export const SEGMENT_SUFFIXES: readonly SegmentSuffix[] = [
  ".log",
  ".index",
  ".timeindex",
  ".txnindex",
  ".snapshot",
];

export const EPOCH_CHECKPOINT = "leader-epoch-checkpoint";
export const PARTITION_METADATA = "partition.metadata";

export function offsetFileName(offset: number, suffix: SegmentSuffix): string {
  return `${String(offset).padStart(OFFSET_DIGITS, "0")}${suffix}`;
}

/** The offset in a file's name, if it is the name of such a file. */
export function offsetOfFileName(name: string, suffix: SegmentSuffix): number | null {
  if (!name.endsWith(suffix) || name.length !== OFFSET_DIGITS + suffix.length) return null;
  const digits = name.slice(0, OFFSET_DIGITS);
  const offset = Number(digits);
  return /^\d+$/.test(digits) && Number.isSafeInteger(offset) ? offset : null;
}

/** The directory that holds the file or directory. */
export function parentDirectory(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** The directory's path without a slash at its end. */
export function withoutSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}

export function partitionDirectoryName(topic: string, partitionIndex: number): string {
  return `${topic}-${partitionIndex}`;
}

/** The partition whose directory bears the name; null for other names, marked ones among them. */
export function parsePartitionDirectoryName(
  name: string,
): { readonly topic: string; readonly partitionIndex: number } | null {
  const match = /^(.+)-(0|[1-9]\d{0,9})$/.exec(name);
  if (match === null) return null;
  const [, topic = "", index = ""] = match;
  return /^[A-Za-z0-9._-]{1,249}$/.test(topic) ? { topic, partitionIndex: Number(index) } : null;
}

export type DirectoryMark = "delete" | "stray" | "future";

/**
 * The name of a partition's directory that is deleted, moved aside, or on its way to another one: unique, as in Kafka.
 * Cut to what a file system takes, except for a future one, which has to be read again: see `fitsFutureName`.
 */
export function markedDirectoryName(name: string, uniqueId: string, mark: DirectoryMark): string {
  const suffix = `.${uniqueId}-${mark}`;
  if (mark === "future") return `${name}${suffix}`;
  return `${name.slice(0, MAX_NAME_BYTES - suffix.length)}${suffix}`;
}

export function isMarkedForDeletion(name: string): boolean {
  return /\.[0-9a-f]{32}-delete$/.test(name);
}

/** Whether the partition's directory can have the name of a future one. */
export function fitsFutureName(topic: string, partitionIndex: number): boolean {
  const name = partitionDirectoryName(topic, partitionIndex);
  return markedDirectoryName(name, "0".repeat(32), "future").length <= MAX_NAME_BYTES;
}

/** The partition whose future directory bears the name; null for other names. */
export function parseFutureDirectoryName(
  name: string,
): { readonly topic: string; readonly partitionIndex: number } | null {
  const match = /^(.+)\.[0-9a-f]{32}-future$/.exec(name);
  return match?.[1] === undefined ? null : parsePartitionDirectoryName(match[1]);
}
