import type { LogDirectory } from "./log-directory.ts";
import type { LogDirectoryState } from "./log-manager-options.ts";

/** Of all log.dirs: those that were opened, and those that could not be. */
export function directoryStates(
  opened: readonly LogDirectory[],
  unusablePaths: readonly string[],
): LogDirectoryState[] {
  const usable = opened.map(({ path, directoryId, failure }) => ({
    path,
    directoryId,
    isOnline: failure === null,
  }));
  const unusable = unusablePaths.map((path) => ({ path, directoryId: null, isOnline: false }));
  return [...usable, ...unusable];
}
