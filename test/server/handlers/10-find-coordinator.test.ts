import { expect, test } from "vitest";
import { errorName, KafkaError } from "../../../src/protocol/errors.ts";
import { coordinatorPartition } from "../../../src/server/coordinator/group-partition.ts";
import {
  findCoordinatorHandler,
  type FindCoordinatorDeps,
} from "../../../src/server/handlers/10-find-coordinator.ts";
import { GroupWorld } from "../coordinator/support/group-world.ts";
import { callBytes, versionsOf } from "../coordinator/support/handler-calls.ts";

function openHandler(overrides: Partial<FindCoordinatorDeps> = {}) {
  const world = new GroupWorld();
  world.partitionCount = null;
  const created: string[] = [];
  const handler = findCoordinatorHandler({
    coordinator: world.coordinator,
    ensureInternalTopic: (name) => {
      if (world.partitionCount === null) created.push(name);
      world.partitionCount = 50;
      return Promise.resolve();
    },
    leaderEndpoint: (topic, partitionIndex, listenerName) => ({
      nodeId: partitionIndex,
      host: `${listenerName}.${topic}`,
      port: 9092,
    }),
    ...overrides,
  });
  const call = async (version: number, keyType: number, ...keys: string[]) => {
    const response = await callBytes(handler, version, {
      key: version < 4 ? keys[0]! : "",
      keyType,
      coordinatorKeys: version < 4 ? [] : keys,
    });
    return version < 4 ? [{ key: keys[0]!, ...response }] : response.coordinators;
  };
  return { world, handler, call, created };
}

test("every version from 0 to 6 finds the leader of the group's partition", async () => {
  const { handler, call } = openHandler();
  expect(versionsOf(handler)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  for (const version of versionsOf(handler)) {
    expect(await call(version, 0, "group")).toMatchObject([
      {
        key: "group",
        errorCode: 0,
        nodeId: coordinatorPartition("group", 50),
        host: "PLAINTEXT.__consumer_offsets",
        port: 9092,
      },
    ]);
  }
});

test("the first group creates __consumer_offsets, once", async () => {
  const { call, created } = openHandler();
  await call(4, 0, "a");
  await call(4, 0, "b");
  expect(created).toEqual(["__consumer_offsets"]);
});

test("many keys are found in one request", async () => {
  const { call } = openHandler();
  const found = await call(4, 0, "a", "b", "c");
  expect(found.map(({ key, errorCode }) => [key, errorCode])).toEqual([
    ["a", 0],
    ["b", 0],
    ["c", 0],
  ]);
});

test("without a leader, or when the topic cannot be made, clients ask again", async () => {
  const noLeader = openHandler({ leaderEndpoint: () => null });
  const refused = openHandler({
    ensureInternalTopic: () =>
      Promise.reject(new KafkaError("INVALID_REPLICATION_FACTOR", "3 replicas, 1 broker")),
  });
  for (const { call } of [noLeader, refused]) {
    for (const version of [0, 3, 4, 6]) {
      const [found] = await call(version, 0, "group");
      expect(errorName(found!.errorCode)).toBe("COORDINATOR_NOT_AVAILABLE");
      expect(found!.nodeId).toBe(-1);
    }
  }
  const [found] = await refused.call(4, 0, "group");
  expect(found!.errorMessage).toBe("3 replicas, 1 broker");
});

test("a transactional id is refused for good, with a message that says why", async () => {
  const { call, created } = openHandler();
  for (const version of [0, 1, 3, 4, 6]) {
    const [found] = await call(version, version === 0 ? 0 : 1, "payments");
    if (version === 0) continue;
    expect(errorName(found!.errorCode)).toBe("TRANSACTIONAL_ID_AUTHORIZATION_FAILED");
    expect(new KafkaError(errorName(found!.errorCode)).retriable).toBe(false);
    expect(found!.errorMessage).toContain("Transactions are not supported");
  }
  expect(created).toEqual(["__consumer_offsets"]);
});

test("share groups and unknown key types are invalid requests", async () => {
  const { call } = openHandler();
  for (const keyType of [2, 9, -1]) {
    const [found] = await call(6, keyType, "group:topic:0");
    expect(errorName(found!.errorCode)).toBe("INVALID_REQUEST");
  }
});
