import { expect, test } from "vitest";
import { findZeroTail } from "../../src/storage/zero-tail.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { ManualClock } from "./support/manual-clock.ts";

const MIB = 1024 * 1024;

async function zeroTail(content: Buffer, from: number): Promise<number> {
  const file = await new MemoryDisk().open("/x", { create: true });
  await file.writev([content], 0);
  return await findZeroTail({ file, clock: new ManualClock() }, from, content.length);
}

test.each([
  ["nothing but zeros", Buffer.alloc(10), 3, 3],
  ["nothing at all", Buffer.alloc(10, 1), 10, 10],
  ["no zeros", Buffer.from([0, 0, 1]), 0, 3],
  ["zeros at the end", Buffer.from([1, 0, 2, 0, 0]), 0, 3],
  ["zeros up to where it looks", Buffer.from([1, 2, 0, 0]), 1, 2],
  ["zeros of several reads", Buffer.concat([Buffer.from([1]), Buffer.alloc(3 * MIB)]), 0, 1],
  [
    "zeros that begin where a read does",
    Buffer.concat([Buffer.alloc(5, 1), Buffer.alloc(2 * MIB)]),
    0,
    5,
  ],
])("a file that ends in %s", async (_name, content, from, expected) => {
  expect(await zeroTail(content, from)).toBe(expected);
});
