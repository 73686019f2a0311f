import { describe, expect, test } from "vitest";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import type {
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponse,
} from "../../../src/protocol/messages/75-describe-topic-partitions.ts";
import { describeTopicPartitionsHandler } from "../../../src/server/handlers/75-describe-topic-partitions.ts";
import { metadataRecord } from "../../../src/server/metadata/controller.ts";
import { apply, clusterOf, topic, uuid, withTopics } from "../metadata/cluster-image.ts";
import { call, FakeContext } from "./support.ts";

const IMAGE = withTopics(
  clusterOf(1, 2),
  topic("b", { numPartitions: 4, replicationFactor: 2 }),
  topic("a", { numPartitions: 3 }),
  topic("__consumer_offsets"),
  topic("c", { numPartitions: 2 }),
);

async function ask(
  request: Partial<DescribeTopicPartitionsRequest>,
  { image = IMAGE, maxPartitions = 2000 } = {},
) {
  const handler = describeTopicPartitionsHandler({ metadata: { image }, maxPartitions });
  const response = await call(handler, new FakeContext(0), { topics: [], ...request });
  return response as DescribeTopicPartitionsResponse;
}

const named = (...names: string[]) => names.map((name) => ({ name }));
const shown = ({ topics, nextCursor }: DescribeTopicPartitionsResponse) => ({
  partitions: topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex }) => `${name ?? ""}-${partitionIndex}`),
  ),
  next: nextCursor === null ? null : `${nextCursor.topicName}-${nextCursor.partitionIndex}`,
});

describe("DescribeTopicPartitions", () => {
  test("no names are all topics, by name", async () => {
    const answer = await ask({});
    expect(answer.topics.map(({ name, isInternal }) => [name, isInternal])).toEqual([
      ["__consumer_offsets", true],
      ["a", false],
      ["b", false],
      ["c", false],
    ]);
    expect(answer.nextCursor).toBeNull();
    expect(answer.topics[2]).toMatchObject({
      topicId: IMAGE.topicsByName.get("b")!.topicId,
      topicAuthorizedOperations: 0b1101_1111_1000,
      partitions: [
        {
          errorCode: 0,
          partitionIndex: 0,
          leaderId: 1,
          leaderEpoch: 0,
          replicaNodes: [1, 2],
          isrNodes: [1, 2],
          eligibleLeaderReplicas: [],
          lastKnownElr: [],
          offlineReplicas: [],
        },
        { partitionIndex: 1, leaderId: 2 },
        { partitionIndex: 2 },
        { partitionIndex: 3 },
      ],
    });
  });

  test("pages follow each other without a gap, whatever their size", async () => {
    const all = shown(await ask({})).partitions;
    for (let limit = 1; limit <= all.length + 1; limit += 1) {
      const seen: string[] = [];
      let cursor: DescribeTopicPartitionsRequest["cursor"] = null;
      for (;;) {
        const answer = await ask({ responsePartitionLimit: limit, cursor });
        const { partitions } = shown(answer);
        expect(partitions.length).toBeLessThanOrEqual(limit);
        seen.push(...partitions);
        cursor = answer.nextCursor;
        if (cursor === null) break;
      }
      expect(seen).toEqual(all);
    }
  });

  test("topics come by name, each once, whatever the order of the request", async () => {
    const request = { topics: named("c", "a", "c"), responsePartitionLimit: 4 };
    expect(shown(await ask(request))).toEqual({
      partitions: ["a-0", "a-1", "a-2", "c-0"],
      next: "c-1",
    });
    const cursor = { topicName: "c", partitionIndex: 1 };
    expect(shown(await ask({ ...request, cursor }))).toEqual({ partitions: ["c-1"], next: null });
  });

  test("the broker's limit holds over the client's, and one partition is told at least", async () => {
    expect(shown(await ask({}, { maxPartitions: 2 })).partitions).toHaveLength(2);
    expect(shown(await ask({ responsePartitionLimit: 0 })).partitions).toHaveLength(1);
    expect(shown(await ask({ responsePartitionLimit: -5 })).partitions).toHaveLength(1);
  });

  test("a topic that is gone since the page before is passed over", async () => {
    const cursor = { topicName: "aa", partitionIndex: 3 };
    expect(shown(await ask({ cursor, responsePartitionLimit: 2 }))).toEqual({
      partitions: ["b-0", "b-1"],
      next: "b-2",
    });
  });

  test("what is not there is refused by itself, when it was asked for", async () => {
    const answer = await ask({ topics: named("nope", "a b", "a") });
    expect(
      answer.topics.map(({ name, errorCode, topicId }) => [
        name,
        errorName(errorCode),
        topicId === ZERO_UUID,
      ]),
    ).toEqual([
      ["a", "NONE", false],
      ["a b", "INVALID_TOPIC_EXCEPTION", true],
      ["nope", "UNKNOWN_TOPIC_OR_PARTITION", true],
    ]);
  });

  test.each([
    { topics: named("a"), cursor: { topicName: "b", partitionIndex: 0 } },
    { topics: named("a"), cursor: { topicName: "a", partitionIndex: -1 } },
  ])("%j is refused", async (request) => {
    const answer = await ask(request);
    expect(answer.topics.map(({ name, errorCode }) => [name, errorName(errorCode)])).toEqual([
      ["a", "INVALID_REQUEST"],
    ]);
  });

  test("KIP-966: eligible leaders, last known ones, and replicas whose directory is gone", async () => {
    const { topicId } = IMAGE.topicsByName.get("b")!;
    const image = apply(IMAGE, [
      metadataRecord("partitionChange", {
        topicId,
        partitionId: 0,
        leader: -1,
        isr: [],
        eligibleLeaderReplicas: [2],
        lastKnownElr: [1],
        directories: [uuid(), IMAGE.brokers.get(2)!.logDirs[0]!],
      }),
    ]);
    const answer = await ask({ topics: named("b") }, { image });
    expect(answer.topics[0]!.partitions[0]).toMatchObject({
      errorCode: 0,
      leaderId: -1,
      isrNodes: [],
      eligibleLeaderReplicas: [2],
      lastKnownElr: [1],
      offlineReplicas: [1],
    });
  });
});
