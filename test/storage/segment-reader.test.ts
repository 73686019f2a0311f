import { describe, expect, test } from "vitest";
import { loopTurn } from "../../src/base/clock.ts";
import { SeededRandom, randomBelow } from "../../src/base/random.ts";
import type { Log, LogConfig } from "../../src/storage/log.ts";
import { batchOf, CLIENT, DIRECTORY, logWorld, readAll } from "./support/log-world.ts";

const PATH = `${DIRECTORY}/00000000000000000000.log`;
const COUNT = 30;

/** A log of equal batches of two records each, closed in order and opened again: nothing is cached. */
async function stored(config: Partial<LogConfig> = {}, isReopened = true) {
  const world = logWorld();
  const settings = { indexIntervalBytes: 500, ...config };
  const log = await world.open(settings);
  for (let i = 0; i < COUNT; i += 1) log.append(batchOf(2), { ...CLIENT, leaderEpoch: 3 });
  for (let i = 0; i < 20; i += 1) await loopTurn();
  const sizeBytes = batchOf(2).length;
  const batches = (await readAll(log)).map((batch) => Buffer.from(batch));
  let current = log;
  if (isReopened) {
    await log.close();
    current = await world.open(settings, { isClean: true });
  }
  const read = (offset: number, maxBytes = 10_000) =>
    current.read({ offset, endOffset: current.logEndOffset, maxBytes, minOneBatch: true });
  /** Changes a byte of the batch with that number. */
  const damage = (batch: number, at: number, change: (byte: number) => number) => {
    const bytes = world.disk.content(PATH);
    bytes[batch * sizeBytes + at] = change(bytes[batch * sizeBytes + at]!) & 0xff;
    world.disk.put(PATH, bytes);
  };
  return { ...world, log: current, sizeBytes, batches, read, damage };
}

/** What a client gets that reads on from each offset: the batches, by offset, and the refusals. */
async function readEverywhere(log: Log) {
  const served = new Map<number, Buffer>();
  const refused: number[] = [];
  for (let offset = 0; offset < log.logEndOffset; offset += 2) {
    const options = { offset, endOffset: log.logEndOffset, maxBytes: 1, minOneBatch: true };
    try {
      served.set(offset, (await log.read(options)).records);
    } catch (error) {
      expect(error).toMatchObject({ errorName: "CORRUPT_MESSAGE" });
      refused.push(offset);
    }
  }
  return { served, refused };
}

describe("a batch whose bytes have changed on the disk", () => {
  test("is refused with the name of the file, the position and the offset (R10)", async () => {
    const { read, damage, sizeBytes } = await stored();
    damage(10, 70, (byte) => byte ^ 1);
    const refusal = await read(20).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ errorName: "CORRUPT_MESSAGE" });
    expect(String(refusal)).toContain(PATH);
    expect(String(refusal)).toContain(`position ${10 * sizeBytes}`);
    expect(String(refusal)).toContain("offset 20");
  });

  test("ends the answer before it: the good ones come first", async () => {
    const { read, damage, batches } = await stored();
    damage(10, 70, (byte) => byte ^ 1);
    const { records, nextOffset } = await read(14);
    expect(nextOffset).toBe(20);
    expect(records.equals(Buffer.concat(batches.slice(7, 10)))).toBe(true);
  });

  test("is looked for in the whole segment once, not with every read", async () => {
    const { read, damage, disk } = await stored();
    damage(10, 70, (byte) => byte ^ 1);
    await expect(read(20)).rejects.toThrow();
    const readsBefore = disk.count("read", ".log");
    for (let i = 0; i < 5; i += 1) {
      await expect(read(20)).rejects.toMatchObject({ errorName: "CORRUPT_MESSAGE" });
    }
    expect(disk.count("read", ".log")).toBe(readsBefore);
  });
});

describe("what no checksum covers is checked as well", () => {
  const BASE_OFFSET_AT = 7;
  const LEADER_EPOCH_AT = 15;

  test.each([
    ["a base offset that was raised", BASE_OFFSET_AT, (byte: number) => byte + 1],
    ["a base offset that was lowered", BASE_OFFSET_AT, (byte: number) => byte - 1],
    ["a leader epoch", LEADER_EPOCH_AT, (byte: number) => byte ^ 2],
    ["a high bit of the base offset", 2, (byte: number) => byte ^ 4],
    ["a length that is too large", 8, (byte: number) => byte ^ 0x40],
    ["a length that is a little larger", 11, (byte: number) => byte + 1],
    ["the format", 16, (byte: number) => byte ^ 1],
  ])("%s is never served", async (_name, at, change) => {
    for (const batch of [0, 1, 10, COUNT - 1]) {
      const { log, damage, batches } = await stored({}, false);
      damage(batch, at, change);
      const { served, refused } = await readEverywhere(log);
      for (const [offset, records] of served) {
        expect(records.equals(batches[offset / 2]!), `batch ${batch}, offset ${offset}`).toBe(true);
      }
      expect(refused.length).toBeGreaterThan(0);
    }
  });

  test("any flipped bit is refused or makes no difference, and nothing before it is lost", async () => {
    const random = new SeededRandom(20261123);
    for (let round = 0; round < 60; round += 1) {
      const { log, damage, batches } = await stored({}, false);
      const batch = randomBelow(random, COUNT);
      const bit = 1 << randomBelow(random, 8);
      damage(batch, randomBelow(random, batches[0]!.length), (byte) => byte ^ bit);
      const { served } = await readEverywhere(log);
      for (const [offset, records] of served) {
        expect(records.equals(batches[offset / 2]!), `round ${round}`).toBe(true);
      }
      for (let i = 0; i < batch; i += 1) expect(served.has(2 * i)).toBe(true);
    }
  });
});

test("an index that misleads is made anew, and everything is served", async () => {
  const world = await stored();
  await world.log.close();
  const path = `${DIRECTORY}/00000000000000000000.index`;
  const index = world.disk.content(path);
  index.writeInt32BE(index.readInt32BE(12) + 5, 12);
  world.disk.put(path, index);
  const log = await world.open({ indexIntervalBytes: 500 }, { isClean: true });
  const { served, refused } = await readEverywhere(log);
  expect(refused).toEqual([]);
  expect([...served.values()].map(String)).toEqual(world.batches.map(String));
});

test("an offset whose batch says that it lies beyond the end is refused, not waited for", async () => {
  const { read, damage } = await stored({}, false);
  damage(0, 7, () => 200);
  await expect(read(0)).rejects.toMatchObject({ errorName: "CORRUPT_MESSAGE" });
});

test("memory of reads is used again once it is released", async () => {
  const { log } = await stored({}, false);
  for (let i = 0; i < 20; i += 1) log.append(batchOf(2, 10_000), { ...CLIENT, leaderEpoch: 3 });
  for (let i = 0; i < 20; i += 1) await loopTurn();
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < 20; i += 1) {
    const options = { offset: 0, endOffset: 100, maxBytes: 50_000, minOneBatch: true };
    const { records, release } = await log.read(options);
    expect(records.length).toBeGreaterThan(20_000);
    buffers.add(records.buffer);
    release!();
  }
  expect(buffers.size).toBe(1);
});
