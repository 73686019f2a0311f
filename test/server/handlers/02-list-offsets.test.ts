import { describe, expect, test } from "vitest";
import { DiskError } from "../../../src/base/disk.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import { listOffsetsHandler } from "../../../src/server/handlers/02-list-offsets.ts";
import { batch, FakeLog, Node } from "../../replica/support.ts";
import { call, FakeContext, NO_OFFLOAD } from "./support.ts";

interface Found {
  readonly error: string;
  readonly offset: number;
  readonly timestamp: bigint;
  readonly leaderEpoch: number;
}

interface Query {
  readonly topic?: string;
  readonly index?: number;
  readonly timestamp?: bigint;
  readonly epoch?: number;
}

async function list(
  node: Node,
  queries: readonly Query[],
  options: { version?: number; isolationLevel?: number; replicaId?: number } = {},
): Promise<Found[]> {
  const { version = 11, isolationLevel = 0, replicaId = -1 } = options;
  const handler = listOffsetsHandler({ replicas: node.replicas, offload: NO_OFFLOAD });
  const response = await call(handler, new FakeContext(version), {
    replicaId,
    isolationLevel,
    topics: queries.map(({ topic = "t", index = 0, timestamp = -1n, epoch = -1 }) => ({
      name: topic,
      partitions: [{ partitionIndex: index, currentLeaderEpoch: epoch, timestamp }],
    })),
  });
  if (typeof response === "symbol") throw new Error("there is no response");
  return response.topics.flatMap(({ partitions }) =>
    partitions.map(({ errorCode, offset, timestamp, leaderEpoch }) => ({
      error: errorName(errorCode),
      offset,
      timestamp,
      leaderEpoch,
    })),
  );
}

const NOT_FOUND = { error: "NONE", offset: -1, timestamp: -1n, leaderEpoch: -1 };

/** Three committed records of the times 100, 300 and 200, and one of 400 that is not committed. */
async function lead(): Promise<Node> {
  const node = new Node();
  const partition = await node.lead();
  const write = (timestampMs: number): void => {
    partition.append(batch(1, { timestampMs }), { requiredAcks: 1, origin: "client" });
  };
  for (const timestampMs of [100, 300, 200]) write(timestampMs);
  node.log().makeSafe();
  write(400);
  return node;
}

