import { expect, test } from "vitest";
import { InlineOffload } from "../../src/server/offload.ts";
import { batchOf, CLIENT, DIRECTORY, logWorld } from "./support/log-world.ts";

const T0 = 1_800_000_000_000;
const COUNT = 40;
const CONFIG = { segmentBytes: 2000, indexIntervalBytes: 300 };
const FIRST = `${DIRECTORY}/00000000000000000000`;

function timeOf(batch: number): number {
  return T0 + 10 * batch - (batch % 3) * 25;
}

/** A log of several segments whose times rise in the long run, and jump about in between. */
async function stored() {
  const offload = await InlineOffload.open();
  const world = logWorld();
  const log = await world.open(CONFIG);
  for (let i = 0; i < COUNT; i += 1) {
    log.append(batchOf(2, 20, { timestampMs: timeOf(i) }), CLIENT);
  }
  await log.close();
  /** Every answer that the log gives, or why it gives none. */
  const answers = async () => {
    const opened = await world.open(CONFIG, { isClean: true });
    const all: unknown[] = [];
    for (let time = T0 - 60; time < T0 + 10 * COUNT + 20; time += 10) {
      const found = opened.findByTimestamp(BigInt(time), opened.logEndOffset, offload);
      all.push(await found.then((value) => value?.offset ?? null, nameOf));
    }
    all.push(await opened.findMaxTimestamp(COUNT, offload).then((one) => one?.offset, nameOf));
    await opened.close();
    return all;
  };
  return { ...world, answers };
}

function nameOf(error: unknown): unknown {
  return (error as { errorName?: unknown }).errorName;
}

test("a flipped bit in a time index never changes an answer (S9)", async () => {
  const { disk, answers } = await stored();
  const right = await answers();
  const index = disk.content(`${FIRST}.timeindex`);
  expect(index.length).toBeGreaterThanOrEqual(36);
  const batches = disk.content(`${FIRST}.log`);
  for (let bit = 0; bit < 8 * index.length; bit += 3) {
    const bytes = Buffer.from(index);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    disk.put(`${FIRST}.timeindex`, bytes);
    expect(await answers(), `bit ${bit}`).toEqual(right);
  }
  expect(disk.content(`${FIRST}.log`).equals(batches)).toBe(true);
});

test("a damaged batch is never the answer of a search, and others still are", async () => {
  const { disk, answers } = await stored();
  const right = await answers();
  const log = disk.content(`${FIRST}.log`);
  const sizeBytes = batchOf(2).length;
  // The maximum timestamp in the header of the fourth batch: no index says what it was.
  log[3 * sizeBytes + 40]! ^= 0x10;
  disk.put(`${FIRST}.log`, log);
  const now = await answers();
  const good = now.filter((answer, i) => {
    const time = T0 - 60 + 10 * i;
    const first = Array.from({ length: COUNT }, (_, n) => n).find(
      (n) => n !== 3 && timeOf(n) >= time,
    );
    const isMaximum = i === now.length - 1;
    const expected = isMaximum ? right[i] : first === undefined ? null : 2 * first;
    expect([expected, "CORRUPT_MESSAGE"]).toContain(answer);
    return answer === expected;
  });
  expect(good.length).toBeGreaterThan(30);
});
