import type { Uuid } from "../base/ids.ts";

/** Versions as Kafka's own schemas write them: `"3+"`, `"0-12"`, `"7"`. */
export type VersionText = `${number}+` | `${number}-${number}` | `${number}`;

export type PrimitiveKind =
  | "bool"
  | "int8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "exactInt64"
  | "float64"
  | "string"
  | "bytes"
  | "uuid";

export type FieldKind = PrimitiveKind | "array" | "struct";

/** What Kafka's schema says about a field besides its type. */
export interface FieldOptions<T> {
  /** Versions that carry the field; all when left out. */
  readonly versions?: VersionText;
  /** Versions in which it may be null (`true`: all that carry it). */
  readonly nullable?: VersionText | true;
  /** Value in versions that do not carry it; otherwise zero, empty or false. */
  readonly default?: T | null;
  /** A value that the version cannot carry is dropped without an error. */
  readonly ignorable?: true;
  /** Number in the tag section: the field is written there, and only when not at its default. */
  readonly tag?: number;
  /** Keeps its old (int16 or int32) length also in flexible versions. */
  readonly isClassic?: true;
}

/**
 * One field of a message. `decoded`, `encodable` and `mayBeLeftOut` exist for the type checker only.
 * Immutable, and may be shared between structs.
 */
export class Field<Decoded = unknown, Encodable = unknown, MayBeLeftOut extends boolean = boolean> {
  declare readonly decoded: Decoded;
  declare readonly encodable: Encodable;
  declare readonly mayBeLeftOut: MayBeLeftOut;
  readonly kind: FieldKind;
  readonly options: FieldOptions<unknown>;
  /** Of a struct. */
  readonly fields: Fields | null;
  /** Of an array. */
  readonly element: Field | null;

  constructor(
    kind: FieldKind,
    options: FieldOptions<unknown>,
    fields: Fields | null = null,
    element: Field | null = null,
  ) {
    this.kind = kind;
    this.options = options;
    this.fields = fields;
    this.element = element;
  }
}

/** Fields in wire order. */
export type Fields = Readonly<Record<string, Field>>;

/** A message or record of the protocol, in all its versions. */
export interface Message<F extends Fields = Fields> {
  readonly name: string;
  /** API key of a request or response, record type of a record; null where there is none. */
  readonly apiKey: number | null;
  readonly versions: VersionText;
  /** Versions with compact lengths and tag sections; null: none. */
  readonly flexible: VersionText | null;
  readonly fields: F;
}

/** What decoding gives: every field, at its default where the version does not carry it. */
export type Infer<M extends Message> = DecodedFields<M["fields"]>;

/**
 * What encoding takes: as Infer, but at every depth fields with a default of their own, ignorable and
 * tagged ones may be left out (undefined = default), and so may those that newer versions no longer
 * carry (versions that do carry them refuse undefined).
 */
export type Encodable<M extends Message> = EncodableFields<M["fields"]>;

export type DecodedFields<F extends Fields> = { readonly [K in keyof F]: F[K]["decoded"] };

export type EncodableFields<F extends Fields> = {
  readonly [K in keyof F as F[K]["mayBeLeftOut"] extends true ? never : K]: F[K]["encodable"];
} & {
  readonly [K in keyof F as F[K]["mayBeLeftOut"] extends true ? K : never]?:
    F[K]["encodable"] | undefined;
};

type Or<T, O> = O extends { readonly nullable: string | true } ? T | null : T;

type Optional<O> = O extends
  | { readonly default: unknown }
  | { readonly ignorable: true }
  | { readonly tag: number }
  | { readonly versions: `${number}-${number}` }
  ? true
  : false;

type Built<T, O> = Field<Or<T, O>, Or<T, O>, Optional<O>>;

/* eslint-disable-next-line @typescript-eslint/no-empty-object-type -- "no options" must infer as such. */
type None = {};

const NO_OPTIONS = {};

type Builder<T> = <const O extends FieldOptions<T> = None>(options?: O) => Built<T, O>;

