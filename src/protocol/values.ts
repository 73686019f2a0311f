import { ProtocolError } from "./errors.ts";
import type { FieldPlan, PrimitivePlan, StructPlan } from "./plan.ts";
import { UNKNOWN_TAGS, type UnknownTag } from "./reader.ts";
import type { Writer } from "./writer.ts";

/** What both codecs know about values that are to be encoded. */

/** A struct on its way in or out. Only the codecs look at it so; the world sees inferred types. */
export type StructValue = Record<string, unknown> & { [UNKNOWN_TAGS]?: UnknownTag[] };

export function notEncodable(path: string, text: string): never {
  throw new ProtocolError("not-encodable", `${path}: ${text}`);
}

/** Refuses a value that is not of the type. */
export function badValue(path: string, value: unknown, expected: string): never {
  const shown = value === undefined ? "it is missing" : `${describe(value)} is none`;
  return notEncodable(path, `${expected} expected, ${shown}`);
}

/** Refuses null where the version has none. */
export function badNull(path: string): never {
  return notEncodable(path, "null where the version has none");
}

/**
 * Accepts only what a version without the field can carry: nothing, the default, or anything when
 * the field is ignorable.
 */
export function checkAbsent(field: FieldPlan, value: unknown): void {
  if (value === undefined || field.isIgnorable || isDefault(field, value)) return;
  notEncodable(field.path, `the version cannot carry ${describe(value)}`);
}

/** Whether the value is the field's default, at every depth. */
export function isDefault(field: FieldPlan, value: unknown): boolean {
  if (value === undefined) return true;
  if (field.defaultValue !== undefined) return value === field.defaultValue;
  if (value === null) return false;
  const { type } = field;
  if (type.kind === "array") return (value as readonly unknown[]).length === 0;
  if (type.kind === "bytes") return (value as Buffer).length === 0;
  const inner = asStruct(field.path, value);
  return (
    inner[UNKNOWN_TAGS] === undefined &&
    (type as StructPlan).fields.every((one) => isDefault(one, inner[one.name]))
  );
}

/** The value as a struct, or an error. */
export function asStruct(path: string, value: unknown): StructValue {
  if (typeof value !== "object" || value === null) return badValue(path, value, "a struct");
  return value as StructValue;
}

/** The value as an array, or an error. */
export function asArray(path: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) return badValue(path, value, "an array");
  return value as readonly unknown[];
}

/** Checks that the value is of the kind and in its range. */
export function checkPrimitive(
  path: string,
  kind: PrimitivePlan["kind"] | "string" | "bytes",
  value: unknown,
): void {
  if (!IS_OF_KIND[kind](value)) badValue(path, value, kind);
}

const IS_OF_KIND: Readonly<
  Record<PrimitivePlan["kind"] | "string" | "bytes", (value: unknown) => boolean>
> = {
  bool: (value) => typeof value === "boolean",
  int8: (value) => isInteger(value, -0x80, 0x7f),
  int16: (value) => isInteger(value, -0x8000, 0x7fff),
  uint16: (value) => isInteger(value, 0, 0xffff),
  int32: (value) => isInteger(value, -0x80000000, 0x7fffffff),
  uint32: (value) => isInteger(value, 0, 0xffffffff),
  int64: (value) => Number.isSafeInteger(value),
  exactInt64: (value) => typeof value === "bigint" && BigInt.asIntN(64, value) === value,
  float64: (value) => typeof value === "number",
  uuid: (value) => typeof value === "string",
  string: (value) => typeof value === "string",
  bytes: (value) => value instanceof Uint8Array,
};

/**
 * Writes the kept unknown tags from `index` on whose number is below `limit`, so that all tags go
 * out in ascending order. Returns the index of the next one.
 */
export function writeUnknownTags(
  writer: Writer,
  unknown: readonly UnknownTag[],
  index: number,
  limit: number,
): number {
  let next = index;
  for (let entry = unknown[next]; entry !== undefined && entry.tag < limit; entry = unknown[next]) {
    writer.uvarint(entry.tag);
    writer.uvarint(entry.bytes.length);
    writer.raw(entry.bytes);
    next += 1;
  }
  return next;
}

/** The unknown tags of a struct by ascending number. */
export function unknownTagsOf(value: StructValue): readonly UnknownTag[] {
  const unknown = value[UNKNOWN_TAGS];
  return unknown === undefined ? NO_TAGS : unknown.toSorted((a, b) => a.tag - b.tag);
}

const NO_TAGS: readonly UnknownTag[] = [];

function isInteger(value: unknown, least: number, greatest: number): boolean {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= greatest;
}

const MAX_SHOWN_LENGTH = 60;

function describe(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null) return "an object";
  return String(value).slice(0, MAX_SHOWN_LENGTH);
}
