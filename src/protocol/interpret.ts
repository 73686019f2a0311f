import { must } from "../base/assert.ts";
import {
  type BlobPlan,
  defaultOf,
  type FieldPlan,
  type PrimitivePlan,
  type StructPlan,
  type TypePlan,
} from "./plan.ts";
import { type Reader, UNKNOWN_TAGS, type UnknownTag } from "./reader.ts";
import type { Uuid } from "../base/ids.ts";
import {
  asArray,
  asStruct,
  badNull,
  checkAbsent,
  checkPrimitive,
  isDefault,
  type StructValue,
  unknownTagsOf,
  writeUnknownTags,
} from "./values.ts";
import type { Writer } from "./writer.ts";

/**
 * The codec that walks the plan: the oracle for the compiled one, and what runs where code
 * generation is not allowed.
 */

/** Reads one struct. */
export function decodeStruct(reader: Reader, plan: StructPlan): StructValue {
  const read = new Map<string, unknown>();
  for (const field of plan.ordinary) {
    read.set(field.name, decodeValue(reader, field.type, field.isNullable, false));
  }
  const unknown = plan.isFlexible ? decodeTags(reader, plan, read) : undefined;
  const value: StructValue = {};
  for (const field of plan.fields) {
    value[field.name] = read.has(field.name) ? read.get(field.name) : defaultOf(field);
  }
  if (unknown !== undefined) value[UNKNOWN_TAGS] = unknown;
  return value;
}

/** Writes one struct. */
export function encodeStruct(writer: Writer, plan: StructPlan, value: StructValue): void {
  for (const field of plan.ordinary) encodeField(writer, field, value[field.name], false);
  for (const field of plan.absent) checkAbsent(field, value[field.name]);
  if (plan.isFlexible) encodeTags(writer, plan, value);
}

function decodeTags(
  reader: Reader,
  plan: StructPlan,
  read: Map<string, unknown>,
): UnknownTag[] | undefined {
  let unknown: UnknownTag[] | undefined;
  for (let count = reader.tagCount(); count > 0; count -= 1) {
    const tag = reader.uvarint();
    const outerEnd = reader.enterTag();
    const field = plan.tagged.find((one) => one.tag === tag);
    if (field === undefined) unknown = reader.keepUnknownTag(unknown, tag);
    else read.set(field.name, decodeValue(reader, field.type, field.isNullable, true));
    reader.leaveTag(outerEnd);
  }
  return unknown;
}

function decodeValue(
  reader: Reader,
  type: TypePlan,
  isNullable: boolean,
  isTagged: boolean,
): unknown {
  switch (type.kind) {
    case "struct": {
      if (!isNullable) return decodeStruct(reader, type);
      const isThere = isTagged ? reader.taggedStructPresence() : reader.structPresence();
      return isThere ? decodeStruct(reader, type) : null;
    }
    case "array": {
      const { elementWireBytes, elementHeapBytes, element } = type;
      const length = type.isCompact
        ? reader.compactArrayLength(elementWireBytes, elementHeapBytes)
        : reader.arrayLength(elementWireBytes, elementHeapBytes);
      if (length < 0) return isNullable ? null : reader.failNull();
      return Array.from({ length }, () => decodeValue(reader, element, false, false));
    }
    case "string":
    case "bytes":
      return reader[blobMethod(type, isNullable)]();
    default:
      return reader[type.kind]();
  }
}

function encodeField(writer: Writer, field: FieldPlan, given: unknown, isTagged: boolean): void {
  const value = given === undefined && !field.isRequired ? defaultOf(field) : given;
  if (value === null) {
    if (!field.isNullable) badNull(field.path);
    encodeNull(writer, field.type, isTagged);
    return;
  }
  if (field.isNullable && field.type.kind === "struct") writer.int8(1);
  encodeValue(writer, field.path, field.type, value);
}

/** A present struct's marker is 1 in both places; an absent one's is not. */
function encodeNull(writer: Writer, type: TypePlan, isTagged: boolean): void {
  if (type.kind === "struct") writer.int8(isTagged ? 0 : -1);
  else if (type.kind === "string" && !type.isCompact) writer.int16(-1);
  else if ("isCompact" in type && type.isCompact) writer.int8(0);
  else writer.int32(-1);
}

function encodeValue(writer: Writer, path: string, type: TypePlan, value: unknown): void {
  switch (type.kind) {
    case "struct":
      encodeStruct(writer, type, asStruct(path, value));
      return;
    case "array": {
      const elements = asArray(path, value);
      if (type.isCompact) writer.compactArrayLength(elements.length);
      else writer.arrayLength(elements.length);
      for (const element of elements) encodeValue(writer, path, type.element, element);
      return;
    }
    case "string":
    case "bytes":
      checkPrimitive(path, type.kind, value);
      writer[blobMethod(type, false)](value as string & Buffer);
      return;
    default:
      checkPrimitive(path, type.kind, value);
      encodePrimitive(writer, type.kind, value);
  }
}

function encodePrimitive(writer: Writer, kind: PrimitivePlan["kind"], value: unknown): void {
  switch (kind) {
    case "bool":
      writer.bool(value as boolean);
      return;
    case "exactInt64":
      writer.exactInt64(value as bigint);
      return;
    case "uuid":
      writer.uuid(value as Uuid);
      return;
    case "uint16":
      writer.int16(value as number);
      return;
    case "uint32":
      writer.int32(value as number);
      return;
    default:
      writer[kind](value as number);
  }
}

function encodeTags(writer: Writer, plan: StructPlan, value: StructValue): void {
  const present = plan.tagged.filter((field) => !isDefault(field, value[field.name]));
  const unknown = unknownTagsOf(value);
  writer.uvarint(present.length + unknown.length);
  let next = 0;
  for (const field of present) {
    const tag = must(field.tag, "it has a tag");
    next = writeUnknownTags(writer, unknown, next, tag);
    const sizePosition = writer.beginTag(tag);
    encodeField(writer, field, value[field.name], true);
    writer.endTag(sizePosition);
  }
  writeUnknownTags(writer, unknown, next, Infinity);
}

/** The reader's and writer's method for a string or bytes. */
function blobMethod(type: BlobPlan, isNullable: boolean) {
  const [plain, nullable] = BLOB_METHODS[type.kind][type.isCompact ? "compact" : "classic"];
  return isNullable ? nullable : plain;
}

const BLOB_METHODS = {
  string: {
    classic: ["string", "nullableString"],
    compact: ["compactString", "compactNullableString"],
  },
  bytes: {
    classic: ["bytes", "nullableBytes"],
    compact: ["compactBytes", "compactNullableBytes"],
  },
} as const;
