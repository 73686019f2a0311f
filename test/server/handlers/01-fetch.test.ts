import { describe, expect, test } from "vitest";
import { DiskError } from "../../../src/base/disk.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import type { FetchResponse } from "../../../src/protocol/messages/01-fetch.ts";
import { NO_RESPONSE } from "../../../src/server/api-handler.ts";
import { fetchHandler } from "../../../src/server/handlers/01-fetch.ts";
import { batch, Node, OTHER_TOPIC_ID, settle, stateOf, TOPIC_ID } from "../../replica/support.ts";
import { newFetchSessions } from "../support/fetch-sessions.ts";
import { call, FakeContext } from "./support.ts";

const ONE = batch().length;

interface PartitionOptions {
  readonly topic?: string;
  readonly topicId?: typeof TOPIC_ID;
  readonly index?: number;
  readonly offset?: number;
  readonly maxBytes?: number;
  readonly epoch?: number;
  readonly lastFetchedEpoch?: number;
}

interface Options {
  readonly version?: number;
  readonly maxWaitMs?: number;
  readonly minBytes?: number;
  readonly maxBytes?: number;
  readonly isolationLevel?: number;
  readonly sessionId?: number;
  readonly sessionEpoch?: number;
  readonly replicaId?: number;
  readonly context?: FakeContext;
  readonly fetchMaxBytes?: number;
}

type Fetched = Promise<symbol | FetchResponse>;

function fetch(
  node: Node,
  partitions: readonly PartitionOptions[],
  options: Options = {},
): Fetched {
  const { version = 12, fetchMaxBytes = 57_671_680 } = options;
  const handler = fetchHandler(
    {
      replicas: node.replicas,
      sessions: newFetchSessions(),
      leaderOf: ({ partitionIndex }, listenerName) =>
        partitionIndex === 9
          ? null
          : {
              leaderEpoch: 7,
              endPoint: { nodeId: 2, host: listenerName.toLowerCase(), port: 9092 },
            },
    },
    { fetchMaxBytes },
  );
  return call(handler, options.context ?? new FakeContext(version), {
    ...(version < 15 ? { replicaId: options.replicaId ?? -1 } : {}),
    maxWaitMs: options.maxWaitMs ?? 500,
    minBytes: options.minBytes ?? 1,
    maxBytes: options.maxBytes ?? 0x7fffffff,
    isolationLevel: options.isolationLevel ?? 0,
    sessionId: options.sessionId ?? 0,
    sessionEpoch: options.sessionEpoch ?? -1,
    topics: partitions.map((each) => ({
      topic: each.topic ?? "t",
      topicId: each.topicId ?? TOPIC_ID,
      partitions: [
        {
          partition: each.index ?? 0,
          currentLeaderEpoch: each.epoch ?? -1,
          fetchOffset: each.offset ?? 0,
          partitionMaxBytes: each.maxBytes ?? 1_048_576,
          ...(version >= 12 ? { lastFetchedEpoch: each.lastFetchedEpoch ?? -1 } : {}),
        },
      ],
    })),
    forgottenTopicsData: [],
  });
}

type PartitionData = FetchResponse["responses"][number]["partitions"][number];

async function responseOf(fetched: Fetched): Promise<FetchResponse> {
  const response = await fetched;
  if (typeof response === "symbol") throw new Error("there is no response");
  return response;
}

async function partitionsOf(fetched: Fetched): Promise<PartitionData[]> {
  return (await responseOf(fetched)).responses.flatMap(({ partitions }) => partitions);
}

async function sizesOf(fetched: Fetched): Promise<number[]> {
  return (await partitionsOf(fetched)).map(({ records }) => records!.length);
}

async function errorsOf(fetched: Fetched): Promise<string[]> {
  return (await partitionsOf(fetched)).map((each) => errorName(each.errorCode));
}

/** Appends batches of one record and makes them safe. */
function write(node: Node, count: number, index = 0): void {
  append(node, count, index);
  node.log("t", index).makeSafe();
}

function append(node: Node, count: number, index = 0): void {
  const partition = node.replicas.partition("t", index)!;
  for (let i = 0; i < count; i += 1) {
    partition.append(batch(), { requiredAcks: 1, origin: "client" });
  }
}

async function lead(partitionCount = 1): Promise<Node> {
  const node = new Node();
  for (let index = 0; index < partitionCount; index += 1) {
    await node.lead({ partitionIndex: index });
  }
  return node;
}

