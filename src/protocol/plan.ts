import { assert, must } from "../base/assert.ts";
import { ZERO_UUID } from "../base/ids.ts";
import { ProtocolError } from "./errors.ts";
import {
  type Field,
  type FieldKind,
  type Fields,
  includesVersion,
  type Message,
} from "./schema.ts";

/** `shipped` codecs refuse an unsafe int64; `exact` ones make every int64 a bigint (golden tests). */
export type Int64Mode = "shipped" | "exact";

/** One type as a given version has it. Both codecs are made from this and from nothing else. */
export type TypePlan = PrimitivePlan | BlobPlan | ArrayPlan | StructPlan;

export interface PrimitivePlan {
  readonly kind: Exclude<FieldKind, "string" | "bytes" | "array" | "struct">;
}

export interface BlobPlan {
  readonly kind: "string" | "bytes";
  /** Length is an unsigned varint, one more than it is, with 0 for null. */
  readonly isCompact: boolean;
}

export interface ArrayPlan {
  readonly kind: "array";
  readonly isCompact: boolean;
  readonly element: TypePlan;
  /** What one element takes on the wire at least, and in memory at least once decoded. */
  readonly elementWireBytes: number;
  readonly elementHeapBytes: number;
}

export interface StructPlan {
  readonly kind: "struct";
  /** All fields, in schema order, which is the order of the decoded object's keys. */
  readonly fields: readonly FieldPlan[];
  /** Those on the wire outside the tag section, in wire order. */
  readonly ordinary: readonly FieldPlan[];
  /** Those in the tag section, by ascending tag. */
  readonly tagged: readonly FieldPlan[];
  readonly absent: readonly FieldPlan[];
  readonly isFlexible: boolean;
}

export interface FieldPlan {
  readonly name: string;
  /** From the message's name on, with dots: for error messages. */
  readonly path: string;
  readonly type: TypePlan;
  readonly isNullable: boolean;
  readonly isIgnorable: boolean;
  /** Encoding refuses undefined. */
  readonly isRequired: boolean;
  readonly tag: number | null;
  /** Null, or a primitive. Empty, or all at default, for the other types when undefined. */
  readonly defaultValue: DefaultValue | undefined;
}

export type DefaultValue = null | boolean | number | bigint | string;

/** Throws ProtocolError unsupported-version when the message has no such version. */
export function planMessage(message: Message, version: number, mode: Int64Mode): StructPlan {
  if (!includesVersion(message.versions, version)) {
    throw new ProtocolError("unsupported-version", `${message.name} has no version ${version}`);
  }
  const isFlexible = message.flexible !== null && includesVersion(message.flexible, version);
  return planStruct(message.fields, { version, isFlexible, mode, path: message.name });
}

/** A fresh default of the field, as decoding gives it. */
export function defaultOf(field: FieldPlan): unknown {
  if (field.defaultValue !== undefined) return field.defaultValue;
  const { type } = field;
  if (type.kind === "array") return [];
  if (type.kind === "bytes") return EMPTY_BYTES;
  assert(type.kind === "struct", "every other kind has a primitive default");
  return Object.fromEntries(type.fields.map((inner) => [inner.name, defaultOf(inner)]));
}

/** Shared by all empty byte fields: it has no bytes that somebody could change. */
export const EMPTY_BYTES: Buffer = Buffer.alloc(0);

interface Scope {
  readonly version: number;
  readonly isFlexible: boolean;
  readonly mode: Int64Mode;
  readonly path: string;
}

function planStruct(fields: Fields, scope: Scope): StructPlan {
  const ordinary: FieldPlan[] = [];
  const tagged: FieldPlan[] = [];
  const absent: FieldPlan[] = [];
  const all: FieldPlan[] = [];
  for (const [name, field] of Object.entries(fields)) {
    const { versions, tag } = field.options;
    const isPresent = versions === undefined || includesVersion(versions, scope.version);
    const plan = planField(name, field, { ...scope, path: `${scope.path}.${name}` });
    all.push(plan);
    if (!isPresent) absent.push(plan);
    else if (tag === undefined) ordinary.push(plan);
    else tagged.push(plan);
  }
  assert(tagged.length === 0 || scope.isFlexible, "only flexible versions have tagged fields");
  tagged.sort((a, b) => must(a.tag, "it has a tag") - must(b.tag, "it has a tag"));
  return { kind: "struct", fields: all, ordinary, tagged, absent, isFlexible: scope.isFlexible };
}

