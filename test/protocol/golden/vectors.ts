import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import type { Int64Mode } from "../../../src/protocol/plan.ts";
import { UNKNOWN_TAGS, type UnknownTag } from "../../../src/protocol/reader.ts";
import {
  type Field,
  type Fields,
  includesVersion,
  type Message,
} from "../../../src/protocol/schema.ts";

const OTHER_DIR = process.env["HOLDFAST_GOLDEN_DIR"];

/** Whether these are the vectors of this repository, which cover every version of every message. */
export const IS_OWN_SET = OTHER_DIR === undefined;

/** Where the vectors are; another set of the same form may be tested with HOLDFAST_GOLDEN_DIR. */
export const GOLDEN_DIR = OTHER_DIR ?? fileURLToPath(new URL("../../golden", import.meta.url));

/** A message of some version: its bytes and what they mean, as test/golden/README.md describes. */
export interface Vector {
  readonly version: number;
  readonly variant: string;
  readonly json: JsonStruct;
  readonly hex: string;
  readonly unknown?: readonly {
    readonly path: string;
    readonly tag: number;
    readonly hex: string;
  }[];
}

export interface ApiVector extends Vector {
  readonly api: string;
  readonly key: number;
  readonly type: "request" | "response";
}

export type JsonStruct = Readonly<Record<string, unknown>>;

export function readJson(name: string): unknown {
  const bytes = readFileSync(`${GOLDEN_DIR}/${name}`);
  return JSON.parse((name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8"));
}

/** All vectors of a `.jsonl.gz` file; an empty file is an error, since it would prove nothing. */
export function readVectors<V = Vector>(name: string): V[] {
  const text = gunzipSync(readFileSync(`${GOLDEN_DIR}/${name}.jsonl.gz`)).toString("utf8");
  const vectors = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as V);
  if (vectors.length === 0) throw new Error(`${GOLDEN_DIR}/${name}.jsonl.gz holds no vector`);
  return vectors;
}

/**
 * The value that decoding the vector must give, made from its JSON and the schema by a walk of its
 * own, which shares nothing with the codecs. In `shipped` mode null when the vector holds an int64
 * that is computed with and is no safe integer: such a message must be refused.
 */
export function expectedValue(message: Message, vector: Vector, mode: Int64Mode): object | null {
  const scope = { version: vector.version, mode, isUnsafe: false };
  const value = structFrom(message.fields, vector.json, scope);
  for (const { path, tag, hex } of vector.unknown ?? []) {
    const owner = at(value, path) as { [UNKNOWN_TAGS]?: UnknownTag[] };
    const kept = owner[UNKNOWN_TAGS] ?? [];
    owner[UNKNOWN_TAGS] = [...kept, { tag, bytes: Buffer.from(hex, "hex") }];
  }
  return scope.isUnsafe ? null : value;
}

interface Scope {
  readonly version: number;
  readonly mode: Int64Mode;
  isUnsafe: boolean;
}

function structFrom(fields: Fields, json: JsonStruct, scope: Scope): object {
  const known = new Set(Object.keys(fields));
  const stranger = Object.keys(json).find((name) => !known.has(name));
  if (stranger !== undefined) throw new Error(`the schema has no field ${stranger}`);
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => {
      const { versions, tag } = field.options;
      const isCarried = versions === undefined || includesVersion(versions, scope.version);
      if (name in json) {
        if (!isCarried) throw new Error(`version ${scope.version} must not carry ${name}`);
        return [name, valueFrom(field, json[name], scope)];
      }
      if (isCarried && tag === undefined) throw new Error(`the vector has no ${name}`);
      return [name, defaultFrom(field, scope)];
    }),
  );
}

function valueFrom(field: Field, json: unknown, scope: Scope): unknown {
  if (json === null) return null;
  switch (field.kind) {
    case "array":
      return (json as unknown[]).map((element) => valueFrom(field.element!, element, scope));
    case "struct":
      return structFrom(field.fields!, json as JsonStruct, scope);
    case "bytes":
      return Buffer.from(json as string, "base64");
    case "exactInt64":
      return BigInt(json as string);
    case "int64": {
      const exact = BigInt(json as string);
      if (scope.mode === "exact") return exact;
      if (!Number.isSafeInteger(Number(exact))) scope.isUnsafe = true;
      return Number(exact);
    }
    default:
      return json;
  }
}

function defaultFrom(field: Field, scope: Scope): unknown {
  const given = field.options.default;
  if (given === null) return null;
  switch (field.kind) {
    case "array":
      return [];
    case "struct":
      return Object.fromEntries(
        Object.entries(field.fields!).map(([name, inner]) => [name, defaultFrom(inner, scope)]),
      );
    case "bytes":
      return Buffer.alloc(0);
    case "string":
      return given ?? "";
    case "uuid":
      return given ?? ZERO_UUID;
    case "bool":
      return given ?? false;
    case "exactInt64":
      return given ?? 0n;
    case "int64":
      return scope.mode === "exact" ? BigInt((given as number | undefined) ?? 0) : (given ?? 0);
    default:
      return given ?? 0;
  }
}

/** The struct at a path like `topics[0].partitions[1]`; the value itself at "". */
function at(value: unknown, path: string): unknown {
  const steps = path.split(/[.[\]]+/).filter((step) => step !== "");
  return steps.reduce<unknown>((owner, step) => (owner as Record<string, unknown>)[step], value);
}
