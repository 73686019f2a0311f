import { DiskError } from "../base/disk.ts";

/** Operations and, of them, syncs that may be in flight per log directory (design.md, section 8). */
const MAX_OPERATIONS = 8;
const MAX_SYNCS = 4;

export type Callback<T> = (error: NodeJS.ErrnoException | null, result: T) => void;

/** What waits its turn in one directory: first come, first served, so nobody starves. */
class Lane {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #inFlight = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  enter(start: () => void): void {
    if (this.#inFlight >= this.#limit) {
      this.#waiting.push(start);
      return;
    }
    this.#inFlight += 1;
    start();
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#inFlight -= 1;
    else next();
  }
}

/** The turns of one directory's operations and syncs. */
export class Lanes {
  readonly operations = new Lane(MAX_OPERATIONS);
  readonly syncs = new Lane(MAX_SYNCS);
  /** Before this time a synchronous write would risk to block the event loop. */
  asyncUntilMs = 0;

  async sync(
    operation: string,
    path: string,
    start: (done: (error: NodeJS.ErrnoException | null) => void) => void,
  ): Promise<void> {
    await perform<undefined>(this.syncs, operation, path, (done) =>
      start((error) => done(error, undefined)),
    );
  }
}

/** Runs one call of the operating system in its lane; an interrupted one is started again. */
export function perform<T>(
  lane: Lane,
  operation: string,
  path: string,
  start: (done: Callback<T>) => void,
): Promise<T> {
  return new Promise((settle, reject) => {
    const attempt = (): void => {
      try {
        start((error, result) => {
          if (error?.code === "EINTR") {
            attempt();
            return;
          }
          lane.leave();
          if (error) reject(translated(error, operation, path));
          else settle(result);
        });
      } catch (error) {
        // Refused arguments (a zero byte in a path) are thrown, not called back.
        lane.leave();
        reject(translated(error, operation, path));
      }
    };
    lane.enter(attempt);
  });
}

/** The operating system's name for the reason. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return error.code;
  }
  return "EIO";
}

export function translated(error: unknown, operation: string, path: string): DiskError {
  return new DiskError(codeOf(error), path, operation, { cause: error });
}