describe("Fetch", () => {
  test.each([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18])(
    "version %i gives the committed records from the offset on",
    async (version) => {
      const node = await lead();
      write(node, 3);
      const response = await responseOf(fetch(node, [{ offset: 1 }], { version }));
      expect(response).toMatchObject({ errorCode: 0, sessionId: 0 });
      const [topic] = response.responses;
      expect(version >= 13 ? topic!.topicId : topic!.topic).toBe(version >= 13 ? TOPIC_ID : "t");
      expect(topic!.partitions[0]).toMatchObject({
        errorCode: 0,
        highWatermark: 3,
        lastStableOffset: 3,
        logStartOffset: version >= 5 ? 0 : -1,
        abortedTransactions: null,
        preferredReadReplica: -1,
      });
      const [, second, third] = node.log().batches;
      expect(topic!.partitions[0]!.records).toEqual(Buffer.concat([second!, third!]));
    },
  );

  test("never shows a byte beyond the high watermark, whatever replica id is claimed (S18)", async () => {
    const node = await lead();
    write(node, 2);
    append(node, 1);
    for (const replicaId of [-1, -2, 5]) {
      const [partition] = await partitionsOf(fetch(node, [{}], { replicaId }));
      expect(partition).toMatchObject({ highWatermark: 2 });
      expect(partition!.records).toHaveLength(2 * ONE);
    }
  });

  test("read_committed ends at the last stable offset, and knows what was aborted (X6, X7)", async () => {
    const node = new Node();
    const partition = await node.lead();
    for (let i = 0; i < 4; i += 1) partition.append(batch(), { requiredAcks: 1, origin: "client" });
    node.log().makeSafe();
    const entry = { producerId: 9, firstOffset: 0, lastOffset: 1, lastStableOffset: 0 };
    const later = { producerId: 8, firstOffset: 3, lastOffset: 3, lastStableOffset: 3 };
    node.log().aborted = [entry, later];
    node.log().unstableOffset = 2;
    const [committed] = await partitionsOf(fetch(node, [{}], { isolationLevel: 1 }));
    expect(committed).toMatchObject({
      highWatermark: 4,
      lastStableOffset: 2,
      abortedTransactions: [{ producerId: 9, firstOffset: 0 }],
    });
    expect(committed!.records).toHaveLength(2 * ONE);
    const [all] = await partitionsOf(fetch(node, [{}], { isolationLevel: 0 }));
    expect(all).toMatchObject({ lastStableOffset: 2, abortedTransactions: null });
    expect(all!.records).toHaveLength(4 * ONE);
  });

  test("read_committed has a list of aborted transactions, read_uncommitted none", async () => {
    const node = await lead();
    write(node, 1);
    const committed = await partitionsOf(fetch(node, [{}], { isolationLevel: 1 }));
    expect(committed[0]).toMatchObject({ abortedTransactions: [], lastStableOffset: 1 });
    expect(committed[0]!.records).toHaveLength(ONE);
    const uncommitted = await partitionsOf(fetch(node, [{}], { isolationLevel: 0 }));
    expect(uncommitted[0]!.abortedTransactions).toBeNull();
  });

  test("an empty answer is an empty byte string, not null", async () => {
    const [partition] = await partitionsOf(fetch(await lead(), [{}], { maxWaitMs: 0 }));
    expect(partition!.records).toEqual(Buffer.alloc(0));
  });
});

describe("limits of a fetch", () => {
  test("the first batch is given whole, even above every limit", async () => {
    const node = await lead();
    write(node, 2);
    expect(await sizesOf(fetch(node, [{ maxBytes: 1 }], { maxBytes: 1 }))).toEqual([ONE]);
    expect(await sizesOf(fetch(node, [{ maxBytes: 0 }]))).toEqual([ONE]);
  });

  test("partitions are filled in the request's order, the later ones are cut", async () => {
    const node = await lead(3);
    for (const index of [0, 1, 2]) write(node, 4, index);
    const order = [{ index: 2 }, { index: 0 }, { index: 1 }];
    const response = await partitionsOf(fetch(node, order, { maxBytes: 6 * ONE }));
    expect(response.map((each) => each.partitionIndex)).toEqual([2, 0, 1]);
    expect(response.map(({ records }) => records!.length)).toEqual([4 * ONE, 2 * ONE, 0]);
  });

  test("an empty partition in front does not use the promise of one whole batch up", async () => {
    const node = await lead(2);
    write(node, 1, 1);
    const fetched = fetch(node, [{ index: 0 }, { index: 1, maxBytes: 1 }]);
    expect(await sizesOf(fetched)).toEqual([0, ONE]);
  });

  test("a partition's own limit holds after the first batch of all", async () => {
    const node = await lead(2);
    write(node, 4, 0);
    write(node, 4, 1);
    const fetched = fetch(node, [
      { index: 0, maxBytes: 2 * ONE },
      { index: 1, maxBytes: ONE - 1 },
    ]);
    expect(await sizesOf(fetched)).toEqual([2 * ONE, 0]);
  });

  test("fetch.max.bytes bounds what a client may ask for", async () => {
    const node = await lead();
    write(node, 4);
    expect(await sizesOf(fetch(node, [{}], { fetchMaxBytes: 2 * ONE }))).toEqual([2 * ONE]);
  });
});

