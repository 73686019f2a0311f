import { describe, expect, test } from "vitest";
import { InvariantError } from "../../src/base/assert.ts";
import { BufferPool } from "../../src/base/buffer-pool.ts";

describe("a pool of buffers", () => {
  test.each([8192, 16_384, 20_480, 20_481, 262_144, 1_000_100, 1_048_700, 2_101_248])(
    "gives %i bytes out again once they are back",
    (byteCount) => {
      const pool = new BufferPool({ maxFreeBytes: 4 * 1024 * 1024 });
      const first = pool.take(byteCount);
      expect(first).toHaveLength(byteCount);
      expect(pool.take(byteCount).buffer).not.toBe(first.buffer);
      pool.release(first.subarray(10, 20));
      expect(pool.take(byteCount).buffer).toBe(first.buffer);
    },
  );

  test.each([0, 1, 8191, 2_101_249, 10_000_000])(
    "gives %i bytes that are collected like any others",
    (byteCount) => {
      const pool = new BufferPool({ maxFreeBytes: 1024 * 1024 * 1024 });
      const buffer = pool.take(byteCount);
      expect(buffer).toHaveLength(byteCount);
      pool.release(buffer);
      expect(pool.freeBytes).toBe(0);
    },
  );

  test("keeps no more than it may", () => {
    const pool = new BufferPool({ maxFreeBytes: 50_000 });
    const buffers = Array.from({ length: 5 }, () => pool.take(16_384));
    for (const buffer of buffers) pool.release(buffer);
    expect(pool.freeBytes).toBe(2 * 20_480);
  });

  test("makes room for what is asked for now, where other sizes fill it", () => {
    const pool = new BufferPool({ maxFreeBytes: 2 * 1024 * 1024 });
    for (const buffer of Array.from({ length: 100 }, () => pool.take(16_384))) pool.release(buffer);
    const large = pool.take(1_000_000);
    pool.release(large);
    expect(pool.freeBytes).toBeLessThanOrEqual(2 * 1024 * 1024);
    expect(pool.take(1_000_000).buffer).toBe(large.buffer);
    // Not all that is small went with it.
    expect(pool.freeBytes).toBeGreaterThan(900_000);
  });

  test("refuses what is back already, or is another's", () => {
    const pool = new BufferPool({ maxFreeBytes: 1024 * 1024 });
    const buffer = pool.take(16_384);
    pool.release(buffer);
    expect(() => pool.release(buffer)).toThrow(InvariantError);
    expect(() => pool.release(Buffer.allocUnsafeSlow(20_480))).toThrow(InvariantError);
  });
});
