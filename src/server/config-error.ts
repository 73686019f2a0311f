/**
 * A setting that cannot be taken. The message is one line: the key, the value, where it stands and what
 * is allowed. The process exits with 78.
 */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
