import { must } from "../base/assert.ts";
import {
  type BlobPlan,
  type DefaultValue,
  type FieldPlan,
  type PrimitivePlan,
  type StructPlan,
  type TypePlan,
} from "./plan.ts";

/** What the generators of decoders and encoders share. All names in the text are our schemas' own. */

/** Whether the type takes the same number of bytes always, without anything before it. */
export function isFixed(type: TypePlan): type is PrimitivePlan {
  return !("isCompact" in type) && type.kind !== "struct";
}

/** The fields from `index` on that have a fixed size, up to the first that has not. */
export function fixedRun(fields: readonly FieldPlan[], index: number): readonly FieldPlan[] {
  const end = fields.findIndex((field, at) => at >= index && !isFixed(field.type));
  return fields.slice(index, end === -1 ? fields.length : end);
}

/** The reader's and writer's method for a string or bytes. */
export function blobMethod(type: BlobPlan, isNullable: boolean): string {
  const word = `${isNullable ? "Nullable" : ""}${type.kind === "string" ? "String" : "Bytes"}`;
  return type.isCompact ? `compact${word}` : `${word.charAt(0).toLowerCase()}${word.slice(1)}`;
}

/** An expression that makes a fresh default of the field. */
export function defaultText(field: FieldPlan): string {
  if (field.defaultValue !== undefined) return literal(field.defaultValue);
  const { type } = field;
  if (type.kind === "array") return "[]";
  if (type.kind === "bytes") return "EMPTY_BYTES";
  const inner = (type as StructPlan).fields.map((one) => `${one.name}: ${defaultText(one)}`);
  return `{ ${inner.join(", ")} }`;
}

export function literal(value: DefaultValue): string {
  return typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
}

/** A name that says in a profile what the function does; `count` keeps it unique. */
export function functionName(verb: string, path: string, count: number): string {
  return `${verb}_${path.replace(/\W/g, "_")}_${count}`;
}

/** The number of a tagged field. */
export function tagOf(field: FieldPlan): number {
  return must(field.tag, "a tagged field has a tag");
}