describe("a fetch that waits", () => {
  test("is woken by the very advance of the high watermark, not by the append", async () => {
    const node = await lead(2);
    const fetched = fetch(node, [{ index: 0 }, { index: 1 }]);
    append(node, 1, 1);
    expect(await stateOf(fetched)).toBe("pending");
    expect(node.log("t", 1).readCount).toBe(0);
    node.log("t", 1).makeSafe();
    expect(await sizesOf(fetched)).toEqual([0, ONE]);
    expect(node.clock.nowMs()).toBe(0);
    expect(node.log("t", 1).readCount).toBe(1);
  });

  test("answers empty when its time is over, and reads nothing for it", async () => {
    const node = await lead();
    write(node, 1);
    const fetched = fetch(node, [{ offset: 1 }], { maxWaitMs: 500 });
    node.clock.advance(499);
    expect(await stateOf(fetched)).toBe("pending");
    node.clock.advance(11);
    const [partition] = await partitionsOf(fetched);
    expect(partition).toMatchObject({ errorCode: 0, highWatermark: 1 });
    expect(partition!.records).toHaveLength(0);
    expect(node.log().readCount).toBe(0);
  });

  test("waits for minBytes over all partitions, and does not read for every record", async () => {
    const node = await lead(2);
    write(node, 1, 0);
    const fetched = fetch(node, [{ index: 0 }, { index: 1 }], { minBytes: 4 * ONE });
    await settle();
    for (const index of [0, 1]) {
      write(node, 1, index);
      expect(await stateOf(fetched)).toBe("pending");
    }
    expect(node.log("t", 0).readCount).toBe(1);
    write(node, 1, 1);
    expect(await sizesOf(fetched)).toEqual([2 * ONE, 2 * ONE]);
    expect(node.log("t", 0).readCount).toBe(2);
  });

  test("gives what there is below minBytes when its time is over", async () => {
    const node = await lead();
    const fetched = fetch(node, [{}], { minBytes: 10 * ONE });
    await settle();
    write(node, 2);
    node.clock.advance(510);
    expect(await sizesOf(fetched)).toEqual([2 * ONE]);
  });

  test("counts what was exposed while it was reading", async () => {
    const node = await lead();
    write(node, 1);
    let isFirst = true;
    node.log().duringRead = () => {
      if (isFirst) write(node, 1);
      isFirst = false;
    };
    expect(await sizesOf(fetch(node, [{}], { minBytes: 2 * ONE }))).toEqual([2 * ONE]);
  });

  test("does not wait for bytes that its limits would not let it have", async () => {
    const node = await lead();
    write(node, 3);
    const fetched = fetch(node, [{ maxBytes: ONE }], { minBytes: 2 * ONE });
    expect(await sizesOf(fetched)).toEqual([ONE]);
  });

  test("with minBytes 0 or maxWaitMs 0 does not wait", async () => {
    const node = await lead();
    expect(await sizesOf(fetch(node, [{}], { minBytes: 0 }))).toEqual([0]);
    expect(await sizesOf(fetch(node, [{}], { maxWaitMs: 0 }))).toEqual([0]);
  });

  test("waits between high watermark and log end without an error", async () => {
    const node = await lead();
    append(node, 2);
    const fetched = fetch(node, [{ offset: 1 }]);
    expect(await stateOf(fetched)).toBe("pending");
    node.log().makeSafe();
    expect(await sizesOf(fetched)).toEqual([ONE]);
  });

  test("is dropped when its connection closes, at once or parked", async () => {
    const node = await lead();
    const context = new FakeContext(12);
    const fetched = fetch(node, [{}], { context });
    await settle();
    context.close();
    expect(await fetched).toBe(NO_RESPONSE);
    write(node, 1);
    expect(node.log().readCount).toBe(0);

    const reading = new FakeContext(12);
    node.log().duringRead = () => reading.close();
    expect(await fetch(node, [{}], { context: reading })).toBe(NO_RESPONSE);
  });

  test("is woken when its topic is deleted, and told so", async () => {
    const node = await lead(2);
    const byName = fetch(node, [{ index: 0 }, { index: 1 }]);
    const byId = fetch(node, [{ index: 0 }], { version: 13 });
    await settle();
    await Promise.all([node.replicas.remove("t", 0), node.replicas.remove("t", 1)]);
    expect(await errorsOf(byName)).toContain("UNKNOWN_TOPIC_OR_PARTITION");
    expect(["UNKNOWN_TOPIC_ID", "UNKNOWN_TOPIC_OR_PARTITION"]).toContain((await errorsOf(byId))[0]);
    expect(node.clock.nowMs()).toBe(0);
  });

  test("is woken by a failing disk (R9) and by the end of the broker", async () => {
    const node = await lead(2);
    const failing = fetch(node, [{ index: 0 }]);
    const closing = fetch(node, [{ index: 1 }]);
    await settle();
    node.log("t", 0).fail();
    expect(await errorsOf(failing)).toEqual(["KAFKA_STORAGE_ERROR"]);
    await node.replicas.close();
    expect(await errorsOf(closing)).toEqual(["NOT_LEADER_OR_FOLLOWER"]);
  });

  test("leaves nothing behind once it is answered", async () => {
    const node = await lead();
    const fetched = fetch(node, [{}]);
    await settle();
    write(node, 1);
    await fetched;
    write(node, 1);
    expect(node.log().readCount).toBe(1);
    node.clock.advance(1_000);
    expect(node.clock.pendingCount).toBe(0);
  });
});

