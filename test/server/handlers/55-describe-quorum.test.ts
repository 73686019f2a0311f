import { expect, test } from "vitest";
import { type Uuid, ZERO_UUID } from "../../../src/base/ids.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import type {
  DescribeQuorumRequest,
  DescribeQuorumResponse,
} from "../../../src/protocol/messages/55-describe-quorum.ts";
import { describeQuorumHandler } from "../../../src/server/handlers/55-describe-quorum.ts";
import { DESCRIBE_QUORUM } from "../../../src/server/metadata/quorum-commands.ts";
import { clusterOf, uuid } from "../metadata/cluster-image.ts";
import { deciding } from "../metadata/deciding.ts";
import { call, FakeContext } from "./support.ts";

const [ONE, TWO, THREE, OBSERVER] = [uuid(), uuid(), uuid(), uuid()];
const endpoints = (port: number) => [{ name: "CONTROLLER", host: "127.0.0.1", port }];
/** The leader's clock began with the process, long after 1970. */
const CONTROLLER = {
  nodeId: 2,
  nowMs: () => 5000,
  wallMs: () => 1_700_000_000_000,
  quorum: () => ({
    ...{ leaderId: 2, leaderEpoch: 9, highWatermark: 118, endOffset: 120, flushedEndOffset: 119 },
    voters: [
      { nodeId: 1, directoryId: ONE, endpoints: endpoints(9091) },
      { nodeId: 2, directoryId: TWO, endpoints: endpoints(9092) },
      { nodeId: 3, directoryId: THREE, endpoints: endpoints(9093) },
    ],
    replicas: [
      {
        ...{ nodeId: 1, directoryId: ONE, endOffset: 118 },
        ...{ fetchedAtMs: 4990.4, caughtUpAtMs: 4900 },
      },
      {
        ...{ nodeId: 3, directoryId: THREE, endOffset: 0 },
        ...{ fetchedAtMs: 3000, caughtUpAtMs: -Infinity },
      },
      // It has lost its disk, and does not vote by the new one.
      {
        ...{ nodeId: 3, directoryId: OBSERVER, endOffset: 7 },
        ...{ fetchedAtMs: 5000, caughtUpAtMs: 5000 },
      },
    ],
  }),
};

async function ask(topics: DescribeQuorumRequest["topics"], version = 2) {
  const handler = describeQuorumHandler({ metadata: deciding(clusterOf(1), CONTROLLER) });
  return (await call(handler, new FakeContext(version), { topics })) as DescribeQuorumResponse;
}

const of = (topicName: string, ...indexes: number[]) => ({
  topicName,
  partitions: indexes.map((partitionIndex) => ({ partitionIndex })),
});

test.each([0, 1, 2])("%i: the leader knows how far the others are, and when", async (version) => {
  const answer = await ask([of("__cluster_metadata", 0)], version);
  const replica = (
    replicaId: number,
    directoryId: Uuid,
    logEndOffset: number,
    ...ago: number[]
  ) => {
    const [fetched, caughtUp] = ago.map((ms) => (ms < 0 ? -1 : 1_700_000_000_000 - ms));
    return {
      ...{ replicaId, logEndOffset },
      replicaDirectoryId: version >= 2 ? directoryId : ZERO_UUID,
      lastFetchTimestamp: version >= 1 ? fetched : -1,
      lastCaughtUpTimestamp: version >= 1 ? caughtUp : -1,
    };
  };
  expect(answer.errorCode).toBe(0);
  expect(answer.topics).toEqual([
    {
      topicName: "__cluster_metadata",
      partitions: [
        {
          ...{ partitionIndex: 0, errorCode: 0, errorMessage: version >= 2 ? null : "" },
          ...{ leaderId: 2, leaderEpoch: 9, highWatermark: 118 },
          currentVoters: [
            replica(1, ONE, 118, 10, 100),
            replica(2, TWO, 120, 0, 0),
            replica(3, THREE, 0, 2000, -1),
          ],
          observers: [replica(3, OBSERVER, 7, 0, 0)],
        },
      ],
    },
  ]);
  expect(answer.nodes).toEqual(
    version >= 2
      ? [1, 2, 3].map((nodeId) => ({ nodeId, listeners: endpoints(9090 + nodeId) }))
      : [],
  );
});

test.each([
  [[of("x", 0)], [["x", 0]]],
  [[of("__cluster_metadata", 1)], [["__cluster_metadata", 1]]],
  [
    [of("__cluster_metadata", 0), of("x", 3)],
    [
      ["__cluster_metadata", 0],
      ["x", 3],
    ],
  ],
])("%j: there is one log to describe, and it is asked for alone", async (topics, refused) => {
  const answer = await ask(topics);
  const told = answer.topics.flatMap(({ topicName, partitions }) =>
    partitions.map(({ partitionIndex, errorCode, errorMessage }) => {
      expect(errorName(errorCode)).toBe("UNKNOWN_TOPIC_OR_PARTITION");
      expect(errorMessage).not.toBe("");
      return [topicName, partitionIndex];
    }),
  );
  expect(told).toEqual(refused);
});

test("without a leader the whole request is refused", async () => {
  const error = { name: "NOT_CONTROLLER", message: "nobody leads" } as const;
  const metadata = {
    execute: (_command: unknown, request: DescribeQuorumRequest) =>
      Promise.resolve(DESCRIBE_QUORUM.refuse(request, null, error)),
  } as unknown as Parameters<typeof describeQuorumHandler>[0]["metadata"];
  const topics = [of("__cluster_metadata", 0)];
  const answer = await call(describeQuorumHandler({ metadata }), new FakeContext(2), { topics });
  expect(answer).toMatchObject({ errorCode: 41, errorMessage: "nobody leads", topics: [] });
});
