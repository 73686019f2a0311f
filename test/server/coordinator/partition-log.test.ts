import { expect, test } from "vitest";
import { KafkaError } from "../../../src/protocol/errors.ts";
import { partitionCoordinatorLog } from "../../../src/server/coordinator/partition-log.ts";

type PartitionPart = Parameters<typeof partitionCoordinatorLog>[0];

/** A partition that notes what it is asked. */
function openPartition() {
  const asked: unknown[] = [];
  const state = { leaderEpoch: 3, logStartOffset: 1, highWatermark: 4, logEndOffset: 9 };
  const partition = {
    get leaderEpoch() {
      return state.leaderEpoch;
    },
    get logStartOffset() {
      return state.logStartOffset;
    },
    get highWatermark() {
      return state.highWatermark;
    },
    get logEndOffset() {
      return state.logEndOffset;
    },
    appendAsLeader: (_batch: Buffer, options: unknown) => {
      asked.push(options);
      return { result: { baseOffset: 9 }, acked: Promise.resolve() };
    },
    whenCommitted: (endOffset: number) => {
      asked.push(endOffset);
      return Promise.resolve();
    },
    log: {
      read: (options: unknown) => {
        asked.push(options);
        return Promise.resolve({ records: Buffer.alloc(0), nextOffset: 9 });
      },
    },
  };
  return { partition: partition as unknown as PartitionPart, state, asked };
}

test("a coordinator's records ask for all replicas, and reads reach to the end of the log", async () => {
  const { partition, state, asked } = openPartition();
  const log = partitionCoordinatorLog(partition);
  expect(log).toMatchObject({ leaderEpoch: 3, startOffset: 1, highWatermark: 4, endOffset: 9 });
  expect(log.append(Buffer.alloc(1)).baseOffset).toBe(9);
  await log.read(4, 100);
  await log.whenCommitted(7);
  expect(asked).toEqual([
    { requiredAcks: -1, origin: "coordinator" },
    { offset: 4, endOffset: 9, maxBytes: 100, minOneBatch: true },
    7,
  ]);
  state.highWatermark = 8;
  expect(log.highWatermark).toBe(8);
});

test("what was decided in one leader epoch is not written in the next (G8)", () => {
  const { partition, state, asked } = openPartition();
  const log = partitionCoordinatorLog(partition);
  state.leaderEpoch = 4;
  expect(() => log.append(Buffer.alloc(1))).toThrow(KafkaError);
  expect(asked).toEqual([]);
});