describe("a fetch that is refused", () => {
  test("for an offset out of range learns it at once", async () => {
    const node = await lead();
    write(node, 2);
    node.log().logStartOffset = 1;
    for (const offset of [0, -1, 3]) {
      const [partition] = await partitionsOf(fetch(node, [{ offset }]));
      expect(errorName(partition!.errorCode)).toBe("OFFSET_OUT_OF_RANGE");
      expect(partition).toMatchObject({ highWatermark: -1, lastStableOffset: -1 });
    }
  });

  test("for its leader epoch learns whether it is behind or ahead (KIP-320)", async () => {
    const node = await lead();
    expect(await errorsOf(fetch(node, [{ epoch: 2 }]))).toEqual(["FENCED_LEADER_EPOCH"]);
    expect(await errorsOf(fetch(node, [{ epoch: 4 }]))).toEqual(["UNKNOWN_LEADER_EPOCH"]);
    write(node, 1);
    expect(await sizesOf(fetch(node, [{ epoch: 3 }]))).toEqual([ONE]);
  });

  test("for a topic that is unknown, by name or id, is told so without waiting", async () => {
    const node = await lead();
    expect(await errorsOf(fetch(node, [{ topic: "u" }]))).toEqual(["UNKNOWN_TOPIC_OR_PARTITION"]);
    const unknownId = { topicId: OTHER_TOPIC_ID };
    expect(await errorsOf(fetch(node, [unknownId], { version: 13 }))).toEqual(["UNKNOWN_TOPIC_ID"]);
    expect(await errorsOf(fetch(node, [{ index: 3 }], { version: 13 }))).toEqual([
      "UNKNOWN_TOPIC_OR_PARTITION",
    ]);
  });

  test("one that another node leads is told at once, with whoever does, and not waited beside", async () => {
    const node = await lead();
    const topic = { name: "t", topicId: TOPIC_ID, partitions: [{}, {}] };
    node.replicas.follow({
      topicsByName: new Map([["t", topic]]),
      topicsById: new Map([[TOPIC_ID, topic]]),
    });
    const { responses, nodeEndpoints } = await responseOf(
      fetch(node, [{}, { index: 1 }], { version: 16 }),
    );
    const answers = responses.flatMap(({ partitions }) => partitions);
    expect(answers.map(({ errorCode }) => errorName(errorCode))).toEqual([
      "NONE",
      "NOT_LEADER_OR_FOLLOWER",
    ]);
    expect(answers[1]!.currentLeader).toEqual({ leaderId: 2, leaderEpoch: 7 });
    expect(nodeEndpoints).toMatchObject([{ nodeId: 2, host: "plaintext" }]);
  });

  test("for one unknown partition among others still waits for those, or the client would spin", async () => {
    const node = await lead();
    const fetched = fetch(node, [{ topic: "u" }, {}]);
    expect(await stateOf(fetched)).toBe("pending");
    write(node, 1);
    expect(await errorsOf(fetched)).toEqual(["UNKNOWN_TOPIC_OR_PARTITION", "NONE"]);
  });

  test("for a read that fails answers for that partition alone", async () => {
    const node = await lead(2);
    write(node, 1, 0);
    write(node, 1, 1);
    node.log("t", 0).readError = new DiskError("EIO", "/data/t-0/0.log", "read");
    const partitions = await partitionsOf(fetch(node, [{ index: 0 }, { index: 1 }]));
    expect(partitions.map((each) => errorName(each.errorCode))).toEqual([
      "KAFKA_STORAGE_ERROR",
      "NONE",
    ]);
    expect(partitions[1]!.records).toHaveLength(ONE);
  });

  test("a log that ends under the reader is the end of leadership", async () => {
    const node = await lead();
    write(node, 1);
    node.log().duringRead = () => node.replicas.partition("t", 0)!.resign();
    node.log().readError = new DiskError("EBADF", "/data/t-0/0.log", "read");
    expect(await errorsOf(fetch(node, [{}]))).toEqual(["NOT_LEADER_OR_FOLLOWER"]);
  });

  test("whose log has diverged learns where to cut (KIP-595)", async () => {
    const node = await lead();
    write(node, 2);
    await node.lead({ leaderEpoch: 6 });
    write(node, 1);
    const [partition] = await partitionsOf(fetch(node, [{ offset: 3, lastFetchedEpoch: 5 }]));
    expect(partition).toMatchObject({ errorCode: 0, divergingEpoch: { epoch: 3, endOffset: 2 } });
    expect(partition!.records).toHaveLength(0);
    expect(await sizesOf(fetch(node, [{ offset: 2, lastFetchedEpoch: 3 }]))).toEqual([ONE]);
    expect(await errorsOf(fetch(node, [{ offset: 2, lastFetchedEpoch: 1 }]))).toEqual([
      "OFFSET_OUT_OF_RANGE",
    ]);
  });
});

