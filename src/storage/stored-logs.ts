import type { LogDirectory } from "./log-directory.ts";

/** A log in a directory, for those who ask what takes the room. */
export interface StoredLog {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly sizeBytes: number;
  /** How many offsets it is behind the log that is served. */
  readonly offsetLag: number;
  /** It is being copied here, and takes the place of the one that is served when it is whole. */
  readonly isFuture: boolean;
}

/** The logs that are open in the directory. */
export function storedLogsOf({ logs, partitions }: LogDirectory): StoredLog[] {
  const stored: StoredLog[] = [];
  for (const [key, { sizeBytes }] of logs) {
    const partition = partitions.get(key);
    if (partition === undefined) continue;
    const { topic, partitionIndex } = partition;
    stored.push({ topic, partitionIndex, sizeBytes, offsetLag: 0, isFuture: false });
  }
  return stored;
}
