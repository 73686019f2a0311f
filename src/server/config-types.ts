/** A 64-bit setting: exact as text, and as a number that is clamped to what a number can hold. */
export interface LongSetting {
  readonly text: string;
  /** Exact up to ±(2^53 - 1); beyond that, that bound. */
  readonly value: number;
}

/** One key of the table: how its text becomes a value, and what a user is told about it. */
export interface ConfigSpec<T> {
  readonly type: "boolean" | "int" | "short" | "long" | "double" | "string" | "list";
  /** As Kafka writes it; null when the key has no default. */
  readonly defaultText: string | null;
  /** What a value may be, as a sentence's end: "must be …". */
  readonly allowed: string;
  readonly doc: string;
  /** The value, or undefined when `text` is not allowed. */
  parse(text: string): T | undefined;
}

/** Inclusive bounds. */
export interface Range {
  readonly min?: number;
  readonly max?: number;
  /** One more value, outside the bounds. */
  readonly or?: number;
}

const INT_MAX = 2 ** 31 - 1;
const LONG_MAX = 2n ** 63n - 1n;

/** The text of Long.MAX_VALUE: "never" or "no bound" in many of Kafka's keys. */
export const LONG_MAX_TEXT = String(LONG_MAX);

type Optional<T> = ConfigSpec<T | null>;

/** A 32-bit whole number. */
export function int(defaultValue: number, range: Range, doc: string): ConfigSpec<number> {
  return wholeNumber("int", String(defaultValue), range, INT_MAX, doc);
}

/** A 32-bit whole number that may be left out. */
export function optionalInt(range: Range, doc: string): Optional<number> {
  return wholeNumber("int", null, range, INT_MAX, doc);
}

/** A 16-bit whole number. */
export function short(defaultValue: number, range: Range, doc: string): ConfigSpec<number> {
  return wholeNumber("short", String(defaultValue), range, 2 ** 15 - 1, doc);
}

/** A 64-bit whole number. */
export function long(
  defaultValue: number | string,
  range: Range,
  doc: string,
): ConfigSpec<LongSetting> {
  return longNumber(String(defaultValue), range, doc);
}

/** A 64-bit whole number that may be left out. */
export function optionalLong(range: Range, doc: string): Optional<LongSetting> {
  return longNumber(null, range, doc);
}

/** A number that need not be whole, as Java writes one. */
export function double(
  defaultValue: number,
  { min = -Infinity, max = Infinity }: Range,
  doc: string,
): ConfigSpec<number> {
  return {
    type: "double",
    defaultText: javaText(defaultValue),
    allowed: max === Infinity ? `a number from ${min}` : `a number from ${min} to ${max}`,
    doc,
    parse: (text) => {
      const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
      return value >= min && value <= max ? value : undefined;
    },
  };
}

export function boolean(defaultValue: boolean, doc: string): ConfigSpec<boolean> {
  return {
    type: "boolean",
    defaultText: String(defaultValue),
    allowed: "true or false",
    doc,
    parse: (text) => {
      const lower = text.toLowerCase();
      return lower === "true" ? true : lower === "false" ? false : undefined;
    },
  };
}

export function oneOf<const T extends string>(
  defaultValue: T,
  values: readonly T[],
  doc: string,
): ConfigSpec<T> {
  return {
    type: "string",
    defaultText: defaultValue,
    allowed: `one of ${values.join(", ")}`,
    doc,
    parse: (text) => values.find((value) => value === text),
  };
}

export function string(defaultValue: string, doc: string): ConfigSpec<string> {
  return {
    type: "string",
    defaultText: defaultValue,
    allowed: "a text",
    doc,
    parse: (text) => text,
  };
}

export function optionalString(doc: string): Optional<string> {
  return {
    type: "string",
    defaultText: null,
    allowed: "a text",
    doc,
    parse: (text) => (text === "" ? null : text),
  };
}

/** Items between commas; blanks around them do not count. */
export function list(
  defaultText: string,
  doc: string,
  values?: readonly string[],
): ConfigSpec<readonly string[]> {
  return {
    type: "list",
    defaultText,
    allowed: values === undefined ? "a comma-separated list" : `a list of ${values.join(", ")}`,
    doc,
    parse: (text) => {
      const items = splitList(text);
      return values === undefined || items.every((item) => values.includes(item))
        ? items
        : undefined;
    },
  };
}

export function splitList(text: string): readonly string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function wholeNumber(
  type: "int" | "short",
  defaultText: string | null,
  { min = -INT_MAX - 1, max = INT_MAX, or }: Range,
  typeMax: number,
  doc: string,
): ConfigSpec<number> {
  const top = Math.min(max, typeMax);
  return {
    type,
    defaultText,
    allowed: `a whole number from ${min} to ${top}${or === undefined ? "" : `, or ${or}`}`,
    doc,
    parse: (text) => {
      const value = /^[+-]?\d{1,10}$/.test(text) ? Number(text) : NaN;
      return (value >= min && value <= top) || value === or ? value : undefined;
    },
  };
}

function longNumber(
  defaultText: string | null,
  { min, max }: Range,
  doc: string,
): ConfigSpec<LongSetting> {
  const bottom = min === undefined ? -LONG_MAX - 1n : BigInt(min);
  const top = max === undefined ? LONG_MAX : BigInt(max);
  return {
    type: "long",
    defaultText,
    allowed: `a whole number from ${bottom} to ${top}`,
    doc,
    parse: (text) => {
      if (!/^[+-]?\d{1,19}$/.test(text)) return undefined;
      const exact = BigInt(text.replace(/^\+/, ""));
      if (exact < bottom || exact > top) return undefined;
      return { text: String(exact), value: clamp(Number(exact)) };
    },
  };
}

function javaText(value: number): string {
  return String(value).replace("e+", "E");
}

function clamp(value: number): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));
}
