import { expect, test } from "vitest";
import { errorName } from "../../../src/protocol/errors.ts";
import type {
  DescribeQuorumRequest,
  DescribeQuorumResponse,
} from "../../../src/protocol/messages/55-describe-quorum.ts";
import { describeQuorumHandler } from "../../../src/server/handlers/55-describe-quorum.ts";
import { uuid } from "../metadata/cluster-image.ts";
import { call, FakeContext } from "./support.ts";

const DIRECTORY_ID = uuid();

async function ask(
  topics: DescribeQuorumRequest["topics"],
  version = 2,
  leaderId: number | null = 4,
) {
  const handler = describeQuorumHandler({
    metadata: { quorum: { leaderId, leaderEpoch: 9, logEndOffset: 120, highWatermark: 118 } },
    clock: { wallMs: () => 1_700_000_000_000 },
    nodeId: 4,
    directoryId: DIRECTORY_ID,
  });
  return (await call(handler, new FakeContext(version), { topics })) as DescribeQuorumResponse;
}

const of = (topicName: string, ...indexes: number[]) => ({
  topicName,
  partitions: indexes.map((partitionIndex) => ({ partitionIndex })),
});

test.each([0, 1, 2])("%i: the quorum is this node, which has its own log", async (version) => {
  const answer = await ask([of("__cluster_metadata", 0)], version);
  expect(answer.errorCode).toBe(0);
  expect(answer.topics).toHaveLength(1);
  expect(answer.topics[0]!.partitions).toMatchObject([
    {
      partitionIndex: 0,
      errorCode: 0,
      leaderId: 4,
      leaderEpoch: 9,
      highWatermark: 118,
      currentVoters: [
        {
          replicaId: 4,
          logEndOffset: 120,
          lastFetchTimestamp: version >= 1 ? 1_700_000_000_000 : -1,
          lastCaughtUpTimestamp: version >= 1 ? 1_700_000_000_000 : -1,
        },
      ],
      observers: [],
    },
  ]);
  if (version >= 2) {
    expect(answer.topics[0]!.partitions[0]!.currentVoters[0]!.replicaDirectoryId).toBe(
      DIRECTORY_ID,
    );
    expect(answer.nodes).toEqual([{ nodeId: 4, listeners: [] }]);
  }
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

test("a node that does not lead sends the client elsewhere", async () => {
  const answer = await ask([of("__cluster_metadata", 0)], 2, null);
  expect(errorName(answer.topics[0]!.partitions[0]!.errorCode)).toBe("NOT_LEADER_OR_FOLLOWER");
});
