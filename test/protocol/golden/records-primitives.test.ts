import { describe, expect, test } from "vitest";
import { crc32c, pureCrc32c } from "../../../src/base/crc32c.ts";
import {
  RecordCursor,
  varintBytes,
  varlongBytes,
  writeVarint,
  writeVarlong,
} from "../../../src/protocol/records/varint.ts";
import { type Primitive, readVectors } from "./records-vectors.ts";

const primitives = readVectors("primitives") as Primitive[];
const checksums = primitives.filter((p) => p.type === "crc32c");
const varints = primitives.filter((p) => p.type === "varint");
const varlongs = primitives.filter((p) => p.type === "varlong");

describe("golden primitives of records", () => {
  test("each kind is among the vectors", () => {
    expect(Math.min(checksums.length, varints.length, varlongs.length)).toBeGreaterThan(0);
  });

  test("CRC-32C is Java's, native and pure, whole and of a range", () => {
    for (const { hex, crc } of checksums) {
      const bytes = Buffer.from(hex, "hex");
      const padded = Buffer.concat([Buffer.from("xyz"), bytes, Buffer.from("tail")]);
      expect(crc32c(bytes)).toBe(crc);
      expect(pureCrc32c(bytes)).toBe(crc);
      expect(crc32c(padded, 3, 3 + bytes.length)).toBe(crc);
    }
  });

  test("zigzag varints read and write as Java's", () => {
    for (const { value, zigzag } of varints) {
      const bytes = Buffer.from(zigzag, "hex");
      const target = Buffer.alloc(5);
      expect(new RecordCursor(bytes).varint()).toBe(value);
      expect(target.subarray(0, writeVarint(target, 0, value)).toString("hex")).toBe(zigzag);
      expect(varintBytes(value)).toBe(bytes.length);
    }
  });

  test("zigzag varlongs read and write as Java's, clamped where a number cannot hold them", () => {
    for (const { value: text, zigzag } of varlongs) {
      const bytes = Buffer.from(zigzag, "hex");
      const cursor = new RecordCursor(bytes);
      const read = cursor.varlong();
      expect(cursor.remaining).toBe(0);
      const value = Number(text);
      if (!Number.isSafeInteger(value)) {
        expect(read).toBe(Math.sign(value) * Number.MAX_SAFE_INTEGER);
        continue;
      }
      const target = Buffer.alloc(10);
      expect(read).toBe(value);
      expect(target.subarray(0, writeVarlong(target, 0, value)).toString("hex")).toBe(zigzag);
      expect(varlongBytes(value)).toBe(bytes.length);
    }
  });
});
