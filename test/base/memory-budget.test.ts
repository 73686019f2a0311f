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

/** A waiter that counts its calls, and says whether it will take some. */
function waiter(isTaker: boolean) {
  const called = { count: 0 };
  const onRoom = (): boolean => {
    called.count += 1;
    return isTaker;
  };
  return { called, onRoom };
}

test("who waits for room is called once there is some, once", () => {
  const budget = new MemoryBudget(10);
  budget.take(12);
  const { called, onRoom } = waiter(true);
  budget.whenRoom(onRoom);
  expect(budget.isShort).toBe(true);
  budget.release(2);
  expect([budget.isShort, called.count]).toEqual([true, 0]);
  budget.release(1);
  budget.release(1);
  expect([budget.isShort, called.count]).toEqual([false, 1]);
});

test("who has gone is not called, and waits no more", () => {
  const budget = new MemoryBudget(10);
  budget.take(10);
  const { called, onRoom } = waiter(true);
  budget.whenRoom(onRoom);
  budget.forget(onRoom);
  expect(budget.isShort).toBe(false);
  budget.release(10);
  expect(called.count).toBe(0);
});

test("as many takers are called as can have a share, the first ones; who takes nothing keeps nobody waiting", () => {
  const budget = new MemoryBudget(256_000);
  budget.take(256_000);
  const called: number[] = [];
  for (let id = 0; id < 1_000; id += 1) {
    budget.whenRoom(() => {
      called.push(id);
      return id % 2 === 1;
    });
  }
  budget.release(2_500);
  expect(called).toEqual([0, 1, 2, 3, 4, 5]);
});

test("who is served at once wakes the next one, however many there are", () => {
  const budget = new MemoryBudget(10);
  budget.take(10);
  let servedCount = 0;
  const serve = (): boolean => {
    if (!budget.hasRoom) {
      budget.whenRoom(serve);
      return false;
    }
    budget.take(10);
    servedCount += 1;
    budget.release(10);
    return false;
  };
  for (let count = 0; count < 100_000; count += 1) budget.whenRoom(() => serve());
  budget.release(10);
  expect(servedCount).toBe(100_000);
  expect(budget.isShort).toBe(false);
});
