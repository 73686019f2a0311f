import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { crc32c, pureCrc32c } from "../../src/base/crc32c.ts";

describe("crc32c", () => {
  test("is Castagnoli's", () => {
    expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(0))).toBe(0);
  });

  test("native and pure agree for every length around where they change over", () => {
    const bytes = randomBytes(1024);
    for (let length = 0; length <= bytes.length; length += 1) {
      expect(crc32c(bytes, 0, length)).toBe(pureCrc32c(bytes.subarray(0, length)));
    }
  });

  test("takes a range of a larger buffer", () => {
    const bytes = randomBytes(5000);
    expect(crc32c(bytes, 1234, 4321)).toBe(pureCrc32c(Buffer.from(bytes.subarray(1234, 4321))));
  });
});
