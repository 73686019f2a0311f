import { expect, test } from "vitest";
import { uuidFromBytes, uuidToBytes } from "../../../src/base/ids.ts";
import { Reader } from "../../../src/protocol/reader.ts";
import { uvarintBytes, Writer } from "../../../src/protocol/writer.ts";
import { grouped, report } from "./check.ts";
import { readVectors } from "./vectors.ts";

interface PrimitiveVector {
  readonly type: "varint" | "varlong" | "uuid" | "crc32c";
  readonly value: number | string;
  readonly zigzag: string;
  readonly unsigned: string;
  readonly unsignedValue: number;
  readonly text: string;
  readonly hex: string;
}

const byType = grouped(readVectors<PrimitiveVector>("primitives"), ({ type }) => type);

const CHECKS: Readonly<Record<string, (vector: PrimitiveVector) => void>> = {
  varint: checkVarint,
  varlong: checkVarlong,
  uuid: checkUuid,
};

test.each(Object.keys(CHECKS))("%s: both ways, byte for byte", (type) => {
  const vectors = byType.get(type as PrimitiveVector["type"]) ?? [];
  expect(vectors.length).toBeGreaterThan(0);
  for (const vector of vectors) CHECKS[type]!(vector);
});

test("what is not checked here is checked elsewhere, and is counted", () => {
  const others = [...byType].filter(([type]) => CHECKS[type] === undefined);
  expect(["crc32c"]).toEqual(expect.arrayContaining(others.map(([type]) => type)));
  const checked = [...byType].filter(([type]) => CHECKS[type] !== undefined);
  report(
    "primitives",
    { checked: checked.reduce((sum, [, vectors]) => sum + vectors.length, 0), refused: 0 },
    new Map(others.map(([type, own]) => [`${type}, tested with src/base/crc32c.ts`, own.length])),
  );
});

function checkVarint(vector: PrimitiveVector): void {
  const value = vector.value as number;
  expect(readWhole(vector.zigzag, (reader) => reader.varint())).toBe(value);
  expect(written((writer) => writer.varint(value))).toBe(vector.zigzag);
  expect(readWhole(vector.unsigned, (reader) => reader.uvarint())).toBe(vector.unsignedValue);
  expect(written((writer) => writer.uvarint(vector.unsignedValue))).toBe(vector.unsigned);
  expect(uvarintBytes(vector.unsignedValue)).toBe(vector.unsigned.length / 2);
}

function checkVarlong(vector: PrimitiveVector): void {
  expect(readWhole(vector.zigzag, (reader) => reader.varlong())).toBe(BigInt(vector.value));
  expect(written((writer) => writer.varlong(BigInt(vector.value)))).toBe(vector.zigzag);
}

function checkUuid({ text, hex }: PrimitiveVector): void {
  const uuid = uuidFromBytes(Buffer.from(hex, "hex"));
  expect(uuid).toBe(text);
  expect(uuidToBytes(uuid).toString("hex")).toBe(hex);
  expect(readWhole(hex, (reader) => reader.uuid())).toBe(text);
  expect(written((writer) => writer.uuid(uuid))).toBe(hex);
}

function readWhole<T>(hex: string, read: (reader: Reader) => T): T {
  const reader = new Reader(Buffer.from(hex, "hex"), "primitive");
  const value = read(reader);
  reader.finish();
  return value;
}

function written(write: (writer: Writer) => void): string {
  const writer = new Writer();
  write(writer);
  return Buffer.concat(writer.finish()).toString("hex");
}
