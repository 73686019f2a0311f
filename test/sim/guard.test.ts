import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as setTimeoutModule } from "node:timers";
import { expect, test } from "vitest";
import { loopTurn, SystemClock } from "../../src/base/clock.ts";
import { Guard } from "../../src/sim/guard.ts";
import { SystemRandom } from "../../src/base/random.ts";

async function whatIsSeen(use: () => unknown): Promise<string[]> {
  const guard = new Guard();
  await guard.run(async () => {
    await loopTurn();
    await use();
  });
  return guard.violations.map(({ what }) => what);
}

test.each<[string, () => unknown]>([
  ["Date.now", () => Date.now()],
  ["new Date()", () => new Date()],
  ["Date.now", () => new SystemClock().wallMs()],
  ["performance.now", () => new SystemClock().nowMs()],
  ["process.hrtime", () => process.hrtime()],
  ["process.hrtime.bigint", () => process.hrtime.bigint()],
  ["Math.random", () => Math.random()],
  ["setTimeout", () => new Promise((resolve) => setTimeout(resolve, 0))],
  ["setTimeout", () => new Promise<void>((resolve) => setTimeoutModule(resolve, 0))],
  ["setImmediate", () => new Promise((resolve) => setImmediate(resolve))],
  ["setInterval", () => clearInterval(setInterval(() => undefined, 1000))],
  ["crypto.randomUUID", () => randomUUID()],
  ["crypto.randomUUID", () => globalThis.crypto.randomUUID()],
  ["crypto.randomBytes", () => randomBytes(4)],
  ["crypto.randomBytes", () => new SystemRandom().uint32()],
])("the guard sees %s", async (what, use) => {
  expect(await whatIsSeen(use)).toContain(what);
});

test("the guard lets dates of a given time pass, and the runner's own turns", async () => {
  const seen = await whatIsSeen(async () => {
    expect(new Date(0).toISOString()).toBe("1970-01-01T00:00:00.000Z");
    expect(new Date(0)).toBeInstanceOf(Date);
    expect(Date.UTC(1970, 0)).toBe(0);
    await loopTurn();
  });
  expect(seen).toEqual([]);
});

test("after the guard everything is as it was", async () => {
  const before = [Date, setTimeout, Math.random.bind(Math), performance.now.bind(performance)];
  const originals = [Date, setTimeout, setImmediate, Reflect.get(Math, "random")];
  await whatIsSeen(() => Date.now());
  expect([Date, setTimeout, setImmediate, Reflect.get(Math, "random")]).toEqual(originals);
  expect(Date).toBe(before[0]);
});
