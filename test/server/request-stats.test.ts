import { describe, expect, test } from "vitest";
import { APIS } from "../../src/protocol/apis.ts";
import { TimeHistogram } from "../../src/server/request-stats.ts";
import { errorCodesOf } from "../../src/server/response-errors.ts";

describe("times", () => {
  test("quantiles lie within a fifth of what was recorded", () => {
    const times = new TimeHistogram();
    for (let i = 1; i <= 1_000; i += 1) times.record(i / 10, 0);
    for (const fraction of [0.5, 0.95, 0.99]) {
      const value = times.quantile(fraction, 0);
      expect(value / (100 * fraction)).toBeGreaterThan(0.8);
      expect(value / (100 * fraction)).toBeLessThan(1.2);
    }
    expect(times.count).toBe(1_000);
  });

  test("quantiles are of the last minutes, the count is of all", () => {
    const times = new TimeHistogram();
    times.record(500, 0);
    expect(times.quantile(0.5, 59_999)).toBeGreaterThan(400);
    times.record(1, 60_000);
    expect(times.quantile(0.99, 60_000)).toBeGreaterThan(400);
    times.record(1, 120_000);
    expect(times.quantile(0.99, 120_000)).toBeLessThan(2);
    expect(times.quantile(0.99, 500_000)).toBe(0);
    expect(times.count).toBe(3);
  });

  test("a time of an hour, of nothing, and of a clock that went back have their place", () => {
    const times = new TimeHistogram();
    for (const tookMs of [1e9, 0, -5]) times.record(tookMs, 0);
    expect(times.quantile(0.5, 0)).toBeLessThan(0.01);
    expect(times.quantile(1, 0)).toBeGreaterThan(1e6);
  });
});

describe("error codes of an answer", () => {
  const codesOf = (find: ReturnType<typeof errorCodesOf>, value: object): number[] => {
    const codes: number[] = [];
    find(value, (code) => codes.push(code));
    return codes;
  };

  test("those of all its parts, and its own", () => {
    const find = errorCodesOf(APIS.fetch.response);
    const partitions = [{ errorCode: 0 }, { errorCode: 6 }];
    const responses = [{ partitions }, { partitions: [{ errorCode: 3 }] }, { partitions: [] }];
    expect(codesOf(find, { errorCode: 0, responses })).toEqual([0, 0, 6, 3]);
  });

  test("one that is left out is none", () => {
    expect(codesOf(errorCodesOf(APIS.fetch.response), { responses: [] })).toEqual([0]);
  });

  test("every response that has one is gone through", () => {
    for (const { response, name } of Object.values(APIS)) {
      expect(() => errorCodesOf(response)({}, () => undefined), name).not.toThrow();
    }
  });
});
