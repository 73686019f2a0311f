import { describe, expect, test } from "vitest";
import { errorCode, errorName } from "../../../src/protocol/errors.ts";
import type { ElectLeadersResponse } from "../../../src/protocol/messages/43-elect-leaders.ts";
import type { AlterPartitionReassignmentsResponse } from "../../../src/protocol/messages/45-alter-partition-reassignments.ts";
import type { UnregisterBrokerResponse } from "../../../src/protocol/messages/64-unregister-broker.ts";
import type { UpdateFeaturesResponse } from "../../../src/protocol/messages/57-update-features.ts";
import { createPartitionsHandler } from "../../../src/server/handlers/37-create-partitions.ts";
import { electLeadersHandler } from "../../../src/server/handlers/43-elect-leaders.ts";
import { alterPartitionReassignmentsHandler } from "../../../src/server/handlers/45-alter-partition-reassignments.ts";
import { listPartitionReassignmentsHandler } from "../../../src/server/handlers/46-list-partition-reassignments.ts";
import { unregisterBrokerHandler } from "../../../src/server/handlers/64-unregister-broker.ts";
import { updateFeaturesHandler } from "../../../src/server/handlers/57-update-features.ts";
import { type ItemError, itemError } from "../../../src/server/metadata/controller.ts";
import { clusterOf, topic, withTopics } from "../metadata/cluster-image.ts";
import { answering, deciding } from "../metadata/deciding.ts";
import { call, FakeContext } from "./support.ts";

test.each([0, 1, 2, 3])("CreatePartitions %i: passes on what the client wants", async (version) => {
  const results = [{ name: "x", errorCode: 37, errorMessage: "why" }];
  const metadata = answering({ throttleTimeMs: 0, results });
  const handler = createPartitionsHandler({ metadata });
  const topics = [{ name: "x", count: 5, assignments: [{ brokerIds: [1] }] }];
  const answer = await call(handler, new FakeContext(version), {
    topics,
    timeoutMs: 12,
    validateOnly: true,
  });
  expect(metadata.asked).toEqual([
    { request: { topics, validateOnly: true, timeoutMs: 12 }, timeoutMs: 12 },
  ]);
  expect(answer).toMatchObject({ results });
});

test.each([0, 1])(
  "reassignments %i: what the client wants comes to be, is told, and is called off",
  async (version) => {
    const image = withTopics(clusterOf(1, 2), topic("x", { replicationFactor: 1 }));
    const [before] = image.topicsByName.get("x")!.partitions;
    const replicas = [...before!.replicas, before!.replicas.includes(1) ? 2 : 1];
    const ask = async (partitions: { partitionIndex: number; replicas: number[] | null }[]) => {
      const metadata = deciding(image);
      const request = { timeoutMs: 77, topics: [{ name: "x", partitions }] };
      const handler = alterPartitionReassignmentsHandler({ metadata });
      const answer = await call(handler, new FakeContext(version), request);
      expect(metadata.asked).toMatchObject([{ timeoutMs: 77, request }]);
      return (answer as AlterPartitionReassignmentsResponse).responses[0]!.partitions;
    };
    expect(await ask([{ partitionIndex: 0, replicas }])).toMatchObject([{ errorCode: 0 }]);
    const [refused] = await ask([{ partitionIndex: 0, replicas: null }]);
    expect(errorName(refused!.errorCode)).toBe("NO_REASSIGNMENT_IN_PROGRESS");
    const metadata = deciding(image);
    const handler = listPartitionReassignmentsHandler({ metadata });
    const listed = await call(handler, new FakeContext(0), { timeoutMs: 78, topics: null });
    expect(listed).toMatchObject({ errorCode: 0, topics: [] });
    expect(metadata.asked).toMatchObject([{ timeoutMs: 78 }]);
  },
);

test.each([
  [2, "NONE"],
  [9, "BROKER_ID_NOT_REGISTERED"],
])("UnregisterBroker %i: %s", async (brokerId, error) => {
  const metadata = deciding(clusterOf(1, 2));
  const answer = await call(unregisterBrokerHandler({ metadata }), new FakeContext(0), {
    brokerId,
  });
  expect(errorName((answer as UnregisterBrokerResponse).errorCode)).toBe(error);
});

describe("ElectLeaders", () => {
  async function ask(version: number, electionType: number) {
    const handler = electLeadersHandler({
      metadata: deciding(withTopics(clusterOf(1), topic("x", { numPartitions: 2 }))),
    });
    const topicPartitions = [{ topic: "x", partitions: [0, 1] }];
    const request = { topicPartitions, timeoutMs: 1, electionType };
    const answer = await call(handler, new FakeContext(version), request);
    return answer as ElectLeadersResponse;
  }

  test.each([
    [0, 0],
    [1, 0],
    [2, 1],
  ])("%i: type %i is of Kafka", async (version, type) => {
    const { errorCode, replicaElectionResults } = await ask(version, type);
    expect(errorCode).toBe(0);
    const errors = replicaElectionResults[0]!.partitionResult.map((each) =>
      errorName(each.errorCode),
    );
    expect(errors).toEqual(["ELECTION_NOT_NEEDED", "ELECTION_NOT_NEEDED"]);
  });

  test("an unknown type is refused, with every partition of the request", async () => {
    const answer = await ask(2, 9);
    expect(errorName(answer.errorCode)).toBe("INVALID_REQUEST");
    expect(answer.replicaElectionResults[0]!.partitionResult).toEqual([
      { partitionId: 0, errorCode: 42, errorMessage: "Unknown election type 9" },
      { partitionId: 1, errorCode: 42, errorMessage: "Unknown election type 9" },
    ]);
  });
});

describe("UpdateFeatures", () => {
  async function ask(
    version: number,
    update: { readonly allowDowngrade?: boolean; readonly upgradeType?: number },
    error: ItemError | null = null,
  ) {
    const metadata = answering({
      throttleTimeMs: 0,
      errorCode: errorCode(error?.name ?? "NONE"),
      errorMessage: error?.message ?? null,
      results: [],
    });
    const handler = updateFeaturesHandler({ metadata });
    const answer = await call(handler, new FakeContext(version), {
      featureUpdates: [{ feature: "f", maxVersionLevel: 3, allowDowngrade: false, ...update }],
    });
    return { asked: metadata.asked, answer: answer as UpdateFeaturesResponse };
  }

  test.each([
    [0, { allowDowngrade: false }, 1],
    [0, { allowDowngrade: true }, 2],
    [1, { upgradeType: 1 }, 1],
    [2, { upgradeType: 3 }, 3],
    [2, { upgradeType: 0 }, 0],
  ])("%i: %j is type %i", async (version, update, upgradeType) => {
    const { asked } = await ask(version, update);
    const featureUpdates = [{ feature: "f", maxVersionLevel: 3, upgradeType }];
    expect(asked).toMatchObject([{ request: { featureUpdates } }]);
  });

  test.each([
    [1, [{ feature: "f", errorCode: 0, errorMessage: null }]],
    [2, []],
  ])("%i: what was done is told per feature before version 2", async (version, results) => {
    const { answer } = await ask(version, {});
    expect(answer).toMatchObject({ errorCode: 0, errorMessage: null, results });
  });

  test.each([0, 1, 2])("%i: a refusal is of the whole request", async (version) => {
    const { answer } = await ask(version, {}, itemError("INVALID_UPDATE_VERSION", "because"));
    expect(errorName(answer.errorCode)).toBe("INVALID_UPDATE_VERSION");
    expect(answer.errorMessage).toBe(
      "The update failed for all features since the following feature had an error: because",
    );
    expect(answer.results).toEqual([]);
  });
});
