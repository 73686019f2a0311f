import { readFileSync } from "node:fs";

/** A segment in use takes three files, a connection one. */
const WANTED_OPEN_FILES = 4096;

/**
 * How many files this process may open; null where the system does not say, or says no number. Node has
 * raised the soft limit to the hard one already.
 */
export function openFilesLimit(limits: string | null = readLimits()): number | null {
  const text = /^Max open files\s+(\d+)/m.exec(limits ?? "")?.[1];
  return text === undefined ? null : Number(text);
}

/** What to tell the user about the limit of open files, or null when it will do. */
export function openFilesWarning(limit: number | null): string | null {
  if (limit === null || limit >= WANTED_OPEN_FILES) return null;
  return (
    `this process may open only ${limit} files, for partitions and connections together: ` +
    `raise the hard limit (ulimit -Hn) to ${WANTED_OPEN_FILES} or more`
  );
}

function readLimits(): string | null {
  try {
    return readFileSync("/proc/self/limits", "utf8");
  } catch {
    // Not Linux: nothing to go by.
    return null;
  }
}
