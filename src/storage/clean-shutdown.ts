import type { Disk } from "../base/disk.ts";
import { replaceFile } from "./atomic-file.ts";
import { readUnlessMissing, removeFile } from "./log-files.ts";

/** Left by an orderly stop, and only until the next start. */
const CLEAN_SHUTDOWN = ".kafka_cleanshutdown";

/** What an orderly stop has said; the epoch is null where the node was not registered. */
export interface CleanShutdown {
  readonly brokerEpoch: number | null;
}

/**
 * Reads the mark and takes it away; null: there was none. The directory must be synced before
 * anything is appended: a mark that came back after a power cut would hide an unclean stop (R5).
 */
export async function takeCleanShutdown(
  disk: Disk,
  directory: string,
): Promise<CleanShutdown | null> {
  const path = `${directory}/${CLEAN_SHUTDOWN}`;
  const bytes = await readUnlessMissing(disk, path);
  if (bytes === null) return null;
  await removeFile(disk, path);
  // Kafka takes a mark that it cannot read for a stop without an epoch, as well.
  const match = /^\{"version":0,"brokerEpoch":(\d{1,15})\}$/.exec(bytes.toString("utf8").trim());
  return { brokerEpoch: match === null ? null : Number(match[1]) };
}

/** Leaves the mark; durable with the next sync of the directory. */
export async function putCleanShutdown(
  disk: Disk,
  directory: string,
  { brokerEpoch }: CleanShutdown,
): Promise<void> {
  const content = JSON.stringify({ version: 0, brokerEpoch: brokerEpoch ?? -1 });
  await replaceFile(disk, `${directory}/${CLEAN_SHUTDOWN}`, Buffer.from(content, "utf8"));
}
