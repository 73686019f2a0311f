import { expect, test } from "vitest";
import { codecFor } from "../../../src/protocol/codec.ts";
import {
  decodeRecordKey,
  decodeVersioned,
  encodeRecordKey,
  encodeVersioned,
  prefixOf,
} from "../../../src/protocol/versioned.ts";
import { checkVectors, errorOf, grouped, report } from "./check.ts";
import { INTERNAL_MESSAGES, internalMessage } from "./internal-messages.ts";
import { expectedValue, IS_OWN_SET, readVectors, type Vector } from "./vectors.ts";

interface NamedVector extends Vector {
  readonly name: string;
  readonly kind?: "coordinator-key" | "coordinator-value" | "data";
  readonly recordType?: number;
  readonly prefixedHex?: string;
}

test.each(["headers", "consumer-protocol", "internal-records"])(
  "%s: all versions, byte for byte, with and without what stands before them",
  (file) => {
    const leftOut = new Map<string, number>();
    const counts = { checked: 0, refused: 0 };
    for (const [name, vectors] of grouped(readVectors<NamedVector>(file), (one) => one.name)) {
      const message = internalMessage(name);
      if (message === undefined) {
        // Share and streams groups are P2 in docs/protocol.md; nothing else may be missing.
        expect(name).toMatch(/^(Share|Streams)/);
        leftOut.set(`${name}, of groups that are P2 in docs/protocol.md`, vectors.length);
        continue;
      }
      counts.refused += checkVectors(message, vectors);
      counts.checked += vectors.length;
      for (const vector of vectors) checkPrefixed(vector);
    }
    expect(counts.checked).toBeGreaterThan(0);
    report(file, counts, leftOut);
  },
);

test.runIf(IS_OWN_SET)("every internal message has vectors", () => {
  const files = ["headers", "consumer-protocol", "internal-records"];
  const names = new Set(files.flatMap((file) => readVectors<NamedVector>(file)).map((v) => v.name));
  expect(INTERNAL_MESSAGES.filter(({ name }) => !names.has(name))).toEqual([]);
});

/** Keys travel with their record type in front, all else with its version. */
function checkPrefixed(vector: NamedVector): void {
  if (vector.prefixedHex === undefined) return;
  const message = internalMessage(vector.name)!;
  const bytes = Buffer.from(vector.prefixedHex, "hex");
  const value = expectedValue(message, vector, "shipped");
  const isKey = vector.kind === "coordinator-key";
  expect(prefixOf(bytes)).toBe(isKey ? vector.recordType : vector.version);
  const decode = () => (isKey ? decodeRecordKey(message, bytes) : decodeVersioned(message, bytes));
  if (value === null) {
    expect(errorOf(decode)).toMatchObject({ kind: "unsafe-int64" });
    return;
  }
  const decoded = decode();
  expect(decoded).toStrictEqual(codecFor(message, vector.version).decode(bytes, 2));
  const encoded = isKey
    ? encodeRecordKey(message, decoded)
    : encodeVersioned(message, vector.version, decoded);
  expect(encoded.toString("hex")).toBe(vector.prefixedHex);
}
