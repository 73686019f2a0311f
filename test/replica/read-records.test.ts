import { expect, test } from "vitest";
import { KafkaError } from "../../src/protocol/errors.ts";
import { batchRecordCount } from "../../src/protocol/records/batch.ts";
import { encodeBatch } from "../../src/protocol/records/batch-builder.ts";
import { readRecords } from "../../src/replica/read-records.ts";
import type { Log } from "../../src/storage/log.ts";
import type { LogReadOptions } from "../../src/storage/log-config.ts";
import { COMPACTED, CompactionWorld } from "../storage/support/compaction-world.ts";
import { batch } from "./support.ts";

/** What a producer's batch is when all its records are superseded. */
function emptied(baseOffset: number): Buffer {
  return encodeBatch(
    {
      ...{ baseOffset, leaderEpoch: 0, attributes: 0, lastOffsetDelta: 0, recordCount: 0 },
      ...{ baseTimestamp: 1, maxTimestamp: -1, producerId: 1, producerEpoch: 0, baseSequence: 0 },
    },
    Buffer.alloc(0),
  );
}

/** A log with a segment for each of the contents, ten offsets long; counts what is lent. */
function logOf(segments: readonly (Buffer | KafkaError)[]) {
  const lent = { now: 0 };
  const read = ({ offset }: LogReadOptions) => {
    const content = segments[offset / 10];
    if (content === undefined) {
      return Promise.resolve({ records: Buffer.alloc(0), nextOffset: offset });
    }
    if (content instanceof KafkaError) return Promise.reject(content);
    lent.now += 1;
    const release = () => void (lent.now -= 1);
    return Promise.resolve({ records: content, nextOffset: offset + 10, release });
  };
  return { lent, log: { read } };
}

const FROM_START = { offset: 0, endOffset: 1000, maxBytes: 1000, minOneBatch: true };
const full = batch();

test("a client's read goes on behind batches without a record, and gives their memory back", async () => {
  const { lent, log } = logOf([emptied(0), Buffer.concat([emptied(10), emptied(11)]), full, full]);
  expect(await readRecords(log, FROM_START)).toMatchObject({ records: full, nextOffset: 30 });
  expect(lent.now).toBe(1);
});

test("batches without a record before one with a record stay in the answer", async () => {
  const mixed = Buffer.concat([emptied(0), full]);
  const { log } = logOf([mixed, full]);
  expect(await readRecords(log, FROM_START)).toMatchObject({ records: mixed, nextOffset: 10 });
});

test("with nothing behind them they are the answer, so that the client comes further", async () => {
  const { lent, log } = logOf([emptied(0), emptied(10)]);
  expect(await readRecords(log, FROM_START)).toMatchObject({ nextOffset: 20 });
  expect(lent.now).toBe(1);
});

test("what is refused behind them is refused to who asks from there", async () => {
  const { log } = logOf([emptied(0), new KafkaError("CORRUPT_MESSAGE", "damaged"), full]);
  expect(await readRecords(log, FROM_START)).toMatchObject({ nextOffset: 10 });
  await expect(readRecords(log, { ...FROM_START, offset: 10 })).rejects.toThrow("damaged");
});

/** How many records each answer has, from the start of the log to its end. */
async function answers(
  world: CompactionWorld,
  log: Log,
  read: (options: LogReadOptions) => ReturnType<Log["read"]>,
): Promise<number[]> {
  const counts: number[] = [];
  for (let offset = 0; offset < log.logEndOffset;) {
    const endOffset = log.logEndOffset;
    const found = await world.run(read({ ...FROM_START, offset, endOffset }));
    counts.push(found.records.length === 0 ? 0 : batchRecordCount(found.records));
    expect(found.nextOffset).toBeGreaterThan(offset);
    offset = found.nextOffset;
  }
  return counts;
}

test("a compacted log with hardly anything left takes no answers without records", async () => {
  const world = new CompactionWorld(1);
  await world.start();
  // A batch fills a segment.
  const log = await world.open("topic", { ...COMPACTED, segmentBytes: 200 });
  for (let n = 0; n < 20; n += 1) {
    const records = [{ key: Buffer.from("key"), value: Buffer.alloc(100, n) }];
    const producer = { producerId: n, producerEpoch: 0, baseSequence: 0 };
    log.append(batch(1, { records, ...producer }), { leaderEpoch: 0, origin: "client" });
  }
  while ((await world.cleanedOffset("topic")) < 19) await world.advance(20);
  const plain = await answers(world, log, (options) => log.read(options));
  expect(plain.filter((count) => count === 0).length).toBeGreaterThan(10);
  expect(await answers(world, log, (options) => readRecords(log, options))).toEqual([1]);
});
