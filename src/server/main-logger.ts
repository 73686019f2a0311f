import type { Logger } from "../base/logger.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/**
 * pino on standard output: JSON, or for people when that is a terminal. Written synchronously, so that
 * the last line before an exit is not lost.
 */
export async function createLogger(level: LogLevel): Promise<Logger> {
  const { pino } = await import("pino");
  // Level names, not numbers, and no process facts on every line: a reader should not need a key.
  const options = {
    level,
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
  return logger;
}
