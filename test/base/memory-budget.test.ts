import { expect, test } from "vitest";
import { MemoryBudget } from "../../src/base/memory-budget.ts";

test("many readers get a share of the room, and together no more than there is", () => {
  const budget = new MemoryBudget(256_000);
  const shares: number[] = [];
  while (budget.hasRoom) {
    shares.push(budget.shareBytes);
    budget.take(budget.shareBytes);
  }
  expect(shares.slice(0, 2)).toEqual([32_000, 28_000]);
  expect(shares.length).toBeGreaterThan(30);
  expect(Math.min(...shares.slice(0, -1))).toBe(1_000);
  expect(budget.usedBytes).toBe(256_000);
  expect(budget.shareBytes).toBe(0);
});

test("no limit is never tight, and shares all of it", () => {
  const budget = new MemoryBudget(-1);
  budget.take(Number.MAX_SAFE_INTEGER);
  expect(budget.isTight).toBe(false);
  expect(budget.shareBytes).toBe(Infinity);
});

test("it is told each time that more than half is in use", () => {
  const budget = new MemoryBudget(1_000);
  let toldCount = 0;
  budget.setPressureListener(() => (toldCount += 1));
  budget.take(500);
  expect([budget.isTight, toldCount]).toEqual([false, 0]);
  budget.take(1);
  budget.take(100);
  expect([budget.isTight, toldCount]).toEqual([true, 1]);
  budget.release(101);
  budget.take(1);
  expect([budget.isTight, toldCount]).toEqual([true, 2]);
});

test("who waits for room is called once there is some, once", () => {
  const budget = new MemoryBudget(10);
  budget.take(12);
  let calledCount = 0;
  budget.whenRoom(() => (calledCount += 1));
  expect(budget.isShort).toBe(true);
  budget.release(2);
  expect([budget.isShort, calledCount]).toEqual([true, 0]);
  budget.release(1);
  budget.release(1);
  expect([budget.isShort, calledCount]).toEqual([false, 1]);
});

test("who has gone is not called, and waits no more", () => {
  const budget = new MemoryBudget(10);
  budget.take(10);
  let calledCount = 0;
  const onRoom = () => (calledCount += 1);
  budget.whenRoom(onRoom);
  budget.forget(onRoom);
  expect(budget.isShort).toBe(false);
  budget.release(10);
  expect(calledCount).toBe(0);
});

test("of those who wait as many are called as can have a share, the first ones; in the end all", () => {
  const budget = new MemoryBudget(256_000);
  budget.take(256_000);
  const called: number[] = [];
  for (let id = 0; id < 1_000; id += 1) budget.whenRoom(() => called.push(id));
  budget.release(2_500);
  expect(called).toEqual([0, 1]);
  budget.release(253_499);
  expect(called.length).toBe(9);
  budget.release(1);
  expect(called.length).toBe(1_000);
});
