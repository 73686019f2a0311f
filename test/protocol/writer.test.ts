import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ZERO_UUID } from "../../src/base/ids.ts";
import type { Uuid } from "../../src/base/ids.ts";
import { ProtocolError } from "../../src/protocol/errors.ts";
import { Reader } from "../../src/protocol/reader.ts";
import { REFERENCE_BYTES, Writer } from "../../src/protocol/writer.ts";

describe("a writer", () => {
  test("gives small content as one buffer of exactly its size", () => {
    const writer = new Writer();
    writer.int32(1);
    writer.string("abc");
    const chunks = writer.finish();
    expect(chunks.map((chunk) => chunk.toString("hex"))).toEqual(["000000010003616263"]);
  });

  test("gives large byte fields by reference, in order, and copies small ones", () => {
    const large = Buffer.alloc(REFERENCE_BYTES, 1);
    const small = Buffer.alloc(REFERENCE_BYTES - 1, 2);
    const writer = new Writer();
    writer.bytes(large);
    writer.bytes(small);
    writer.raw(large);
    writer.int8(7);
    expect(writer.length).toBe(4 + large.length + 4 + small.length + large.length + 1);
    const chunks = writer.finish();
    expect(chunks.map((chunk) => chunk === large)).toEqual([false, true, false, true, false]);
    expect(chunks.some((chunk) => chunk === small)).toBe(false);
    expect(chunks.reduce((sum, chunk) => sum + chunk.length, 0)).toBe(8 + 2 * 4096 + 4095 + 1);
  });

  test("is not disturbed by another one, or by one that was never finished", () => {
    const abandoned = new Writer();
    abandoned.int32(-1);
    const [one, other] = [new Writer(), new Writer()];
    one.int32(1);
    other.int32(2);
    one.int32(3);
    const first = one.finish();
    const next = new Writer();
    next.int32(9);
    expect(Buffer.concat(first).toString("hex")).toBe("0000000100000003");
    expect(Buffer.concat(other.finish()).toString("hex")).toBe("00000002");
    expect(Buffer.concat(next.finish()).toString("hex")).toBe("00000009");
  });

  test("grows as far as needed", () => {
    const writer = new Writer();
    const count = 100_000;
    for (let index = 0; index < count; index += 1) writer.int32(index);
    const bytes = Buffer.concat(writer.finish());
    expect(bytes).toHaveLength(4 * count);
    expect(bytes.readInt32BE(4 * (count - 1))).toBe(count - 1);
  });

  test.each([0, 1, 127, 128, 16_383, 16_384, 100_000])(
    "writes a tagged field of %i bytes with its size before it, nested or not",
    (length) => {
      const content = Buffer.alloc(length, 5);
      const writer = new Writer();
      const outer = writer.beginTag(1);
      const inner = writer.beginTag(300);
      writer.raw(content);
      writer.endTag(inner);
      writer.int8(9);
      writer.endTag(outer);
      const reader = new Reader(Buffer.concat(writer.finish()), "test");
      expect(reader.uvarint()).toBe(1);
      const end = reader.enterTag();
      expect(reader.uvarint()).toBe(300);
      const innerEnd = reader.enterTag();
      expect(reader.buffer.subarray(reader.position, reader.end).equals(content)).toBe(true);
      reader.position = reader.end;
      reader.leaveTag(innerEnd);
      expect(reader.int8()).toBe(9);
      reader.leaveTag(end);
      reader.finish();
    },
  );

  test("writes what the reader reads", () => {
    fc.assert(
      fc.property(
        fc.maxSafeInteger(),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.integer(),
        fc.double(),
        fc.string({ unit: "binary", maxLength: 200 }),
        (int64, exact, int32, double, text) => {
          const writer = new Writer();
          writer.int64(int64);
          writer.exactInt64(exact);
          writer.varlong(exact);
          writer.varint(int32);
          writer.uvarint(int32 >>> 0);
          writer.float64(double);
          writer.string(text);
          writer.compactString(text);
          const reader = new Reader(Buffer.concat(writer.finish()), "test");
          expect(reader.int64()).toBe(int64 === 0 ? 0 : int64);
          expect(reader.exactInt64()).toBe(exact);
          expect(reader.varlong()).toBe(exact);
          expect(reader.varint()).toBe(int32);
          expect(reader.uvarint()).toBe(int32 >>> 0);
          expect(reader.float64()).toBe(double);
          expect(reader.string()).toBe(text);
          expect(reader.compactString()).toBe(text);
          reader.finish();
        },
      ),
      { seed: 20261123 },
    );
  });

  test("refuses a text that is no uuid, and a string beyond int16", () => {
    const writer = new Writer();
    for (const text of ["", "short", `${ZERO_UUID}A`, "!!!!!!!!!!!!!!!!!!!!!!"]) {
      expect(() => writer.uuid(text as Uuid)).toThrow(ProtocolError);
    }
    expect(() => writer.string("x".repeat(0x8000))).toThrow(ProtocolError);
    expect(() => writer.string("x".repeat(0x7fff))).not.toThrow();
  });
});
