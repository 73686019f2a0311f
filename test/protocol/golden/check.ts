import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import { type Codec, makeCodec } from "../../../src/protocol/codec.ts";
import { ProtocolError } from "../../../src/protocol/errors.ts";
import type { Int64Mode } from "../../../src/protocol/plan.ts";
import type { Message } from "../../../src/protocol/schema.ts";
import { expectedValue, type Vector } from "./vectors.ts";

type AnyCodec = Codec<Message>;

/** Each codec is made twice over: every int64 exact, and as shipped; interpreted, and compiled. */
const KINDS: readonly { readonly int64: Int64Mode; readonly interpreted: boolean }[] = [
  { int64: "exact", interpreted: true },
  { int64: "exact", interpreted: false },
  { int64: "shipped", interpreted: true },
  { int64: "shipped", interpreted: false },
];

const codecs = new Map<string, AnyCodec>();

function codecOf(message: Message, version: number, kind: (typeof KINDS)[number]): AnyCodec {
  const name = `${message.name} ${version} ${kind.int64} ${kind.interpreted}`;
  let codec = codecs.get(name);
  if (codec === undefined) {
    codec = makeCodec(message, version, kind);
    codecs.set(name, codec);
  }
  return codec;
}

/**
 * Checks the vectors against all four codecs, both ways, byte for byte. Returns how many the shipped
 * ones refused because of the value itself.
 */
export function checkVectors(message: Message, vectors: readonly Vector[]): number {
  let refused = 0;
  for (const vector of vectors) {
    for (const kind of KINDS) {
      const where = `${message.name} v${vector.version} ${vector.variant} ${JSON.stringify(kind)}`;
      const codec = codecOf(message, vector.version, kind);
      const isRefused = !checkOne(codec, message, vector, kind.int64, where);
      if (isRefused && kind.interpreted) refused += 1;
    }
  }
  return refused;
}

/** Returns false when the vector was rightly refused. */
function checkOne(
  codec: AnyCodec,
  message: Message,
  vector: Vector,
  mode: Int64Mode,
  where: string,
): boolean {
  const bytes = Buffer.from(vector.hex, "hex");
  const expected = expectedValue(message, vector, mode);
  if (expected === null) {
    const error = errorOf(() => codec.decode(bytes));
    if (!(error instanceof ProtocolError && error.kind === "unsafe-int64")) {
      expect.fail(`${where}: an unsafe int64 was not refused: ${String(error)}`);
    }
    return false;
  }
  const decoded = codec.decode(bytes);
  // A plain comparison first: building vitest's report for every vector would take minutes.
  if (!isDeepStrictEqual(decoded, expected)) expect(decoded, where).toStrictEqual(expected);
  const encoded = codec.encode(expected as never);
  if (!encoded.equals(bytes)) expect(encoded.toString("hex"), where).toBe(vector.hex);
  return true;
}

export function errorOf(action: () => unknown): unknown {
  try {
    action();
    return null;
  } catch (error) {
    return error;
  }
}

/** Vectors in groups, by what `keyOf` says of them. */
export function grouped<V, K>(vectors: readonly V[], keyOf: (vector: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>();
  for (const vector of vectors) {
    const key = keyOf(vector);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [vector]);
    else group.push(vector);
  }
  return groups;
}

/** Says what a file's vectors came to, and what was left out for which reason. */
export function report(
  file: string,
  counts: { readonly checked: number; readonly refused: number },
  leftOut: ReadonlyMap<string, number>,
): void {
  const lines = [
    `${file}: ${counts.checked} vectors checked; ${counts.refused} of them hold an unsafe int64, ` +
      "which the shipped codecs refuse",
    ...[...leftOut].map(([reason, count]) => `  left out: ${reason}: ${count} vectors`),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}
