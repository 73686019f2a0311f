/** An invariant of ours does not hold: a bug. Never caught; the process exits (conventions.md, Errors). */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
  readonly details: unknown;

  constructor(message: string, details?: unknown) {
    super(details === undefined ? message : `${message}: ${describe(details)}`);
    this.details = details;
  }
}

/**
 * Throws InvariantError unless `condition` holds. Stays on in production, so the message is constant
 * and the details are built only on failure.
 */
export function assert(
  condition: boolean,
  message: string,
  details?: () => unknown,
): asserts condition {
  if (!condition) throw new InvariantError(message, details?.());
}

/** Unwraps a value that the surrounding code guarantees to be there. */
export function must<T>(value: T | undefined | null, message: string): T {
  if (value === undefined || value === null) throw new InvariantError(message);
  return value;
}

/** The end of an exhaustive `switch`. */
export function unreachable(value: never): never {
  throw new InvariantError("unreachable case", value);
}

function describe(details: unknown): string {
  return JSON.stringify(details, (_key, value: unknown) =>
    typeof value === "bigint" ? `${value}n` : value,
  );
}