function planField(name: string, field: Field, scope: Scope): FieldPlan {
  const { nullable, ignorable, tag } = field.options;
  const type = planType(field, scope);
  return {
    name,
    path: scope.path,
    type,
    isNullable:
      nullable === true || (nullable !== undefined && includesVersion(nullable, scope.version)),
    isIgnorable: ignorable === true,
    isRequired: field.options.default === undefined && ignorable !== true && tag === undefined,
    tag: tag ?? null,
    defaultValue: planDefault(field, type),
  };
}

function planType(field: Field, scope: Scope): TypePlan {
  const isCompact = scope.isFlexible && field.options.isClassic !== true;
  switch (field.kind) {
    case "array": {
      const element = planType(must(field.element, "an array has an element"), scope);
      return {
        kind: "array",
        isCompact,
        element,
        elementWireBytes: wireBytes(element),
        elementHeapBytes: heapBytes(element),
      };
    }
    case "struct":
      return planStruct(must(field.fields, "a struct has fields"), scope);
    case "string":
    case "bytes":
      return { kind: field.kind, isCompact };
    case "int64":
      return { kind: scope.mode === "exact" ? "exactInt64" : "int64" };
    default:
      return { kind: field.kind };
  }
}

function planDefault(field: Field, type: TypePlan): DefaultValue | undefined {
  const given = field.options.default as DefaultValue | undefined;
  if (type.kind === "array" || type.kind === "struct" || type.kind === "bytes") {
    assert(given === undefined || given === null, "such a field defaults to null or to empty");
    return given;
  }
  if (given === undefined) return ZERO_BY_KIND[type.kind];
  return type.kind === "exactInt64" ? BigInt(given as number | bigint) : given;
}

const ZERO_BY_KIND: Readonly<Record<PrimitivePlan["kind"] | "string", DefaultValue>> = {
  bool: false,
  int8: 0,
  int16: 0,
  uint16: 0,
  int32: 0,
  uint32: 0,
  int64: 0,
  exactInt64: 0n,
  float64: 0,
  uuid: ZERO_UUID,
  string: "",
};

/** Sizes of the types whose size is always the same. */
export const FIXED_BYTES: Readonly<Record<PrimitivePlan["kind"], number>> = {
  bool: 1,
  int8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  exactInt64: 8,
  float64: 8,
  uuid: 16,
};

/** The least that a value takes on the wire. */
function wireBytes(type: TypePlan): number {
  switch (type.kind) {
    case "string":
      return type.isCompact ? 1 : 2;
    case "bytes":
    case "array":
      return type.isCompact ? 1 : 4;
    case "struct":
      return type.ordinary.reduce(
        (sum, { type: inner, isNullable }) =>
          // A nullable struct is one byte when it is null.
          sum + (isNullable && inner.kind === "struct" ? 1 : wireBytes(inner)),
        type.isFlexible ? 1 : 0,
      );
    default:
      return FIXED_BYTES[type.kind];
  }
}

const POINTER_BYTES = 8;

/** The least that a decoded value takes in memory, as V8 lays it out; for the decoder's budget. */
function heapBytes(type: TypePlan): number {
  switch (type.kind) {
    case "string":
      return POINTER_BYTES + 24;
    case "bytes":
      return POINTER_BYTES + 104;
    case "uuid":
      return POINTER_BYTES + 40;
    case "array":
      return POINTER_BYTES + 32;
    case "struct":
      return type.fields.reduce((sum, field) => sum + heapBytes(field.type), POINTER_BYTES + 24);
    case "int64":
    case "exactInt64":
    case "float64":
      return POINTER_BYTES + 16;
    default:
      return POINTER_BYTES;
  }
}
