import type { Logger } from "../base/logger.ts";
import { LOG_LEVELS, type LogLevel, type LogLevels, ROOT_LOGGER } from "./log-levels.ts";

/** The process's log, and what decides how much of it there is. */
export interface ProcessLogger {
  readonly logger: Logger;
  readonly levels: LogLevels;
}

/**
 * pino on standard output: JSON, or for people when that is a terminal. Written synchronously, so that
 * the last line before an exit is not lost.
 */
export async function createLogger(
  level: "debug" | "info" | "warn" | "error",
): Promise<ProcessLogger> {
  const { pino } = await import("pino");
  // Level names, not numbers, and no process facts on every line: a reader should not need a key.
  const options = {
    level: "debug",
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { error: pino.stdSerializers.err },
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // As our port: pino's own type has an index signature that TypeScript takes for a thenable.
  let logger: Logger;
  if (process.stdout.isTTY) {
    const { PinoPretty } = await import("pino-pretty");
    logger = pino(
      options,
      PinoPretty({ sync: true, singleLine: true, translateTime: "HH:MM:ss.l" }),
    );
  } else {
    logger = pino(options, pino.destination({ fd: 1, sync: true }));
  }
  const levels = new RootLevel(level.toUpperCase() as LogLevel); // The setting's values are among them.
  return { logger: new LeveledLogger(logger, levels), levels };
}

/** One level for all: a child of pino's keeps the level that its parent had when it was made. */
export class RootLevel implements LogLevels {
  #level: LogLevel;

  constructor(level: LogLevel) {
    this.#level = level;
  }

  all(): ReadonlyMap<string, LogLevel> {
    return new Map([[ROOT_LOGGER, this.#level]]);
  }

  set(_logger: string, level: LogLevel): void {
    this.#level = level;
  }

  allows(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(this.#level);
  }
}

/** Passes on what the level allows at that moment. */
export class LeveledLogger implements Logger {
  readonly #logger: Logger;
  readonly #level: RootLevel;

  constructor(logger: Logger, level: RootLevel) {
    this.#logger = logger;
    this.#level = level;
  }

  debug(facts: object, message: string): void {
    if (this.#level.allows("DEBUG")) this.#logger.debug(facts, message);
  }

  info(facts: object, message: string): void {
    if (this.#level.allows("INFO")) this.#logger.info(facts, message);
  }

  warn(facts: object, message: string): void {
    if (this.#level.allows("WARN")) this.#logger.warn(facts, message);
  }

  error(facts: object, message: string): void {
    if (this.#level.allows("ERROR")) this.#logger.error(facts, message);
  }

  fatal(facts: object, message: string): void {
    this.#logger.fatal(facts, message);
  }

  child(facts: object): Logger {
    return new LeveledLogger(this.#logger.child(facts), this.#level);
  }
}
