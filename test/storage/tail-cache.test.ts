import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InvariantError } from "../../src/base/assert.ts";
import { loopTurn } from "../../src/base/clock.ts";
import { batchNextOffset, stampBatch } from "../../src/protocol/records/batch.ts";
import { Log } from "../../src/storage/log.ts";
import { SLAB_BYTES, TailCache } from "../../src/storage/tail-cache.ts";
import {
  batchOf,
  CLIENT,
  CONFIG,
  DIRECTORY,
  logWorld,
  readAll,
  split,
} from "./support/log-world.ts";

const KIB = 1024;

/** A tail whose log is written up to `written`. */
function setUp(capacitySlabs: number) {
  const cache = new TailCache({ capacityBytes: capacitySlabs * SLAB_BYTES });
  const state = { written: Infinity };
  const open = () => {
    const tail = cache.open(() => state.written);
    let endOffset = 0;
    const add = (sizeBytes: number) => {
      const batch = batchOf(1, sizeBytes);
      stampBatch(batch, 0, endOffset, 0);
      endOffset += 1;
      return tail.add(batch, endOffset);
    };
    const read = (offset: number, options: object = {}) =>
      tail.read({ offset, limitOffset: Infinity, maxBytes: 1e9, minOneBatch: true, ...options });
    return { tail, add, read };
  };
  return { cache, state, open };
}

describe("the tail cache", () => {
  test("gives the bytes that were added, from the batch that holds the offset on", () => {
    const { tail, read } = setUp(1).open();
    const batches: Buffer[] = [];
    let next = 0;
    for (const count of [3, 1, 5]) {
      const batch = batchOf(count);
      stampBatch(batch, 0, next, 0);
      next = batchNextOffset(batch);
      tail.add(batch, next);
      batches.push(batch);
    }
    expect(read(4)).toMatchObject({ records: batches[2], nextOffset: 9 });
    expect(read(2)).toMatchObject({ records: Buffer.concat(batches), nextOffset: 9 });
    expect(read(9)).toBeNull();
  });

  test("gives no batch that reaches the limit, and no more bytes than asked for (S18)", () => {
    const { add, read } = setUp(1).open();
    const sizes = [add(200), add(200), add(200)].map(({ length }) => length);
    expect(read(0, { limitOffset: 2 })).toMatchObject({ nextOffset: 2 });
    expect(read(0, { limitOffset: 0 })!.records).toHaveLength(0);
    expect(read(0, { maxBytes: sizes[0]! + sizes[1]! })).toMatchObject({ nextOffset: 2 });
    expect(read(0, { maxBytes: sizes[0]! + sizes[1]! - 1 })).toMatchObject({ nextOffset: 1 });
    expect(read(1, { maxBytes: 1 })).toMatchObject({ nextOffset: 2 });
    expect(read(1, { maxBytes: 1, minOneBatch: false })!.records).toHaveLength(0);
  });

  test("never holds more than its capacity, and forgets the oldest batches first", () => {
    const { cache, open } = setUp(3);
    const { add, read } = open();
    for (let i = 0; i < 102; i += 1) {
      add(300 * KIB);
      expect(cache.heldBytes).toBeLessThanOrEqual(3 * SLAB_BYTES);
    }
    expect(read(101)).not.toBeNull();
    expect(read(93)).not.toBeNull();
    expect(read(92)).toBeNull();
  });

  test("takes slabs from the partition that was used least recently", () => {
    const { open } = setUp(3);
    const [idle, read, busy] = [open(), open(), open()];
    idle.add(100);
    read.add(100);
    expect(read.read(0)).not.toBeNull();
    for (let i = 0; i < 2; i += 1) busy.add(900 * KIB);
    expect(idle.read(0)).toBeNull();
    expect(read.read(0)).not.toBeNull();
    expect(busy.read(0)).not.toBeNull();
  });

  test("never gives up what is not written yet: the write reads it from there", () => {
    const { cache, state, open } = setUp(2);
    const { add, read } = open();
    state.written = 0;
    const copies = Array.from({ length: 6 }, () => add(600 * KIB));
    const before = copies.map((copy) => Buffer.from(copy));
    // There was room for two; the others are copies of their own.
    expect([0, 1, 2].map((offset) => read(offset) !== null)).toEqual([true, true, false]);
    expect(cache.heldBytes).toBe(2 * SLAB_BYTES);
    state.written = 2;
    for (let i = 0; i < 4; i += 1) add(600 * KIB);
    expect(copies.slice(2).every((copy, i) => copy.equals(before[i + 2]!))).toBe(true);
  });

  test("does not change bytes while they are on their way to a client", () => {
    const { add, read } = setUp(1).open();
    add(900 * KIB);
    const lent = read(0)!;
    const before = Buffer.from(lent.records);
    for (let i = 0; i < 10; i += 1) add(900 * KIB);
    expect(lent.records.equals(before)).toBe(true);
    lent.release!();
    expect(() => lent.release!()).toThrow(InvariantError);
  });

  test("uses memory again once it is written and sent", () => {
    const { add, read } = setUp(2).open();
    const buffers = new Set<ArrayBufferLike>();
    for (let i = 0; i < 50; i += 1) {
      buffers.add(add(900 * KIB).buffer);
      read(i)!.release!();
    }
    expect(buffers.size).toBeLessThanOrEqual(2);
  });

  test("takes a batch that is larger than a slab, if it has so much room", () => {
    const { cache, open } = setUp(3);
    const { add, read } = open();
    for (let i = 0; i < 10; i += 1) add(SLAB_BYTES + 100 * KIB);
    expect(read(9)!.records.length).toBeGreaterThan(SLAB_BYTES);
    expect(cache.heldBytes).toBeLessThanOrEqual(3 * SLAB_BYTES);
    const small = setUp(1).open();
    expect(small.add(2 * SLAB_BYTES).length).toBeGreaterThan(2 * SLAB_BYTES);
    expect(small.read(0)).toBeNull();
  });

  test("of no capacity copies, and holds nothing", () => {
    const { cache, open } = setUp(0);
    const { add, read } = open();
    expect(add(1000).length).toBeGreaterThan(1000);
    expect(read(0)).toBeNull();
    expect(cache.heldBytes).toBe(0);
  });
});

