import { describe, expect, test } from "vitest";
import { isUuid } from "../../src/base/ids.ts";
import {
  randomBelow,
  randomHyphenatedUuid,
  randomUuid,
  SeededRandom,
  SystemRandom,
} from "../../src/base/random.ts";

describe("SeededRandom", () => {
  test("the same seed gives the same draws, another seed others", () => {
    const draws = (seed: number | string): number[] => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 20 }, () => random.uint32());
    };
    expect(draws(1)).toEqual(draws(1));
    const different = new Set([draws(1), draws(2), draws(10), draws("1/a")].map(String));
    expect(different.size).toBe(4);
  });

  test("a fork depends on its name alone, not on what was drawn before", () => {
    const early = new SeededRandom(7).fork("disk").uint32();
    const parent = new SeededRandom(7);
    parent.bytes(100);
    expect(parent.fork("disk").uint32()).toBe(early);
    expect(parent.fork("net").uint32()).not.toBe(early);
    expect(parent.fork("a").fork("b").uint32()).not.toBe(parent.fork("b").fork("a").uint32());
  });

  test("seeds next to each other do not resemble each other", () => {
    const first = Array.from({ length: 4000 }, (_, seed) => new SeededRandom(seed).uint32());
    expect(new Set(first).size).toBeGreaterThan(3990);
    const ones = first.reduce((sum, value) => sum + (value >>> 31), 0);
    expect(ones).toBeGreaterThan(1800);
    expect(ones).toBeLessThan(2200);
  });

  test("randomBelow covers its range evenly and never reaches the bound", () => {
    const random = new SeededRandom(3);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i += 1) counts[randomBelow(random, 10)]! += 1;
    expect(counts.length).toBe(10);
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
    expect(randomBelow(random, 1)).toBe(0);
    expect(randomBelow(random, 2 ** 32)).toBeLessThan(2 ** 32);
  });
});

describe.each([
  ["seeded", () => new SeededRandom(5)],
  ["system", () => new SystemRandom()],
])("uuids of %s random", (_name, make) => {
  test("are random uuids as Kafka makes them", () => {
    const random = make();
    const uuids = Array.from({ length: 500 }, () => randomUuid(random));
    expect(new Set(uuids).size).toBe(500);
    for (const uuid of uuids) {
      expect(isUuid(uuid)).toBe(true);
      expect(uuid.startsWith("-")).toBe(false);
    }
    expect(randomHyphenatedUuid(random)).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(random.bytes(5).length).toBe(5);
  });
});