describe("who leads instead (KIP-951)", () => {
  test.each([
    ["an older leader epoch", { epoch: 2 }, "FENCED_LEADER_EPOCH"],
    ["a replica that does not lead any more", {}, "NOT_LEADER_OR_FOLLOWER"],
  ])("from version 16 on: %s", async (_what, partition, error) => {
    for (const version of [15, 16, 18]) {
      const node = await lead();
      if (error === "NOT_LEADER_OR_FOLLOWER") node.replicas.partition("t", 0)!.resign();
      const response = await responseOf(fetch(node, [partition], { version }));
      const [answer] = response.responses[0]!.partitions;
      expect(errorName(answer!.errorCode)).toBe(error);
      const isTold = version >= 16;
      expect(answer!.currentLeader).toEqual(
        isTold ? { leaderId: 2, leaderEpoch: 7 } : { leaderId: -1, leaderEpoch: -1 },
      );
      expect(response.nodeEndpoints).toEqual(
        isTold ? [{ nodeId: 2, host: "plaintext", port: 9092, rack: null }] : [],
      );
    }
  });

  test("is not said of other errors, nor of a partition that nobody leads", async () => {
    const node = await lead();
    await node.lead({ partitionIndex: 9 });
    const wanted = [{ epoch: 4 }, { index: 9, epoch: 2 }];
    const response = await responseOf(fetch(node, wanted, { version: 16 }));
    const answers = response.responses.flatMap(({ partitions }) => partitions);
    expect(answers.map(({ errorCode }) => errorName(errorCode))).toEqual([
      "UNKNOWN_LEADER_EPOCH",
      "FENCED_LEADER_EPOCH",
    ]);
    for (const { currentLeader } of answers) expect(currentLeader.leaderId).toBe(-1);
    expect(response.nodeEndpoints).toEqual([]);
  });
});
