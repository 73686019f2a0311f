import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ProtobufError,
  ProtobufReader,
  ProtobufWriter,
} from "../../../src/protocol/peers/protobuf.ts";

function written(write: (writer: ProtobufWriter) => void): Buffer {
  const writer = new ProtobufWriter();
  write(writer);
  return writer.finish();
}

describe("protobuf", () => {
  test("any whole number from 0 to 2^53 - 1 comes back as it went", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const reader = new ProtobufReader(written((writer) => writer.optionalUint(3, value)));
        expect(reader.optionalUint(3)).toBe(value);
      }),
    );
  });

  test("a number that is left out is not the same as 0", () => {
    const reader = new ProtobufReader(
      written((writer) => {
        writer.optionalUint(1, null);
        writer.optionalUint(2, 0);
      }),
    );
    expect([reader.optionalUint(1), reader.optionalUint(2)]).toEqual([null, 0]);
  });

  test("the last of a field counts, and unknown fields do not", () => {
    const reader = new ProtobufReader(
      Buffer.from("08010802" + "290102030405060708" + "3d01020304" + "9a060161", "hex"),
    );
    expect(reader.uint(1)).toBe(2);
  });

  test("numbers are read one by one and packed", () => {
    const single = new ProtobufReader(written((writer) => writer.repeatedUint(2, [0, 1, 300])));
    expect(single.repeatedUint(2)).toEqual([0, 1, 300]);
    const packed = new ProtobufReader(Buffer.from("12040001ac02", "hex"));
    expect(packed.repeatedUint(2)).toEqual([0, 1, 300]);
  });

  test.each([
    ["ends within a tag", "80"],
    ["ends within a number", "0880"],
    ["ends within a field", "0a0561"],
    ["ends within eight bytes", "0901"],
    ["has a number beyond 2^53", "08ffffffffffffffffff01"],
    ["has a number without an end", "08" + "80".repeat(20)],
    ["has a field of number 0", "0001"],
    ["has a group", "0b"],
    ["has a length beyond 2^53", "0affffffffffffffff7f61"],
  ])("a message that %s is refused", (_what, hex) => {
    expect(() => new ProtobufReader(Buffer.from(hex, "hex"))).toThrow(ProtobufError);
  });

  test("a field of the wrong type is refused where it is asked for", () => {
    const reader = new ProtobufReader(Buffer.from("08011200", "hex"));
    expect(() => reader.bytes(1)).toThrow(ProtobufError);
    expect(() => reader.message(1)).toThrow(ProtobufError);
    expect(() => reader.uint(2)).toThrow(ProtobufError);
  });

  test("a message of too many small fields is refused before it fills the memory", () => {
    const bytes = Buffer.concat(Array.from({ length: 65_537 }, () => Buffer.from("0801", "hex")));
    expect(() => new ProtobufReader(bytes)).toThrow("more than 65536 fields");
  });

  test("no bytes whatever make it throw anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          const reader = new ProtobufReader(Buffer.from(bytes));
          for (const field of reader.fields) {
            reader.repeatedUint(field);
            reader.messages(field);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(ProtobufError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
