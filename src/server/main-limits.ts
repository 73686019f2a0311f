import { readFileSync } from "node:fs";

/** A segment in use takes three files, a connection one. */
const WANTED_OPEN_FILES = 4096;

/**
 * What to tell the user about the limit of open files, or null when it will do. Node has raised the
 * soft limit to the hard one already. Null, too, where the system does not say.
 */
export function openFilesWarning(limits: string | null = readLimits()): string | null {
  const text = /^Max open files\s+(\S+)/m.exec(limits ?? "")?.[1];
  const limit = Number(text);
  if (text === undefined || Number.isNaN(limit) || limit >= WANTED_OPEN_FILES) return null;
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
