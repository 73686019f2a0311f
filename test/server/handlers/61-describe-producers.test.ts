import { expect, test } from "vitest";
import { errorName } from "../../../src/protocol/errors.ts";
import type { ProducerSnapshotEntry } from "../../../src/storage/producer-snapshot.ts";
import { describeProducersHandler } from "../../../src/server/handlers/61-describe-producers.ts";
import { Node } from "../../replica/support.ts";
import { call, FakeContext } from "./support.ts";

const entry = (
  producerId: number,
  lastSequence: number,
  over: Partial<ProducerSnapshotEntry> = {},
): ProducerSnapshotEntry => ({
  producerId,
  epoch: 2,
  lastSequence,
  lastOffset: 10 + lastSequence,
  offsetDelta: 0,
  timestamp: 1000n + BigInt(lastSequence),
  coordinatorEpoch: -1,
  currentTxnFirstOffset: -1,
  ...over,
});

async function ask(node: Node, topics: readonly { name: string; partitionIndexes: number[] }[]) {
  const handler = describeProducersHandler(node);
  const response = await call(handler, new FakeContext(0), { topics: [...topics] });
  if (typeof response === "symbol") throw new Error("there is no response");
  return response.topics.flatMap(({ partitions }) => partitions);
}

test("each producer is told once, with its newest batch and its open transaction", async () => {
  const node = new Node();
  await node.lead();
  node.log().producers = [
    entry(7, 0),
    entry(7, 1),
    entry(7, 4),
    entry(9, 3, { epoch: 5, coordinatorEpoch: 6, currentTxnFirstOffset: 12 }),
  ];
  const [answer] = await ask(node, [{ name: "t", partitionIndexes: [0] }]);
  expect(answer).toEqual({
    partitionIndex: 0,
    errorCode: 0,
    errorMessage: null,
    activeProducers: [
      {
        producerId: 7,
        producerEpoch: 2,
        lastSequence: 4,
        lastTimestamp: 1004n,
        coordinatorEpoch: -1,
        currentTxnStartOffset: -1,
      },
      {
        producerId: 9,
        producerEpoch: 5,
        lastSequence: 3,
        lastTimestamp: 1003n,
        coordinatorEpoch: 6,
        currentTxnStartOffset: 12,
      },
    ],
  });
});

test("each partition is refused by itself", async () => {
  const node = new Node();
  await node.lead();
  await node.lead({ partitionIndex: 1 });
  node.log("t", 1).fail();
  const answers = await ask(node, [
    { name: "t", partitionIndexes: [0, 1, 2] },
    { name: "a b", partitionIndexes: [0] },
    { name: "nope", partitionIndexes: [0] },
  ]);
  expect(answers.map((answer) => errorName(answer.errorCode))).toEqual([
    "NONE",
    "KAFKA_STORAGE_ERROR",
    "UNKNOWN_TOPIC_OR_PARTITION",
    "INVALID_TOPIC_EXCEPTION",
    "UNKNOWN_TOPIC_OR_PARTITION",
  ]);
});
