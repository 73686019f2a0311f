import type { Logger } from "../base/logger.ts";

/** Lines that clients can cause, a second: enough to see what is going on. */
const MAX_LINES = 10;
const WINDOW_MS = 1_000;

/**
 * Warnings that anybody who reaches a port can cause: some are logged each second, of the others their
 * number, so that a flood of bad requests is not a flood of log lines.
 */
export class QuietLogger {
  readonly #clock: { nowMs(): number };
  readonly #logger: Logger;
  #windowStartMs = -Infinity;
  #lineCount = 0;
  #leftOutCount = 0;

  constructor(dependencies: { readonly clock: { nowMs(): number }; readonly logger: Logger }) {
    this.#clock = dependencies.clock;
    this.#logger = dependencies.logger;
  }

  warn(facts: object, message: string): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#lineCount = 0;
      if (this.#leftOutCount > 0) {
        const count = this.#leftOutCount;
        this.#logger.warn({ count }, `${count} more lines about clients were left out`);
      }
      this.#leftOutCount = 0;
    }
    if (this.#lineCount >= MAX_LINES) {
      this.#leftOutCount += 1;
      return;
    }
    this.#lineCount += 1;
    this.#logger.warn(facts, message);
  }
}
