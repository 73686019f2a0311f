import { describe, expect, test } from "vitest";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import type {
  MetadataRequest,
  MetadataResponse,
} from "../../../src/protocol/messages/03-metadata.ts";
import { metadataHandler } from "../../../src/server/handlers/03-metadata.ts";
import {
  type ItemError,
  itemError,
  metadataRecord,
} from "../../../src/server/metadata/controller.ts";
import type { MetadataImage } from "../../../src/server/metadata/image.ts";
import { apply, clusterOf, topic, uuid, withTopics } from "../metadata/cluster-image.ts";
import { call, FakeContext } from "./support.ts";

const VERSIONS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
const NOT_ASKED = -(2 ** 31);

const IMAGE = withTopics(
  clusterOf(1, 2),
  topic("b", {
    assignments: [
      { partitionIndex: 0, brokerIds: [1, 2] },
      { partitionIndex: 1, brokerIds: [2, 1] },
    ],
  }),
  topic("a", { assignments: [{ partitionIndex: 0, brokerIds: [1] }] }),
  topic("__consumer_offsets"),
);
const idOf = (name: string) => IMAGE.topicsByName.get(name)!.topicId;

interface Options {
  readonly image?: MetadataImage;
  readonly listenerName?: string;
  readonly isAutoCreationEnabled?: boolean;
  /** What ensureTopics answers; a name without an error is made. */
  readonly creationErrors?: ReadonlyMap<string, ItemError>;
}

async function ask(version: number, request: Partial<MetadataRequest>, options: Options = {}) {
  let image = options.image ?? IMAGE;
  const ensured: string[] = [];
  const handler = metadataHandler({
    metadata: {
      get image() {
        return image;
      },
      ensureTopics: (names) => {
        ensured.push(...names);
        const errors = options.creationErrors ?? new Map<string, ItemError>();
        image = withTopics(
          image,
          ...names.filter((name) => !errors.has(name)).map((n) => topic(n)),
        );
        return Promise.resolve(errors);
      },
    },
    clusterId: "cluster",
    nodeId: 1,
    isAutoCreationEnabled: options.isAutoCreationEnabled ?? true,
  });
  const listenerName = options.listenerName ?? "PLAINTEXT";
  const context = Object.assign(new FakeContext(version), { listenerName });
  const answer = await call(handler, context, {
    topics: [],
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
    ...request,
  });
  return { answer: answer as MetadataResponse, ensured };
}

const named = (...names: (string | null)[]) => names.map((name) => ({ name, topicId: ZERO_UUID }));
const outcome = ({ topics }: MetadataResponse) =>
  topics.map(({ name, errorCode }) => [name, errorName(errorCode)]);

describe("Metadata", () => {
  test.each(VERSIONS)("%i: all topics by name, each partition with its leader", async (version) => {
    const { answer } = await ask(version, { topics: version === 0 ? [] : null });
    expect(answer.topics.map(({ name }) => name)).toEqual(["__consumer_offsets", "a", "b"]);
    const b = answer.topics[2]!;
    expect(b.partitions).toMatchObject([
      { errorCode: 0, partitionIndex: 0, leaderId: 1, replicaNodes: [1, 2], isrNodes: [1, 2] },
      { errorCode: 0, partitionIndex: 1, leaderId: 2, replicaNodes: [2, 1], isrNodes: [2, 1] },
    ]);
    expect(answer.topics.map(({ isInternal }) => isInternal)).toEqual(
      version >= 1 ? [true, false, false] : [false, false, false],
    );
    expect(b.topicId).toBe(version >= 10 ? idOf("b") : ZERO_UUID);
    expect(b.partitions[0]!.leaderEpoch).toBe(version >= 7 ? 0 : -1);
    expect(answer.clusterId).toBe(version >= 2 ? "cluster" : null);
    expect(answer.controllerId).toBe(version >= 1 ? 1 : -1);
    expect(answer.brokers.map(({ nodeId, host }) => [nodeId, host])).toEqual([
      [1, "host1"],
      [2, "host2"],
    ]);
  });

  test.each(VERSIONS.slice(1))("%i: no topics are none", async (version) => {
    const { answer } = await ask(version, { topics: [] });
    expect(answer.topics).toEqual([]);
    expect(answer.brokers).toHaveLength(2);
  });

  test.each(VERSIONS)("%i: topics by name, in the request's order, each once", async (version) => {
    const { answer } = await ask(version, { topics: named("b", "a", "b") });
    expect(outcome(answer)).toEqual([
      ["b", "NONE"],
      ["a", "NONE"],
    ]);
  });

  test("clients are sent where they can go: the addresses of the listener that they came by", async () => {
    const { answer } = await ask(9, { topics: named("a") }, { listenerName: "OUTSIDE" });
    expect(answer.brokers).toMatchObject([
      { nodeId: 1, host: "example.com", port: 19091 },
      { nodeId: 2, host: "example.com", port: 19092 },
    ]);
  });
});

