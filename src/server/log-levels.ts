/** Kafka's log levels (KIP-412), the most talkative first. */
export const LOG_LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** The logger above all others, in Kafka's word. */
export const ROOT_LOGGER = "root";

export function isLogLevel(text: string): text is LogLevel {
  return LOG_LEVELS.some((level) => level === text);
}

/** What is logged, by logger; it can be changed while the process runs, and not longer than it lives. */
export interface LogLevels {
  all(): ReadonlyMap<string, LogLevel>;
  /** `logger` is one of `all`. */
  set(logger: string, level: LogLevel): void;
}