/** A log with a tail cache, and one that reads the same files. */
async function logWithTail(capacityBytes = 4 * SLAB_BYTES) {
  const world = logWorld();
  const tailCache = new TailCache({ capacityBytes });
  const log = await Log.open(
    { ...world.dependencies, tailCache },
    { directory: DIRECTORY, config: { ...CONFIG, segmentBytes: 4000, indexIntervalBytes: 200 } },
  );
  return { ...world, log, tailCache };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await loopTurn();
}

describe("a log with a tail cache", () => {
  test("is read at its end without a read of its file", async () => {
    const { disk, log } = await logWithTail();
    log.append(batchOf(3), CLIENT);
    await settle();
    disk.fail("read", ".log", "EIO");
    const batches = await readAll(log);
    expect(batches).toHaveLength(1);
  });

  test("shows nothing that is not written (R1)", async () => {
    const { log } = await logWithTail();
    log.append(batchOf(3), CLIENT);
    const options = { offset: 0, endOffset: 3, maxBytes: 1000, minOneBatch: true };
    expect((await log.read(options)).records).toHaveLength(0);
  });

  test("leaves the caller's batch free to change", async () => {
    const { log } = await logWithTail();
    const batch = batchOf(3);
    log.append(batch, CLIENT);
    const stamped = Buffer.from(batch);
    batch.fill(0);
    await settle();
    expect((await readAll(log))[0]!.equals(stamped)).toBe(true);
    await log.close();
  });

  test("gives the same bytes as its files, whatever was appended, read and forgotten", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ count: fc.integer({ min: 1, max: 5 }), size: fc.nat(3000) }), {
          minLength: 1,
          maxLength: 40,
        }),
        fc.constantFrom(0, 1, 3),
        async (appends, slabs) => {
          const { log, dependencies } = await logWithTail(slabs * SLAB_BYTES);
          const seen: Buffer[] = [];
          for (const { count, size } of appends) {
            log.append(batchOf(count, Math.min(size, 600)), CLIENT);
            if (size % 3 === 0) await settle();
            if (size % 5 === 0 && log.writtenEndOffset > 0) {
              const offset = size % log.writtenEndOffset;
              const options = { offset, endOffset: log.logEndOffset, maxBytes: 900 };
              const { records } = await log.read({ ...options, minOneBatch: true });
              seen.push(...split(records));
            }
          }
          await settle();
          const cached = await readAll(log);
          await log.close();
          const reopened = await Log.open(dependencies, { directory: DIRECTORY, config: CONFIG });
          const stored = await readAll(reopened);
          expect(cached.map(String)).toEqual(stored.map(String));
          for (const batch of seen) expect(stored.some((one) => one.equals(batch))).toBe(true);
          await reopened.close();
        },
      ),
      { seed: 20261123, numRuns: 40 },
    );
  });

  test("gives its memory back when it is closed", async () => {
    const { log, tailCache } = await logWithTail();
    log.append(batchOf(3), CLIENT);
    await settle();
    await log.close();
    const other = tailCache.open(() => Infinity);
    const batch = batchOf(1, SLAB_BYTES - 500);
    for (let i = 0; i < 4; i += 1) {
      stampBatch(batch, 0, i, 0);
      other.add(batch, i + 1);
    }
    expect(
      other.read({ offset: 0, limitOffset: 9, maxBytes: 1, minOneBatch: true }),
    ).not.toBeNull();
  });
});
