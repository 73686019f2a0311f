/** A 64-bit setting: exact as text, and as a number that is clamped to what a number can hold. */
export interface LongSetting {
  readonly text: string;
  /** Exact up to ±(2^53 - 1); beyond that, that bound. */
  readonly value: number;
}

/** The names of Kafka's ConfigDef.Type, in small letters. */
export type ConfigKind =
  "boolean" | "string" | "int" | "short" | "long" | "double" | "list" | "class" | "password";

/** How the text of a setting becomes a value, and back. */
export interface ConfigType<T> {
  readonly kind: ConfigKind;
  /** What a value may be, as a sentence's end: "must be …". */
  readonly allowed: string;
  /** Throws ConfigValueError, in the words of Kafka's ConfigDef. */
  parse(name: string, text: string): T;
  /** As Kafka tells it: without blanks and signs that do not count. */
  format(value: T): string;
}

/** A value that may not be; the message is Kafka's. */
export class ConfigValueError extends Error {
  override readonly name = "ConfigValueError";
}

/** Inclusive bounds; one that is left out is the type's own. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
  /** One more value that is allowed, outside the bounds. */
  readonly or?: number;
}

const LONG_MAX = 2n ** 63n - 1n;

/** The text of Long.MAX_VALUE: "never" or "no bound" in many of Kafka's keys. */
export const LONG_MAX_TEXT = String(LONG_MAX);

export const BOOLEAN: ConfigType<boolean> = {
  kind: "boolean",
  allowed: "true or false",
  parse: (name, text) => {
    const lower = text.trim().toLowerCase();
    if (lower === "true") return true;
    if (lower === "false") return false;
    throw invalid(name, text, "Expected value to be either true or false");
  },
  format: String,
};

/** A 32-bit whole number. */
export function intType(bounds: Bounds): ConfigType<number> {
  const type = wholeNumber("int", 2n ** 31n - 1n, bounds);
  return { ...type, parse: (name, text) => type.parse(name, text).value, format: String };
}

/** A 16-bit whole number. */
export function shortType(bounds: Bounds): ConfigType<number> {
  const type = wholeNumber("short", 2n ** 15n - 1n, bounds);
  return { ...type, parse: (name, text) => type.parse(name, text).value, format: String };
}

/** A 64-bit whole number. */
export function longType(bounds: Bounds): ConfigType<LongSetting> {
  return wholeNumber("long", LONG_MAX, bounds);
}

/** A number that need not be whole. */
export function doubleType(bounds: Bounds): ConfigType<number> {
  const { min = -Infinity, max = Infinity } = bounds;
  return {
    kind: "double",
    allowed:
      min === -Infinity
        ? "a number"
        : max === Infinity
          ? `a number from ${min}`
          : `a number from ${min} to ${max}`,
    parse: (name, text) => {
      // Java's Double.parseDouble takes a type suffix.
      const digits = text.trim().replace(/[dDfF]$/, "");
      const value = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(digits) ? Number(digits) : NaN;
      if (Number.isNaN(value)) throw invalid(name, text, "Not a number of type DOUBLE");
      checkBounds(name, javaDouble(value), value, bounds);
      return value;
    },
    format: javaDouble,
  };
}

/** Any text. */
export const STRING: ConfigType<string> = textType("string", "a text");

/** The name of a Java class. */
export const CLASS: ConfigType<string> = textType("class", "the name of a class");

/** A text that nobody is told. */
export const PASSWORD: ConfigType<string> = textType("password", "a text");

export function oneOfType<const T extends string>(values: readonly T[]): ConfigType<T> {
  return {
    kind: "string",
    allowed: `one of ${values.join(", ")}`,
    parse: (name, text) => findValue(name, text.trim(), values),
    format: (value) => value,
  };
}

/** One of the texts, in small letters or large ones. */
export function anyCaseType(values: readonly string[]): ConfigType<string> {
  return {
    kind: "string",
    allowed: `one of ${values.join(", ")}`,
    parse: (name, text) => {
      const upper = text.trim().toUpperCase();
      if (values.some((value) => value.toUpperCase() === upper)) return text.trim();
      const reason = `String must be one of (case insensitive): ${values.join(", ")}`;
      throw invalid(name, text, reason);
    },
    format: (value) => value,
  };
}

/** Items between commas, of which none is empty; blanks around them do not count. */
export function listType<const T extends string = string>(
  values?: readonly T[],
): ConfigType<readonly T[]> {
  return {
    kind: "list",
    allowed:
      values === undefined
        ? "a list: items between commas, none empty"
        : `a list of ${values.join(", ")}`,
    parse: (name, text) => {
      const items = javaSplit(text);
      if (items.includes("")) {
        throw new ConfigValueError(`Configuration '${name}' values must not be empty.`);
      }
      return values === undefined
        ? (items as T[]) // Any text, when no values are named.
        : items.map((item) => findValue(name, item, values));
    },
    format: (items) => items.join(","),
  };
}

/** Replicas whose replication is throttled: `*`, or partition:broker pairs. */
export const THROTTLED_REPLICAS: ConfigType<readonly string[]> = {
  kind: "list",
  allowed: "* or a list of partition:broker pairs",
  parse: (name, text) => {
    const items = javaSplit(text);
    const isWildcard = items.length === 1 && items[0] === "*";
    if (isWildcard || items.every((item) => /^\d+:\d+$/.test(item))) return items;
    throw invalid(
      name,
      `[${items.join(", ")}]`,
      `${name} must be the literal '*' or a list of replicas in the following format: ` +
        "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
    );
  },
  format: (items) => items.join(","),
};

/** The items between commas that are not empty. */
export function splitList(text: string): readonly string[] {
  return javaSplit(text).filter((item) => item !== "");
}

export function invalid(name: string, text: string, reason: string): ConfigValueError {
  return new ConfigValueError(`Invalid value ${text} for configuration ${name}: ${reason}`);
}

function javaSplit(text: string): string[] {
  const trimmed = text.trim();
  return trimmed === "" ? [] : trimmed.split(/\s*,\s*/);
}

function textType(kind: ConfigKind, allowed: string): ConfigType<string> {
  return { kind, allowed, parse: (_name, text) => text.trim(), format: (value) => value };
}

function wholeNumber(
  kind: "int" | "short" | "long",
  typeMax: bigint,
  bounds: Bounds,
): ConfigType<LongSetting> {
  const bottom = bounds.min === undefined ? -typeMax - 1n : BigInt(bounds.min);
  const top = bounds.max === undefined ? typeMax : BigInt(bounds.max);
  const besides = bounds.or === undefined ? "" : `, or ${bounds.or}`;
  return {
    kind,
    allowed: `a whole number from ${bottom} to ${top}${besides}`,
    parse: (name, text) => {
      const digits = text.trim();
      const exact = /^[+-]?\d+$/.test(digits) ? BigInt(digits.replace(/^\+/, "")) : null;
      if (exact === null || exact < -typeMax - 1n || exact > typeMax) {
        throw invalid(name, text, `Not a number of type ${kind.toUpperCase()}`);
      }
      const value = clamp(exact);
      checkBounds(name, String(exact), value, bounds);
      return { text: String(exact), value };
    },
    format: ({ text }) => text,
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

/** As Java's Double.toString. */
function javaDouble(value: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-3 && size < 1e7)) {
    return Number.isInteger(value) ? `${value}.0` : String(value);
  }
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  return `${digits.includes(".") ? digits : `${digits}.0`}E${Number(exponent)}`;
}
