import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FlushPolicy } from "../../src/storage/flush-policy.ts";

function policy(flushMessages: number, flushMs = Infinity): FlushPolicy {
  return new FlushPolicy({ flushMessages, flushMs }, 0);
}

describe("what an ack may rely on (R4)", () => {
  test.each([
    ["never: all that is written", Infinity, 30],
    ["1: what is flushed", 1, 10],
    ["5: nothing, where the first batch is longer", 5, 10],
    ["8: up to a border within flushed + 7", 8, 17],
    ["12: not into the middle of a batch", 12, 17],
    ["20: not into the middle of the next", 20, 17],
    ["21: all", 21, 30],
  ])("with flush.messages %s", (_name, flushMessages, expected) => {
    const marks = policy(flushMessages);
    marks.wrote([10], 0);
    marks.flushed(marks.startFlush());
    marks.wrote([17, 30], 0);
    expect(marks.safeEndOffset(0)).toBe(expected);
  });

  test("it is a border, never beyond flushed + N - 1, and never below flushed", () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant("write"), count: fc.integer({ min: 1, max: 9 }) }),
        fc.record({ kind: fc.constantFrom("start", "end"), count: fc.constant(0) }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), steps, (flushMessages, run) => {
        const marks = policy(flushMessages);
        const borders = new Set([0]);
        let end = 0;
        const covered: number[] = [];
        for (const { kind, count } of run) {
          if (kind === "write") {
            end += count;
            borders.add(end);
            marks.wrote([end], 0);
          } else if (kind === "start") {
            covered.push(marks.startFlush());
          } else {
            const first = covered.shift();
            if (first !== undefined) marks.flushed(first);
          }
          const safe = marks.safeEndOffset(0);
          const limit = Math.min(end, marks.flushedEndOffset + flushMessages - 1);
          expect(borders.has(safe)).toBe(true);
          expect(safe).toBeGreaterThanOrEqual(marks.flushedEndOffset);
          expect(safe).toBe(
            Math.max(
              ...[...borders].filter((border) => border <= Math.max(limit, marks.flushedEndOffset)),
            ),
          );
        }
      }),
    );
  });

  test("a sync counts only for what was written before it began", () => {
    const marks = policy(1);
    marks.wrote([5], 0);
    const covered = marks.startFlush();
    marks.wrote([9], 1);
    marks.flushed(covered);
    expect(marks.flushedEndOffset).toBe(5);
    expect(marks.safeEndOffset(1)).toBe(5);
    expect(marks.isFlushDue()).toBe(true);
  });
});

describe("syncs that overlap", () => {
  test("what one of them covers asks for no other", () => {
    const marks = policy(1);
    marks.wrote([5], 0);
    marks.startFlush();
    expect(marks.isFlushDue()).toBe(false);
    marks.wrote([9], 1);
    expect(marks.isFlushDue()).toBe(true);
    marks.startFlush();
    expect(marks.isFlushDue()).toBe(false);
  });

  test("data is as old as the oldest byte that no ended one covers", () => {
    const marks = policy(Infinity, 100);
    marks.wrote([1], 10);
    const first = marks.startFlush();
    marks.wrote([2], 20);
    const second = marks.startFlush();
    marks.wrote([3], 30);
    expect(marks.oldestUnflushedMs).toBe(10);
    marks.flushed(first);
    expect(marks.oldestUnflushedMs).toBe(20);
    marks.flushed(second);
    expect(marks.oldestUnflushedMs).toBe(30);
    marks.flushed(marks.startFlush());
    expect(marks.oldestUnflushedMs).toBeNull();
  });
});

describe("flush.ms", () => {
  test("lets what is written count, until it is overdue by as much again", () => {
    const marks = policy(Infinity, 100);
    marks.wrote([5], 0);
    expect(marks.safeEndOffset(200)).toBe(5);
    expect(marks.safeEndOffset(201)).toBe(0);
    marks.flushed(marks.startFlush());
    expect(marks.safeEndOffset(201)).toBe(5);
  });

  test("counts from the first byte that the running sync does not cover", () => {
    const marks = policy(Infinity, 100);
    marks.wrote([5], 0);
    const covered = marks.startFlush();
    marks.wrote([9], 150);
    marks.flushed(covered);
    expect(marks.oldestUnflushedMs).toBe(150);
    expect(marks.safeEndOffset(350)).toBe(9);
    expect(marks.safeEndOffset(351)).toBe(5);
  });
});

test("a stricter policy trusts only what is flushed until the next sync", () => {
  const marks = policy(Infinity);
  marks.wrote([5, 9], 0);
  marks.update({ flushMessages: 3, flushMs: Infinity });
  expect(marks.safeEndOffset(0)).toBe(0);
  marks.flushed(marks.startFlush());
  expect(marks.safeEndOffset(0)).toBe(9);
});

test("one write may hold any number of batches", () => {
  const marks = policy(1000);
  const count = 200_000;
  const ends = Array.from({ length: count }, (_, index) => index + 1);
  marks.wrote(ends, 0);
  expect(marks.safeEndOffset(0)).toBe(999);
  marks.flushed(marks.startFlush());
  expect(marks.safeEndOffset(0)).toBe(count);
});
