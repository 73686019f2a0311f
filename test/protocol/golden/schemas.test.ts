import { describe, expect, test } from "vitest";
import { APIS, CONTROLLER_APIS } from "../../../src/protocol/apis.ts";
import {
  type Field,
  type Fields,
  includesVersion,
  type Message,
  parseVersions,
  type VersionText,
} from "../../../src/protocol/schema.ts";
import type { DefaultValue } from "../../../src/protocol/plan.ts";
import { INTERNAL_MESSAGES } from "./internal-messages.ts";
import { readJson } from "./vectors.ts";

/** Kafka's own schema of a message, as schemas.json.gz has it. */
interface KafkaSchema {
  readonly validVersions: VersionText;
  readonly flexibleVersions: string;
  readonly fields: readonly KafkaField[];
  readonly commonStructs?: readonly { readonly name: string; readonly fields: KafkaField[] }[];
}

interface KafkaField {
  readonly name: string;
  readonly type: string;
  readonly versions?: VersionText;
  readonly nullableVersions?: string;
  readonly taggedVersions?: VersionText;
  readonly tag?: number;
  readonly default?: string | number | boolean | null;
  readonly ignorable?: boolean | "true" | "false";
  readonly fields?: readonly KafkaField[];
}

const schemas = readJson("schemas.json.gz") as Readonly<Record<string, KafkaSchema>>;

const messages: readonly Message[] = [
  ...Object.values({ ...APIS, ...CONTROLLER_APIS }).flatMap((api) => [api.request, api.response]),
  ...INTERNAL_MESSAGES,
];

describe("the schemas say in every version what Kafka's say", () => {
  test.each(messages)("$name", (message) => {
    const theirs = schemas[message.name];
    expect(theirs, "Kafka has such a message").toBeDefined();
    expect(parseVersions(message.versions)).toEqual(parseVersions(theirs!.validVersions));
    const { first, last } = parseVersions(message.versions);
    for (let version = first; version <= last; version += 1) {
      expect(isAmong(message.flexible ?? "none", version)).toBe(
        isAmong(theirs!.flexibleVersions, version),
      );
      expect(ours(message.fields, version)).toEqual(theirsOf(theirs!, theirs!.fields, version));
    }
  });
});

function isAmong(text: string, version: number): boolean {
  return text !== "none" && includesVersion(text as VersionText, version);
}

interface Shape {
  readonly name: string;
  readonly type: string;
  readonly isNullable: boolean;
  readonly tag: number | null;
  readonly default: string | null;
  readonly fields: readonly Shape[];
}

function ourDefault(value: DefaultValue | undefined): string | null {
  return value === undefined ? null : String(value);
}

/** The fields that the version carries. */
function ours(fields: Fields, version: number): Shape[] {
  return Object.entries(fields)
    .filter(([, { options }]) => isAmong(options.versions ?? "0+", version))
    .map(([name, field]) => ({
      name,
      type: typeOf(field),
      isNullable:
        field.options.nullable === true || isAmong(field.options.nullable ?? "none", version),
      tag: field.options.tag ?? null,
      default: ourDefault(field.options.default as DefaultValue | undefined),
      fields: ours((field.element ?? field).fields ?? {}, version),
    }));
}

function typeOf(field: Field): string {
  if (field.kind === "array") return `[]${typeOf(field.element!)}`;
  return field.kind === "exactInt64" ? "int64" : field.kind;
}

function theirsOf(schema: KafkaSchema, fields: readonly KafkaField[], version: number): Shape[] {
  return fields
    .filter((field) => isAmong(field.versions ?? field.taggedVersions!, version))
    .map((field) => {
      const element = field.type.replace("[]", "");
      const isStruct = /^[A-Z]/.test(element);
      const inner =
        field.fields ?? schema.commonStructs?.find(({ name }) => name === element)?.fields ?? [];
      const plain = isStruct ? "struct" : element === "records" ? "bytes" : element;
      return {
        name: field.name.charAt(0).toLowerCase() + field.name.slice(1),
        type: `${field.type.startsWith("[]") ? "[]" : ""}${plain}`,
        isNullable: isAmong(field.nullableVersions ?? "none", version),
        tag: field.tag ?? null,
        default: theirDefault(field.default),
        fields: theirsOf(schema, inner, version),
      };
    });
}

/**
 * Kafka writes defaults as text mostly, numbers also in hex. A JSON null (in one schema) is none to
 * its code generator, which knows only the text "null".
 */
function theirDefault(value: KafkaField["default"]): string | null {
  if (value === undefined || value === null) return null;
  return typeof value === "string" && value.startsWith("0x")
    ? String(Number(value))
    : String(value);
}
