import { describe, expect, test } from "vitest";
import { must } from "../../../src/base/assert.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import { offsetForLeaderEpochHandler } from "../../../src/server/handlers/23-offset-for-leader-epoch.ts";
import { batch, Node } from "../../replica/support.ts";
import { call, FakeContext } from "./support.ts";

type Answer = [error: string, leaderEpoch: number, endOffset: number];

async function ask(
  node: Node,
  leaderEpoch: number,
  { version = 4, topic = "t", partition = 0, currentLeaderEpoch = -1 } = {},
): Promise<Answer> {
  const handler = offsetForLeaderEpochHandler(node);
  const response = await call(handler, new FakeContext(version), {
    topics: [{ topic, partitions: [{ partition, currentLeaderEpoch, leaderEpoch }] }],
  });
  if (typeof response === "symbol") throw new Error("there is no response");
  const answer = must(response.topics[0]?.partitions[0], "one partition");
  expect(answer.partition).toBe(partition);
  return [errorName(answer.errorCode), answer.leaderEpoch, answer.endOffset];
}

const APPEND = { requiredAcks: 1, origin: "client" } as const;

/** Epoch 3 wrote offsets 0 to 4, 5 wrote 5 to 7, and 8 leads without having written anything. */
async function lead(): Promise<Node> {
  const node = new Node();
  const partition = await node.lead({ leaderEpoch: 3 });
  partition.append(batch(5), APPEND);
  await node.lead({ leaderEpoch: 5 });
  partition.append(batch(3), APPEND);
  await node.lead({ leaderEpoch: 8 });
  return node;
}

describe("OffsetForLeaderEpoch", () => {
  test.each([2, 3, 4])("%i: says where the epoch ended", async (version) => {
    expect(await ask(await lead(), 3, { version })).toEqual(["NONE", 3, 5]);
  });

  test.each<[number, string, number, number]>([
    [5, "the last that wrote ends where the log does", 5, 8],
    [4, "one that wrote nothing is the one before it", 3, 5],
    [7, "so is one between the last that wrote and the one that leads", 5, 8],
    [8, "the one that leads ends at the log's end, also before its first batch", 8, 8],
    [9, "one that is yet to come is not known", -1, -1],
    [-1, "no epoch is none", -1, -1],
  ])("%i: %s", async (epoch, _what, leaderEpoch, endOffset) => {
    expect(await ask(await lead(), epoch)).toEqual(["NONE", leaderEpoch, endOffset]);
  });

  test("of a log that never held anything, whoever led it, there is nothing to cut", async () => {
    const node = new Node();
    await node.lead({ leaderEpoch: 3 });
    expect(await ask(node, 2)).toEqual(["NONE", 2, 0]);
    expect(await ask(node, 3)).toEqual(["NONE", 3, 0]);
  });

  test.each<[number, string]>([
    [7, "FENCED_LEADER_EPOCH"],
    [9, "UNKNOWN_LEADER_EPOCH"],
    [8, "NONE"],
  ])("KIP-320: a client that believes in leader epoch %i gets %s", async (current, error) => {
    const [answered] = await ask(await lead(), 3, { currentLeaderEpoch: current });
    expect(answered).toBe(error);
  });

  test("of what is not here, or has failed, nothing is said", async () => {
    const node = await lead();
    expect(await ask(node, 3, { topic: "nope" })).toEqual(["UNKNOWN_TOPIC_OR_PARTITION", -1, -1]);
    expect(await ask(node, 3, { partition: 1 })).toEqual(["UNKNOWN_TOPIC_OR_PARTITION", -1, -1]);
    node.log().fail();
    expect(await ask(node, 3)).toEqual(["KAFKA_STORAGE_ERROR", -1, -1]);
  });
});
