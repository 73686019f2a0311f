import { type Clock, delay } from "../base/clock.ts";
import { type Disk, DiskError, isOutOfSpace } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import { hasRoom, PROBE_INTERVAL_MS } from "../storage/directory-health.ts";

export interface StartDependencies {
  readonly clock: Clock;
  readonly disk: Pick<Disk, "statfs">;
  readonly logger: Logger;
}

/** How often a start that waits says so. */
const SAY_INTERVAL_MS = 10_000;

/**
 * Starts anew, every second, for as long as the start fails for want of room: without the directory of
 * the metadata nothing can be served, but the process lives, and goes on by itself when there is room
 * (decision 0006). An attempt that has failed must have closed what it had opened. Rejects as `start`
 * does when it fails for anything else; null when nobody wants it any more.
 */
export async function startWithRoom<T>(
  { clock, disk, logger }: StartDependencies,
  { directory, isWanted }: { readonly directory: string; readonly isWanted: () => boolean },
  start: () => Promise<T>,
): Promise<T | null> {
  let saidMs = -Infinity;
  while (isWanted()) {
    try {
      return await start();
    } catch (error) {
      const refusal = lackOfRoom(error);
      if (refusal === null) throw error;
      do {
        if (clock.nowMs() - saidMs >= SAY_INTERVAL_MS) {
          saidMs = clock.nowMs();
          logger.error(
            { directory, error: refusal },
            `the start waits for room in log directory ${directory}, which holds the metadata: make ` +
              "room, it goes on by itself",
          );
        }
        await delay(clock, PROBE_INTERVAL_MS);
      } while (isWanted() && !(await hasRoom(disk, directory)));
    }
  }
  return null;
}

/** The refusal of the disk that the error comes from, if that is for want of room. */
function lackOfRoom(error: unknown): DiskError | null {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof DiskError && isOutOfSpace(each)) return each;
  }
  return null;
}
