import type { Logger } from "../../../src/base/logger.ts";

export interface LogLine {
  readonly level: string;
  readonly facts: object;
  readonly message: string;
}

/** Keeps what was logged. */
export class RecordingLogger implements Logger {
  readonly lines: LogLine[] = [];
  readonly debug = this.#at("debug");
  readonly info = this.#at("info");
  readonly warn = this.#at("warn");
  readonly error = this.#at("error");
  readonly fatal = this.#at("fatal");

  child(): Logger {
    return this;
  }

  #at(level: string) {
    return (facts: object, message: string): void => {
      this.lines.push({ level, facts, message });
    };
  }
}
