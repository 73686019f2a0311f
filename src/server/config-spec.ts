import {
  anyCaseType,
  BOOLEAN,
  type Bounds,
  CLASS,
  type ConfigType,
  doubleType,
  intType,
  listType,
  type LongSetting,
  longType,
  oneOfType,
  PASSWORD,
  shortType,
  STRING,
} from "./config-types.ts";

/** Whether a setting can be changed while the node runs, for one broker or for all (KIP-226). */
export type UpdateMode = "read-only" | "per-broker" | "cluster-wide";

/** One key of the table of settings: all that anybody is told about it. */
export interface ConfigSpec<T> {
  readonly type: ConfigType<T>;
  /** As Kafka writes it; null: the key has no default. */
  readonly defaultText: string | null;
  /** What holds where Kafka has no default. */
  readonly fallbackText?: string;
  /** Kafka's default, where ours is another on purpose (docs/differences.md). */
  readonly kafkaDefaultText?: string;
  /** A sentence. */
  readonly doc: string;
  readonly updateMode: UpdateMode;
  /** Kafka tells nobody of it, and so do we. */
  readonly isInternal: boolean;
}

type Optional<T> = ConfigSpec<T | null>;

/** A 32-bit whole number. */
export function int(defaultValue: number, bounds: Bounds, doc = ""): ConfigSpec<number> {
  return spec(intType(bounds), String(defaultValue), doc);
}

/** A 32-bit whole number that may be left out. */
export function optionalInt(bounds: Bounds, doc = ""): Optional<number> {
  return optional(intType(bounds), doc);
}

/** A 16-bit whole number. */
export function short(defaultValue: number, bounds: Bounds, doc = ""): ConfigSpec<number> {
  return spec(shortType(bounds), String(defaultValue), doc);
}

/** A 64-bit whole number. */
export function long(
  defaultValue: number | string,
  bounds: Bounds,
  doc = "",
): ConfigSpec<LongSetting> {
  return spec(longType(bounds), String(defaultValue), doc);
}

/** A 64-bit whole number that may be left out. */
export function optionalLong(bounds: Bounds, doc = ""): Optional<LongSetting> {
  return optional(longType(bounds), doc);
}

/** A number that need not be whole. */
export function double(defaultValue: number, bounds: Bounds, doc = ""): ConfigSpec<number> {
  const type = doubleType(bounds);
  return spec(type, type.format(defaultValue), doc);
}

export function boolean(defaultValue: boolean, doc = ""): ConfigSpec<boolean> {
  return spec(BOOLEAN, String(defaultValue), doc);
}

export function oneOf<const T extends string>(
  defaultValue: T,
  values: readonly T[],
  doc = "",
): ConfigSpec<T> {
  return spec(oneOfType(values), defaultValue, doc);
}

/** One of the values, in small letters or large ones. */
export function anyCase(
  defaultValue: string,
  values: readonly string[],
  doc = "",
): ConfigSpec<string> {
  return spec(anyCaseType(values), defaultValue, doc);
}

export function string(defaultValue: string, doc = ""): ConfigSpec<string> {
  return spec(STRING, defaultValue, doc);
}

export function optionalString(doc = ""): Optional<string> {
  return optional(STRING, doc);
}

export function className(defaultValue: string, doc = ""): ConfigSpec<string> {
  return spec(CLASS, defaultValue, doc);
}

export function optionalClass(doc = ""): Optional<string> {
  return optional(CLASS, doc);
}

export function password(doc = ""): Optional<string> {
  return optional(PASSWORD, doc);
}

/** Items between commas. */
export function list<const T extends string = string>(
  defaultText: string,
  doc = "",
  values?: readonly T[],
): ConfigSpec<readonly T[]> {
  return spec(listType(values), defaultText, doc);
}

/** The key can be changed while the node runs, for one broker or for all of them. */
export function clusterWide<T>(key: ConfigSpec<T>): ConfigSpec<T> {
  return { ...key, updateMode: "cluster-wide" };
}

/** The key can be changed while the node runs, for each broker by itself. */
export function perBroker<T>(key: ConfigSpec<T>): ConfigSpec<T> {
  return { ...key, updateMode: "per-broker" };
}

export function internal<T>(key: ConfigSpec<T>): ConfigSpec<T> {
  return { ...key, isInternal: true };
}

/** Kafka has no default; here its place is taken by that of `key`. */
export function withoutDefault<T>(key: ConfigSpec<T>): ConfigSpec<T> {
  return { ...key, defaultText: null, fallbackText: key.defaultText ?? "" };
}

/** Kafka's default is another, on purpose. */
export function unlikeKafka<T>(kafkaDefaultText: string, key: ConfigSpec<T>): ConfigSpec<T> {
  return { ...key, kafkaDefaultText };
}

function spec<T>(type: ConfigType<T>, defaultText: string, doc = ""): ConfigSpec<T> {
  return { type, defaultText, doc, updateMode: "read-only", isInternal: false };
}

/** Left out, and left empty if it is a text, it is null. */
function optional<T>(type: ConfigType<T>, doc = ""): Optional<T> {
  const isNumber = ["int", "long"].includes(type.kind);
  return {
    type: {
      ...type,
      parse: (name, text) => (text.trim() === "" && !isNumber ? null : type.parse(name, text)),
      format: (value) => (value === null ? "" : type.format(value)),
    },
    defaultText: null,
    doc,
    updateMode: "read-only",
    isInternal: false,
  };
}
