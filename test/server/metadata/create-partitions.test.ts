import { describe, expect, test } from "vitest";
import { errorName } from "../../../src/protocol/errors.ts";
import {
  createPartitions,
  type GrowingTopic,
} from "../../../src/server/metadata/create-partitions.ts";
import { apply, clusterOf, topic, withTopics } from "./cluster-image.ts";

const IMAGE = withTopics(
  clusterOf(1, 2),
  topic("x", { numPartitions: 3 }),
  topic("y", { numPartitions: 1, replicationFactor: 2 }),
);

const grow = (name: string, count: number, ...replicas: number[][]): GrowingTopic => ({
  name,
  count,
  assignments: replicas.length === 0 ? null : replicas.map((brokerIds) => ({ brokerIds })),
});

function ask(topics: readonly GrowingTopic[], { image = IMAGE, validateOnly = false } = {}) {
  const { records, answer } = createPartitions(image, { topics, validateOnly });
  const after = apply(image, records);
  return {
    recordCount: records.length,
    partitions: (name: string) => after.topicsByName.get(name)!.partitions,
    answer: answer.map(({ name, errorCode, errorMessage }) => [
      name,
      errorName(errorCode),
      errorMessage,
    ]),
  };
}

describe("CreatePartitions", () => {
  test("adds what is missing, in turn after those that are there, and leaves those alone", () => {
    const { partitions, answer } = ask([grow("x", 5)]);
    expect(answer).toEqual([["x", "NONE", null]]);
    expect(partitions("x").slice(0, 3)).toEqual(IMAGE.topicsByName.get("x")!.partitions);
    expect(partitions("x").map(({ leader }) => leader)).toEqual([1, 2, 1, 2, 1]);
    expect(partitions("x")[4]).toMatchObject({
      partitionIndex: 4,
      replicas: [1],
      isr: [1],
      leaderEpoch: 0,
      partitionEpoch: 0,
    });
  });

  test("new partitions have as many replicas as the old ones, and go on behind them", () => {
    const [first, second] = ask([grow("y", 2)]).partitions("y");
    expect(second?.replicas).toEqual(first?.replicas.toReversed());
    expect(second?.replicas).toHaveLength(2);
  });

  test("takes the replicas that the client chose, in its order", () => {
    const { partitions } = ask([grow("x", 5, [2], [1])]);
    expect(partitions("x").map(({ replicas }) => replicas)).toEqual([[1], [2], [1], [2], [1]]);
  });

  test("only says what would happen when it is asked to", () => {
    const { recordCount, answer } = ask([grow("x", 5), grow("x2", 5)], { validateOnly: true });
    expect(recordCount).toBe(0);
    expect(answer.map(([name, error]) => [name, error])).toEqual([
      ["x", "NONE"],
      ["x2", "UNKNOWN_TOPIC_OR_PARTITION"],
    ]);
  });

  test.each<[string, GrowingTopic, string, string]>([
    ["the same count", grow("x", 3), "INVALID_PARTITIONS", "Topic already has 3 partition(s)."],
    [
      "fewer",
      grow("x", 2),
      "INVALID_PARTITIONS",
      "The topic x currently has 3 partition(s); 2 would not be an increase.",
    ],
    [
      "less than none",
      grow("x", -1),
      "INVALID_PARTITIONS",
      "The topic x currently has 3 partition(s); -1 would not be an increase.",
    ],
    [
      "assignments for others than the new ones",
      grow("x", 5, [1]),
      "INVALID_REPLICA_ASSIGNMENT",
      "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
    ],
    [
      "a broker that is not there",
      grow("x", 4, [7]),
      "INVALID_REPLICA_ASSIGNMENT",
      "The manual partition assignment includes broker 7, but no such broker is registered.",
    ],
    [
      "a broker twice",
      grow("y", 2, [1, 1]),
      "INVALID_REPLICA_ASSIGNMENT",
      "The manual partition assignment includes the broker 1 more than once.",
    ],
    [
      "another replication factor",
      grow("y", 2, [1]),
      "INVALID_REPLICA_ASSIGNMENT",
      "The manual partition assignment includes a partition with 1 replica(s), but this is not " +
        "consistent with previous partitions, which have 2 replica(s).",
    ],
    [
      "more than a request may make",
      grow("x", 2 ** 31 - 1),
      "POLICY_VIOLATION",
      "Excessively large number of partitions per request.",
    ],
  ])("%s is refused, and the other topics are grown", (_what, wanted, error, message) => {
    const other = wanted.name === "x" ? "y" : "x";
    const { answer, partitions, recordCount } = ask([wanted, grow(other, 4)]);
    expect(answer).toEqual([
      [wanted.name, error, message],
      [other, "NONE", null],
    ]);
    expect(partitions(other)).toHaveLength(4);
    expect(recordCount).toBe(other === "x" ? 1 : 3);
  });

  test("a topic that is named twice is not touched", () => {
    const { answer, recordCount } = ask([grow("x", 4), grow("y", 2), grow("x", 5)]);
    expect(answer).toEqual([
      ["y", "NONE", null],
      ["x", "INVALID_REQUEST", "Duplicate topic name."],
    ]);
    expect(recordCount).toBe(1);
  });

  test("topics share the bound on what a request may change", () => {
    const { answer } = ask([grow("x", 6003), grow("y", 6001)]);
    expect(answer.map(([name, error]) => [name, error])).toEqual([
      ["x", "NONE"],
      ["y", "POLICY_VIOLATION"],
    ]);
  });
});