function primitive<T>(kind: PrimitiveKind): Builder<T> {
  return (options) => new Field(kind, options ?? NO_OPTIONS);
}

export const bool = primitive<boolean>("bool");
export const int8 = primitive<number>("int8");
export const int16 = primitive<number>("int16");
export const uint16 = primitive<number>("uint16");
export const int32 = primitive<number>("int32");
export const uint32 = primitive<number>("uint32");
/** A quantity that we compute with. Beyond ±(2^53 - 1) the codec refuses it with a ProtocolError. */
export const int64 = primitive<number>("int64");
/** A quantity that a client may choose freely, all 64 bits of it. */
export const exactInt64 = primitive<bigint>("exactInt64");
export const float64 = primitive<number>("float64");
export const string = primitive<string>("string");
/** Decodes to a slice of the frame, never a copy. */
export const bytes = primitive<Buffer>("bytes");
/** Record batches: bytes that the codec does not look into. */
export const records = primitive<Buffer>("bytes");
export const uuid = primitive<Uuid>("uuid");

/** An array of a primitive, or of structs with the given fields. */
export function array<T, E, const O extends FieldOptions<never> = None>(
  element: Field<T, E>,
  options?: O,
): Field<Or<T[], O>, Or<readonly E[], O>, Optional<O>>;
export function array<F extends Fields, const O extends FieldOptions<never> = None>(
  fields: F,
  options?: O,
): Field<Or<DecodedFields<F>[], O>, Or<readonly EncodableFields<F>[], O>, Optional<O>>;
export function array(of: Field | Fields, options: FieldOptions<unknown> = NO_OPTIONS): Field {
  const element = of instanceof Field ? of : new Field("struct", NO_OPTIONS, of);
  return new Field("array", options, null, element);
}

/** A struct in place. A nullable one is preceded by a byte that says whether it is there. */
export function struct<F extends Fields, const O extends FieldOptions<never> = None>(
  fields: F,
  options?: O,
): Field<Or<DecodedFields<F>, O>, Or<EncodableFields<F>, O>, Optional<O>> {
  return new Field("struct", options ?? NO_OPTIONS, fields);
}

/** Versions of a message; `flexible` left out: none. */
export interface Versions {
  readonly versions: VersionText;
  readonly flexible?: VersionText;
}

/** The body of a request of the API. */
export function request<F extends Fields>(
  api: string,
  apiKey: number,
  versions: Versions,
  fields: F,
): Message<F> {
  return message(`${api}Request`, { apiKey, ...versions }, fields);
}

/** The body of a response of the API. */
export function response<F extends Fields>(
  api: string,
  apiKey: number,
  versions: Versions,
  fields: F,
): Message<F> {
  return message(`${api}Response`, { apiKey, ...versions }, fields);
}

/** Any other message; a record's `apiKey` is its type. */
export function message<F extends Fields>(
  name: string,
  options: Versions & { readonly apiKey?: number },
  fields: F,
): Message<F> {
  return {
    name,
    apiKey: options.apiKey ?? null,
    versions: options.versions,
    flexible: options.flexible ?? null,
    fields,
  };
}

/** First and last version. */
export interface VersionRange {
  readonly first: number;
  readonly last: number;
}

/** Few texts, asked for with every request: its header's version is one of these questions. */
const parsedVersions = new Map<VersionText, VersionRange>();

/** First and last version that the text names; `"3+"` has no last one. */
export function parseVersions(text: VersionText): VersionRange {
  let range = parsedVersions.get(text);
  if (range === undefined) {
    const [first = "", last] = text.replace("+", "-Infinity").split("-");
    range = { first: Number(first), last: Number(last ?? first) };
    parsedVersions.set(text, range);
  }
  return range;
}

/** Whether the version is among those that the text names. */
export function includesVersion(text: VersionText, version: number): boolean {
  const { first, last } = parseVersions(text);
  return version >= first && version <= last;
}
