import { describe, expect, test } from "vitest";
import { errorName } from "../../../src/protocol/errors.ts";
import { type CreatableTopic, createTopics } from "../../../src/server/metadata/create-topics.ts";
import { TopicConfigs } from "../../../src/server/metadata/topic-configs.ts";
import { clusterOf, decoded, DEFAULTS, topic, uuid, withTopics } from "./cluster-image.ts";

const IMAGE = withTopics(clusterOf(1), topic("plain"), topic("a.b"));

function create(
  topics: readonly CreatableTopic[],
  options: { validateOnly?: boolean; image?: typeof IMAGE } = {},
) {
  const topicIds = topics.map(() => uuid());
  const { image = IMAGE, validateOnly = false } = options;
  return { topicIds, ...createTopics(image, { topics, topicIds, validateOnly }, DEFAULTS) };
}

const configs = (values: Record<string, string | null>) =>
  Object.entries(values).map(([name, value]) => ({ name, value }));

const manual = (...brokerIds: number[][]) =>
  brokerIds.map((ids, partitionIndex) => ({ partitionIndex, brokerIds: ids }));

// Names, codes and words as a Kafka 4.3.1 node gave them to its own Admin client, but for two notes.
const REFUSALS: [string, CreatableTopic, string, string][] = [
  ["an existing topic", topic("plain"), "TOPIC_ALREADY_EXISTS", "Topic 'plain' already exists."],
  [
    "the metadata log's name",
    topic("__cluster_metadata"),
    "INVALID_REQUEST",
    "Creation of internal topic __cluster_metadata is prohibited.",
  ],
  [
    "an empty name",
    topic(""),
    "INVALID_TOPIC_EXCEPTION",
    "Topic name is invalid: the empty string is not allowed",
  ],
  ["a dot", topic("."), "INVALID_TOPIC_EXCEPTION", "Topic name is invalid: '.' is not allowed"],
  [
    "two dots",
    topic(".."),
    "INVALID_TOPIC_EXCEPTION",
    "Topic name is invalid: '..' is not allowed",
  ],
  [
    "a blank",
    topic("a b"),
    "INVALID_TOPIC_EXCEPTION",
    "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
  ],
  [
    "a name that is too long",
    topic("x".repeat(250)),
    "INVALID_TOPIC_EXCEPTION",
    `Topic name is invalid: the length of '${"x".repeat(250)}' is longer than the max allowed length 249`,
  ],
  [
    "a name that meets another in metrics",
    topic("a_b"),
    "INVALID_TOPIC_EXCEPTION",
    "Topic 'a_b' collides with existing topic: a.b",
  ],
  [
    "no partitions",
    topic("x", { numPartitions: 0, replicationFactor: 1 }),
    "INVALID_PARTITIONS",
    "Number of partitions was set to an invalid non-positive value.",
  ],
  [
    "too many partitions",
    topic("x", { numPartitions: 20_000, replicationFactor: 1 }),
    "POLICY_VIOLATION",
    "Excessively large number of partitions per request.",
  ],
  [
    "no replicas",
    topic("x", { numPartitions: 1, replicationFactor: 0 }),
    "INVALID_REPLICATION_FACTOR",
    "Replication factor must be larger than 0, or -1 to use the default value.",
  ],
  [
    // Kafka 4.3 goes on "... or some brokers have all their log directories cordoned."
    "more replicas than brokers",
    topic("x", { numPartitions: 1, replicationFactor: 3 }),
    "INVALID_REPLICATION_FACTOR",
    "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
  ],
  [
    "a setting that does not exist",
    topic("x", { configs: configs({ "segment.bytes": "abc", foo: "1" }) }),
    "INVALID_CONFIG",
    "Unknown topic config name: foo",
  ],
  [
    "a null setting",
    topic("x", { configs: configs({ "segment.bytes": null }) }),
    "INVALID_CONFIG",
    "Null value not supported for topic configs: segment.bytes",
  ],
  [
    "a gap in the assignment",
    topic("x", {
      assignments: [
        { partitionIndex: 0, brokerIds: [1] },
        { partitionIndex: 2, brokerIds: [1] },
      ],
    }),
    "INVALID_REPLICA_ASSIGNMENT",
    "partitions should be a consecutive 0-based integer sequence",
  ],
  [
    "an unknown broker",
    topic("x", { assignments: manual([9]) }),
    "INVALID_REPLICA_ASSIGNMENT",
    "The manual partition assignment includes broker 9, but no such broker is registered.",
  ],
  [
    "a broker twice",
    topic("x", { assignments: manual([1, 1]) }),
    "INVALID_REPLICA_ASSIGNMENT",
    "The manual partition assignment includes the broker 1 more than once.",
  ],
  [
    "an empty replica list",
    topic("x", { assignments: manual([]) }),
    "INVALID_REPLICA_ASSIGNMENT",
    "The manual partition assignment includes an empty replica list.",
  ],
  [
    "a partition twice",
    topic("x", {
      assignments: [
        { partitionIndex: 0, brokerIds: [1] },
        { partitionIndex: 0, brokerIds: [1] },
      ],
    }),
    "INVALID_REPLICA_ASSIGNMENT",
    "Found multiple manual partition assignments for partition 0",
  ],
  [
    "an assignment and a count",
    topic("x", { numPartitions: 1, assignments: manual([1]) }),
    "INVALID_REQUEST",
    "A manual partition assignment was specified, but numPartitions was not set to -1.",
  ],
  [
    "an assignment and a factor",
    topic("x", { replicationFactor: 1, assignments: manual([1]) }),
    "INVALID_REQUEST",
    "A manual partition assignment was specified, but replication factor was not set to -1.",
  ],
];

