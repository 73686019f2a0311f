import { describe, expect, test } from "vitest";
import { must } from "../../../src/base/assert.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import { deleteRecordsHandler } from "../../../src/server/handlers/21-delete-records.ts";
import { batch, LOG_CONFIG, Node, settle, stateOf } from "../../replica/support.ts";
import { call, FakeContext } from "./support.ts";

type Answer = [error: string, lowWatermark: number];

/** Deletes below these offsets of partitions 0, 1, …; all of one topic. */
async function remove(
  node: Node,
  offsets: readonly number[],
  { topic = "t", version = 2 } = {},
): Promise<Answer[]> {
  const response = await call(deleteRecordsHandler(node), new FakeContext(version), {
    topics: [
      {
        name: topic,
        partitions: offsets.map((offset, partitionIndex) => ({ partitionIndex, offset })),
      },
    ],
    timeoutMs: 30_000,
  });
  if (typeof response === "symbol") throw new Error("there is no response");
  return must(response.topics[0], "one topic").partitions.map((each) => [
    errorName(each.errorCode),
    each.lowWatermark,
  ]);
}

/** Ten records, of which eight are committed. */
async function lead(partitionIndex = 0, node = new Node()): Promise<Node> {
  const partition = await node.lead({ partitionIndex });
  partition.append(batch(8), { requiredAcks: 1, origin: "client" });
  partition.append(batch(2), { requiredAcks: 1, origin: "client" });
  node.log("t", partitionIndex).makeSafe(8);
  return node;
}

describe("DeleteRecords", () => {
  test.each([0, 1, 2])("version %i moves the log's start and says where it is", async (version) => {
    const node = await lead();
    expect(await remove(node, [5], { version })).toEqual([["NONE", 5]]);
    expect(node.log().logStartOffset).toBe(5);
  });

  test("-1 is the high watermark: all that anybody has seen (S13)", async () => {
    expect(await remove(await lead(), [-1])).toEqual([["NONE", 8]]);
  });

  test.each([9, 10, 11, -2])("%i is beyond the high watermark or no offset", async (offset) => {
    const node = await lead();
    expect(await remove(node, [offset])).toEqual([["OFFSET_OUT_OF_RANGE", -1]]);
    expect(node.log().logStartOffset).toBe(0);
  });

  test("an offset below the start changes nothing, and is told the start", async () => {
    const node = await lead();
    await remove(node, [5]);
    expect(await remove(node, [3])).toEqual([["NONE", 5]]);
  });

  test("is answered when no crash brings the records back, though they are gone at once", async () => {
    const node = await lead();
    let note: () => void = () => undefined;
    node.logs.checkpointGate = new Promise((resolve) => {
      note = resolve;
    });
    const answer = remove(node, [5]);
    await settle();
    expect(node.log().logStartOffset).toBe(5);
    expect(await stateOf(answer)).toBe("pending");
    note();
    expect(await answer).toEqual([["NONE", 5]]);
    expect(node.logs.checkpointedStarts).toEqual([5]);
  });

  test.each([
    [true, false, "POLICY_VIOLATION", -1],
    [false, false, "POLICY_VIOLATION", -1],
    [true, true, "NONE", 1],
  ])("compact %s, delete %s: %s", async (compacts, deletes, error, lowWatermark) => {
    const node = await lead();
    await node.lead({ config: { ...LOG_CONFIG, cleanupPolicy: { compacts, deletes } } });
    expect(await remove(node, [1])).toEqual([[error, lowWatermark]]);
  });

  test("each partition fails or succeeds alone", async () => {
    const node = await lead(1, await lead());
    node.log("t", 0).fail();
    expect(await remove(node, [1, 2, 3])).toEqual([
      ["KAFKA_STORAGE_ERROR", -1],
      ["NONE", 2],
      ["UNKNOWN_TOPIC_OR_PARTITION", -1],
    ]);
  });

  test.each(["__consumer_offsets", "__transaction_state"])("never of %s", async (topic) => {
    expect(await remove(await lead(), [1], { topic })).toEqual([["INVALID_TOPIC_EXCEPTION", -1]]);
  });
});
