/** How the text of a setting becomes a value, in the words of Kafka's ConfigDef. */
export interface ConfigType<T> {
  readonly kind: "boolean" | "int" | "long" | "double" | "string" | "list";
  /** Throws ConfigValueError. */
  parse(name: string, text: string): T;
}

/** A value that may not be; the message is Kafka's. */
export class ConfigValueError extends Error {
  override readonly name = "ConfigValueError";
}

/** Inclusive bounds; a bound that is left out is the type's own. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
  /** One more value that is allowed, outside the bounds. */
  readonly or?: number;
}

const INT_MIN = -(2n ** 31n);
const INT_MAX = 2n ** 31n - 1n;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

/** Text of Long.MAX_VALUE: "never" and "no bound". */
export const LONG_MAX_TEXT = String(LONG_MAX);

export const boolean: ConfigType<boolean> = {
  kind: "boolean",
  parse: (name, text) => {
    const lower = text.trim().toLowerCase();
    if (lower === "true") return true;
    if (lower === "false") return false;
    throw invalid(name, text, "Expected value to be either true or false");
  },
};

export function int(bounds: Bounds = {}): ConfigType<number> {
  return wholeNumber("int", INT_MIN, INT_MAX, bounds);
}

/** As a number, clamped to what one holds exactly: beyond 2^53 - 1 settings mean "no bound". */
export function long(bounds: Bounds = {}): ConfigType<number> {
  return wholeNumber("long", LONG_MIN, LONG_MAX, bounds);
}

export function double(bounds: Bounds): ConfigType<number> {
  return {
    kind: "double",
    parse: (name, text) => {
      // Java's Double.parseDouble takes a type suffix.
      const digits = text.trim().replace(/[dDfF]$/, "");
      const value = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(digits) ? Number(digits) : NaN;
      if (Number.isNaN(value)) throw invalid(name, text, "Not a number of type DOUBLE");
      checkBounds(name, String(value), value, bounds);
      return value;
    },
  };
}

export function oneOf<const T extends string>(values: readonly T[]): ConfigType<T> {
  return {
    kind: "string",
    parse: (name, text) => findValue(name, text.trim(), values),
  };
}

export function listOf<const T extends string>(values: readonly T[]): ConfigType<readonly T[]> {
  return {
    kind: "list",
    parse: (name, text) => {
      const items = splitList(text);
      if (items.includes("")) {
        throw new ConfigValueError(`Configuration '${name}' values must not be empty.`);
      }
      return items.map((item) => findValue(name, item, values));
    },
  };
}

/** Replicas whose replication is throttled: `*`, or partition:broker pairs. */
export const throttledReplicas: ConfigType<readonly string[]> = {
  kind: "list",
  parse: (name, text) => {
    const items = splitList(text);
    const isWildcard = items.length === 1 && items[0] === "*";
    if (isWildcard || items.every((item) => /^\d+:\d+$/.test(item))) return items;
    throw invalid(
      name,
      `[${items.join(", ")}]`,
      `${name} must be the literal '*' or a list of replicas in the following format: ` +
        "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
    );
  },
};

function splitList(text: string): string[] {
  const trimmed = text.trim();
  return trimmed === "" ? [] : trimmed.split(/\s*,\s*/);
}

function wholeNumber(
  kind: "int" | "long",
  typeMin: bigint,
  typeMax: bigint,
  bounds: Bounds,
): ConfigType<number> {
  return {
    kind,
    parse: (name, text) => {
      const digits = text.trim();
      const exact = /^[+-]?\d+$/.test(digits) ? BigInt(digits.replace(/^\+/, "")) : null;
      if (exact === null || exact < typeMin || exact > typeMax) {
        throw invalid(name, text, `Not a number of type ${kind.toUpperCase()}`);
      }
      const value = clamp(exact);
      checkBounds(name, String(exact), value, bounds);
      return value;
    },
  };
}

function clamp(exact: bigint): number {
  if (exact > BigInt(Number.MAX_SAFE_INTEGER)) return Number.MAX_SAFE_INTEGER;
  if (exact < BigInt(Number.MIN_SAFE_INTEGER)) return Number.MIN_SAFE_INTEGER;
  return Number(exact);
}

function checkBounds(name: string, text: string, value: number, bounds: Bounds): void {
  const { min = -Infinity, max = Infinity, or } = bounds;
  if (value === or || (value >= min && value <= max)) return;
  if (or !== undefined) {
    throw invalid(name, text, `Value must be between ${min} and ${max} or equal to ${or}`);
  }
  throw invalid(
    name,
    text,
    value < min ? `Value must be at least ${min}` : `Value must be no more than ${max}`,
  );
}

function findValue<T extends string>(name: string, text: string, values: readonly T[]): T {
  const value = values.find((allowed) => allowed === text);
  if (value !== undefined) return value;
  throw invalid(name, text, `String must be one of: ${values.join(", ")}`);
}

function invalid(name: string, text: string, reason: string): ConfigValueError {
  return new ConfigValueError(`Invalid value ${text} for configuration ${name}: ${reason}`);
}