describe("CreateTopics refuses, in Kafka's words,", () => {
  test.each(REFUSALS)("%s", (_what, wanted, error, message) => {
    const { records, answer } = create([wanted]);
    expect(records).toEqual([]);
    expect(answer).toHaveLength(1);
    expect(errorName(answer[0]!.errorCode)).toBe(error);
    expect(answer[0]!.errorMessage).toBe(message);
  });

  test("replica lists of different lengths", () => {
    const { answer } = create([topic("x", { assignments: manual([1], [1, 2]) })], {
      image: clusterOf(1, 2),
    });
    expect(answer[0]!.errorMessage).toBe(
      "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with previous partitions, which have 1 replica(s).",
    );
  });

  test("both of two names that are the same, and no other topic for it", () => {
    const { answer, records } = create([topic("x"), topic("y"), topic("x")]);
    expect(answer.map(({ name, errorMessage }) => [name, errorMessage])).toEqual([
      ["y", null],
      ["x", "Duplicate topic name."],
    ]);
    expect(decoded(records).map(({ kind }) => kind)).toEqual(["topic", "partition"]);
  });

  test("two names of one request that meet in metrics", () => {
    const { answer } = create([topic("c.d"), topic("c_d")]);
    expect(answer.map(({ errorCode }) => errorName(errorCode))).toEqual([
      "NONE",
      "INVALID_TOPIC_EXCEPTION",
    ]);
  });

  test("a whole request that would change too much", () => {
    const topics = ["x", "y"].map((name) => topic(name, { numPartitions: 6_000 }));
    const { answer, records } = create(topics);
    expect(records).toEqual([]);
    expect(answer.map(({ errorCode }) => errorName(errorCode))).toEqual([
      "POLICY_VIOLATION",
      "POLICY_VIOLATION",
    ]);
  });
});

describe("CreateTopics", () => {
  test("writes the topic, its settings, then its partitions, led by an active replica", () => {
    const wanted = topic("x", {
      numPartitions: 2,
      configs: configs({ "segment.bytes": " 1048577 " }),
    });
    const { records, topicIds } = create([wanted]);
    const [topicId] = topicIds;
    const partition = {
      topicId,
      replicas: [1],
      isr: [1],
      leader: 1,
      leaderEpoch: 0,
      partitionEpoch: 0,
      directories: IMAGE.brokers.get(1)!.logDirs,
    };
    expect(decoded(records)).toMatchObject([
      { kind: "topic", record: { name: "x", topicId } },
      { kind: "config", record: { resourceType: 2, resourceName: "x", value: " 1048577 " } },
      { kind: "partition", record: { partitionId: 0, ...partition } },
      { kind: "partition", record: { partitionId: 1, ...partition } },
    ]);
  });

  test("tells what was made: id, counts, and every setting with its source", () => {
    const { answer, topicIds } = create([
      topic("x", { configs: configs({ "retention.ms": "5" }) }),
    ]);
    expect(answer[0]).toMatchObject({
      topicId: topicIds[0],
      errorMessage: null,
      numPartitions: 1,
      replicationFactor: 1,
      topicConfigErrorCode: 0,
    });
    const entries = answer[0]!.configs!;
    const names = entries.map(({ name }) => name);
    expect(names).toEqual([...names].sort());
    expect(entries).toHaveLength(33);
    const plain = { readOnly: false, isSensitive: false };
    expect(entries).toContainEqual({ ...plain, name: "retention.ms", value: "5", configSource: 1 });
    expect(entries).toContainEqual({
      ...plain,
      name: "segment.bytes",
      value: "1073741824",
      configSource: 5,
    });
  });

  test("with validateOnly answers as if, with an id that nobody gets, and changes nothing", () => {
    const wanted = topic("x", { numPartitions: 7 });
    const { answer, records, topicIds } = create([wanted], { validateOnly: true });
    expect(records).toEqual([]);
    expect(answer[0]).toMatchObject({ errorCode: 0, numPartitions: 7, topicId: topicIds[0] });
  });

  test("spreads leaders and replicas over the active brokers", () => {
    const { records } = create([topic("x", { numPartitions: 6, replicationFactor: 2 })], {
      image: clusterOf(1, 2, 3),
    });
    const partitions = decoded(records).flatMap(({ kind, record }) =>
      kind === "partition" ? record : [],
    );
    expect(partitions.map(({ leader }) => leader).toSorted()).toEqual([1, 1, 2, 2, 3, 3]);
    expect(partitions.flatMap(({ replicas }) => replicas).toSorted()).toEqual([
      ...[1, 1, 1, 1],
      ...[2, 2, 2, 2],
      ...[3, 3, 3, 3],
    ]);
  });

  test("takes the broker's own defaults", () => {
    const topicConfigs = new TopicConfigs((key) =>
      key === "log.segment.bytes" ? "2097152" : null,
    );
    const { answer } = createTopics(
      clusterOf(1, 2),
      { topics: [topic("x")], topicIds: [uuid()], validateOnly: false },
      { numPartitions: 4, replicationFactor: 2, topicConfigs },
    );
    expect(answer[0]).toMatchObject({ numPartitions: 4, replicationFactor: 2 });
    expect(answer[0]!.configs).toContainEqual(
      expect.objectContaining({ name: "segment.bytes", value: "2097152", configSource: 4 }),
    );
  });
});