describe("Metadata by id", () => {
  test.each([12, 13])("%i: finds a topic, and says so of an unknown id", async (version) => {
    const unknown = uuid();
    const { answer, ensured } = await ask(version, {
      topics: [
        { name: null, topicId: idOf("b") },
        { name: null, topicId: unknown },
        { name: null, topicId: ZERO_UUID },
      ],
    });
    expect(
      answer.topics.map(({ name, topicId, errorCode }) => [name, topicId, errorName(errorCode)]),
    ).toEqual([
      ["b", idOf("b"), "NONE"],
      [null, unknown, "UNKNOWN_TOPIC_ID"],
      [null, ZERO_UUID, "INVALID_REQUEST"],
    ]);
    expect(ensured).toEqual([]);
  });

  test.each([10, 11])("%i: ignores the id", async (version) => {
    const { answer } = await ask(version, {
      topics: [
        { name: "a", topicId: idOf("b") },
        { name: null, topicId: idOf("b") },
      ],
    });
    expect(outcome(answer)).toEqual([
      ["a", "NONE"],
      ["", "INVALID_REQUEST"],
    ]);
  });
});

describe("a topic that is missing", () => {
  test.each(VERSIONS)("%i: is made, and led when the answer comes", async (version) => {
    const { answer, ensured } = await ask(version, { topics: named("a", "new") });
    expect(ensured).toEqual(["new"]);
    expect(outcome(answer)).toEqual([
      ["a", "NONE"],
      ["new", "NONE"],
    ]);
    expect(answer.topics[1]!.partitions).toMatchObject([{ errorCode: 0, partitionIndex: 0 }]);
    expect([1, 2]).toContain(answer.topics[1]!.partitions[0]!.leaderId);
  });

  test.each<[string, Partial<MetadataRequest>, Options]>([
    ["the client forbids it", { allowAutoTopicCreation: false }, {}],
    ["the broker forbids it", {}, { isAutoCreationEnabled: false }],
  ])("is not made when %s", async (_why, request, options) => {
    const { answer, ensured } = await ask(9, { topics: named("new"), ...request }, options);
    expect(ensured).toEqual([]);
    expect(outcome(answer)).toEqual([["new", "UNKNOWN_TOPIC_OR_PARTITION"]]);
  });

  test("is not made by a name that no topic may have, nor when it is internal and unused", async () => {
    const { answer, ensured } = await ask(9, { topics: named("a b", "", "__transaction_state") });
    expect(ensured).toEqual([]);
    expect(outcome(answer)).toEqual([
      ["a b", "INVALID_TOPIC_EXCEPTION"],
      ["", "INVALID_TOPIC_EXCEPTION"],
      ["__transaction_state", "UNKNOWN_TOPIC_OR_PARTITION"],
    ]);
  });

  test("that cannot be made is answered with why; one that takes long is to be asked for again", async () => {
    const { answer } = await ask(
      9,
      { topics: named("x", "y") },
      {
        creationErrors: new Map([
          ["x", itemError("INVALID_REPLICATION_FACTOR")],
          ["y", itemError("REQUEST_TIMED_OUT")],
        ]),
      },
    );
    expect(outcome(answer)).toEqual([
      ["x", "INVALID_REPLICATION_FACTOR"],
      ["y", "LEADER_NOT_AVAILABLE"],
    ]);
  });
});

describe("what is not available", () => {
  const { brokerEpoch } = IMAGE.brokers.get(2)!;
  const fenced = apply(IMAGE, [
    metadataRecord("fenceBroker", { id: 2, epoch: brokerEpoch }),
    metadataRecord("partitionChange", { partitionId: 1, topicId: idOf("b"), leader: -1 }),
  ]);

  test("a partition without a leader says so, and a fenced broker is not named", async () => {
    const { answer } = await ask(9, { topics: named("b") }, { image: fenced });
    expect(answer.brokers.map(({ nodeId }) => nodeId)).toEqual([1]);
    expect(answer.topics[0]!.partitions).toMatchObject([
      { errorCode: 0, leaderId: 1, offlineReplicas: [2] },
      { leaderId: -1, leaderEpoch: 1, offlineReplicas: [2] },
    ]);
    expect(errorName(answer.topics[0]!.partitions[1]!.errorCode)).toBe("LEADER_NOT_AVAILABLE");
  });

  test.each([
    [5, "LEADER_NOT_AVAILABLE"],
    [6, "LISTENER_NOT_FOUND"],
  ])("%i: a leader without the client's listener is %s", async (version, error) => {
    const { answer } = await ask(version, { topics: named("a") }, { listenerName: "OTHER" });
    expect(answer.brokers).toEqual([]);
    expect(errorName(answer.topics[0]!.partitions[0]!.errorCode)).toBe(error);
  });
});

describe("authorized operations", () => {
  test.each([8, 9, 10])(
    "%i: are told when asked for, as Kafka does without an authorizer",
    async (v) => {
      const asked = await ask(v, {
        topics: named("a"),
        includeClusterAuthorizedOperations: true,
        includeTopicAuthorizedOperations: true,
      });
      expect(asked.answer.clusterAuthorizedOperations).toBe(8096);
      expect(asked.answer.topics[0]!.topicAuthorizedOperations).toBe(3576);
      const plain = await ask(v, { topics: named("a") });
      expect(plain.answer.clusterAuthorizedOperations).toBe(NOT_ASKED);
      expect(plain.answer.topics[0]!.topicAuthorizedOperations).toBe(NOT_ASKED);
    },
  );

  test("13: only the topic's are left", async () => {
    const { answer } = await ask(13, { topics: null, includeTopicAuthorizedOperations: true });
    expect(answer.topics.map((each) => each.topicAuthorizedOperations)).toEqual([3576, 3576, 3576]);
  });
});