describe("ListOffsets", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])(
    "version %i knows the latest and the earliest offset, without a time",
    async (version) => {
      const node = await lead();
      const leaderEpoch = version >= 4 ? 3 : -1;
      expect(await list(node, [{ timestamp: -1n }], { version })).toEqual([
        { error: "NONE", offset: 3, timestamp: -1n, leaderEpoch },
      ]);
      expect(await list(node, [{ timestamp: -2n }], { version })).toEqual([
        { error: "NONE", offset: 0, timestamp: -1n, leaderEpoch },
      ]);
    },
  );

  test("the latest offset is the high watermark for everybody, whatever replica id is claimed", async () => {
    const node = await lead();
    for (const replicaId of [-1, -2, 5]) {
      const [found] = await list(node, [{}], { replicaId, isolationLevel: 1 });
      expect(found!.offset).toBe(3);
    }
  });

  test("the earliest offset follows the log start", async () => {
    const node = await lead();
    node.log().logStartOffset = 2;
    expect(await list(node, [{ timestamp: -2n }])).toMatchObject([{ offset: 2 }]);
    expect(await list(node, [{ timestamp: -4n }])).toMatchObject([{ offset: 2 }]);
  });

  test("a time finds the first committed record at or after it", async () => {
    const node = await lead();
    const at = async (timestamp: bigint): Promise<Found> => (await list(node, [{ timestamp }]))[0]!;
    expect(await at(0n)).toEqual({
      error: "NONE",
      offset: 0,
      timestamp: 100n,
      leaderEpoch: 3,
    });
    expect(await at(101n)).toMatchObject({ offset: 1, timestamp: 300n });
    expect(await at(300n)).toMatchObject({ offset: 1, timestamp: 300n });
  });

  test("a time after all committed records finds nothing, without an error", async () => {
    const node = await lead();
    for (const timestamp of [301n, 400n, 2n ** 63n - 1n]) {
      expect(await list(node, [{ timestamp }])).toEqual([NOT_FOUND]);
    }
  });

  test("-3 finds the record of the greatest time among the committed (KIP-734)", async () => {
    const node = await lead();
    expect(await list(node, [{ timestamp: -3n }])).toMatchObject([{ offset: 1, timestamp: 300n }]);
    const empty = new Node();
    await empty.lead();
    expect(await list(empty, [{ timestamp: -3n }])).toEqual([NOT_FOUND]);
  });

  test("-5 and -6 find nothing where no storage is tiered", async () => {
    const node = await lead();
    expect(await list(node, [{ timestamp: -5n }])).toEqual([NOT_FOUND]);
    expect(await list(node, [{ timestamp: -6n }])).toEqual([NOT_FOUND]);
  });

  test.each([
    [-3n, 7],
    [-4n, 8],
    [-5n, 9],
    [-6n, 11],
  ])("%i is refused below version %i", async (timestamp, firstVersion) => {
    const node = await lead();
    const [below] = await list(node, [{ timestamp }], { version: firstVersion - 1 });
    expect(below!.error).toBe("UNSUPPORTED_VERSION");
    const [from] = await list(node, [{ timestamp }], { version: firstVersion });
    expect(from!.error).toBe("NONE");
  });

  test("a negative time that means nothing is refused", async () => {
    const [found] = await list(await lead(), [{ timestamp: -7n }]);
    expect(found).toMatchObject({ error: "UNSUPPORTED_VERSION", offset: -1 });
  });

  test("each partition is refused alone", async () => {
    const node = await lead();
    const found = await list(node, [{ topic: "u" }, {}, { index: 4 }]);
    expect(found.map(({ error }) => error)).toEqual([
      "UNKNOWN_TOPIC_OR_PARTITION",
      "NONE",
      "UNKNOWN_TOPIC_OR_PARTITION",
    ]);
  });

  test("a partition that is asked for twice is refused both times", async () => {
    const node = await lead();
    const found = await list(node, [{}, { timestamp: -2n }, { topic: "u" }]);
    expect(found.map(({ error }) => error)).toEqual([
      "INVALID_REQUEST",
      "INVALID_REQUEST",
      "UNKNOWN_TOPIC_OR_PARTITION",
    ]);
  });

  test("leader epochs are checked (KIP-320)", async () => {
    const node = await lead();
    const errorAt = async (epoch: number): Promise<string> =>
      (await list(node, [{ epoch }]))[0]!.error;
    expect(await errorAt(2)).toBe("FENCED_LEADER_EPOCH");
    expect(await errorAt(3)).toBe("NONE");
    expect(await errorAt(4)).toBe("UNKNOWN_LEADER_EPOCH");
  });

  test("an empty partition's offsets are in the epoch that its first batch will have", async () => {
    const node = new Node();
    await node.lead();
    const expected = [{ error: "NONE", offset: 0, timestamp: -1n, leaderEpoch: 3 }];
    expect(await list(node, [{ timestamp: -2n }])).toEqual(expected);
    expect(await list(node, [{ timestamp: -1n }])).toEqual(expected);
  });

  test("the latest offset is not given before the new leader knows it (KIP-207)", async () => {
    const node = new Node();
    const log = new FakeLog();
    log.append(batch(5, { timestampMs: 100 }), { leaderEpoch: 0, origin: "client" });
    node.logs.logs.set("t-0", log);
    await node.lead();
    for (const timestamp of [-1n, 100n]) {
      expect(await list(node, [{ timestamp }])).toMatchObject([{ error: "OFFSET_NOT_AVAILABLE" }]);
      expect(await list(node, [{ timestamp }], { version: 4 })).toMatchObject([
        { error: "LEADER_NOT_AVAILABLE" },
      ]);
    }
    expect(await list(node, [{ timestamp: -2n }])).toMatchObject([{ error: "NONE", offset: 0 }]);
    log.makeSafe();
    expect(await list(node, [{}])).toMatchObject([{ error: "NONE", offset: 5 }]);
  });

  test("a search that fails answers for its partition", async () => {
    const node = await lead();
    node.log().findByTimestamp = () =>
      Promise.reject(new DiskError("EIO", "/data/t-0/0.log", "read"));
    expect(await list(node, [{ timestamp: 5n }])).toMatchObject([{ error: "KAFKA_STORAGE_ERROR" }]);
  });

  test("what was found in a log that is not ours any more is nobody's answer", async () => {
    const node = await lead();
    node.log().findMaxTimestamp = () => {
      node.replicas.partition("t", 0)!.resign();
      return Promise.resolve(null);
    };
    expect(await list(node, [{ timestamp: -3n }])).toMatchObject([
      { error: "NOT_LEADER_OR_FOLLOWER", offset: -1 },
    ]);
  });
});
