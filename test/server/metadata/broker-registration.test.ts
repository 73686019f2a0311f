import { describe, expect, test } from "vitest";
import { assignReplicasToDirs } from "../../../src/server/metadata/assign-replicas.ts";
import { unfenceBroker } from "../../../src/server/metadata/broker-fencing.ts";
import {
  bootstrapCluster,
  fenceReplicas,
  registerBroker,
  type RegisterBrokerCommand,
} from "../../../src/server/metadata/broker-registration.ts";
import {
  EMPTY_IMAGE,
  type MetadataImage,
  NO_LEADER,
  UNASSIGNED_DIRECTORY,
} from "../../../src/server/metadata/image.ts";
import {
  apply,
  clusterOf,
  decide,
  decoded,
  DEFAULTS,
  registration,
  topic,
  uuid,
  withTopics,
} from "./cluster-image.ts";

const { topicConfigs } = DEFAULTS;

const partitionOf = (image: MetadataImage, name = "x", index = 0) =>
  image.topicsByName.get(name)!.partitions[index]!;

/** A topic whose first replica is on broker 1. */
const ON_BOTH = topic("x", { assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }] });

/** The broker comes back as a new process, on its old directories unless told otherwise. */
function restart(
  image: MetadataImage,
  over: Partial<RegisterBrokerCommand> & { brokerId: number },
) {
  const { logDirs } = image.brokers.get(over.brokerId)!;
  const command = registration(over.brokerId, { logDirs, ...over });
  const registered = registerBroker(image, command, image.offset + 1);
  const { isClean } = registered.answer;
  const { brokerId } = command;
  const { hasOfflineDirectories = false } = command;
  const fenced = decide(apply(image, registered.records), (current) =>
    fenceReplicas(current, { brokerId, isClean, hasOfflineDirectories }, topicConfigs),
  );
  return {
    isClean,
    /** Between registration and unfencing. */
    fenced,
    unfenced: decide(fenced, (current) => unfenceBroker(current, brokerId, topicConfigs)),
  };
}

describe("a new cluster", () => {
  test("begins with Kafka's levels, once, and without those that are not served", () => {
    const image = decide(EMPTY_IMAGE, bootstrapCluster);
    expect([...image.features]).toEqual([
      ["metadata.version", 30],
      ["eligible.leader.replicas.version", 1],
    ]);
    expect(bootstrapCluster(image).records).toEqual([]);
  });
});

describe("a registration", () => {
  test("K16: has the offset of its own record as its epoch, fenced, with a new incarnation", () => {
    const first = clusterOf(1);
    const second = apply(first, registerBroker(first, registration(1), first.offset + 1).records);
    const broker = second.brokers.get(1)!;
    expect(broker.brokerEpoch).toBe(first.offset + 1);
    expect(broker.isFenced).toBe(true);
    expect(broker.incarnationId).not.toBe(first.brokers.get(1)!.incarnationId);
  });

  test("R5: is clean only with the registered epoch; the very first one is", () => {
    const image = clusterOf(1);
    const { brokerEpoch } = image.brokers.get(1)!;
    const isClean = (previousBrokerEpoch: number | null, known = image) =>
      registerBroker(known, registration(1, { previousBrokerEpoch }), known.offset + 1).answer
        .isClean;
    expect(isClean(brokerEpoch)).toBe(true);
    expect(isClean(brokerEpoch - 1)).toBe(false);
    expect(isClean(null)).toBe(false);
    expect(isClean(null, EMPTY_IMAGE)).toBe(true);
  });
});

describe("R5: after an unclean shutdown", () => {
  test("a sole replica leads again, in a new leader epoch, by way of LastKnownElr", () => {
    const before = withTopics(clusterOf(1), topic("x", { numPartitions: 2 }));
    const { fenced, unfenced } = restart(before, { brokerId: 1 });
    for (const index of [0, 1]) {
      expect(partitionOf(fenced, "x", index)).toMatchObject({
        leader: NO_LEADER,
        isr: [],
        lastKnownElr: [1],
        leaderEpoch: 1,
      });
      expect(partitionOf(unfenced, "x", index)).toMatchObject({
        leader: 1,
        isr: [1],
        lastKnownElr: [],
        leaderEpoch: 2,
        partitionEpoch: 2,
      });
    }
  });

  test("it is unfenced last: no record before makes it a leader", () => {
    const before = withTopics(clusterOf(1), topic("x"));
    const { fenced } = restart(before, { brokerId: 1 });
    expect(fenced.brokers.get(1)!.isFenced).toBe(true);
    const kinds = decoded(unfenceBroker(fenced, 1, topicConfigs).records).map(({ kind }) => kind);
    expect(kinds).toEqual(["brokerRegistrationChange", "partitionChange"]);
  });

  test("another member of the ISR takes over, and the returned one is no member", () => {
    const before = withTopics(clusterOf(1, 2), ON_BOTH);
    expect(partitionOf(before)).toMatchObject({ leader: 1, isr: [1, 2] });
    const { unfenced } = restart(before, { brokerId: 1 });
    expect(partitionOf(unfenced)).toMatchObject({
      leader: 2,
      isr: [2],
      lastKnownElr: [1],
      leaderEpoch: 1,
    });
  });

  test("a follower's return raises the leader epoch, too", () => {
    const before = withTopics(clusterOf(1, 2), ON_BOTH);
    const { unfenced } = restart(before, { brokerId: 2 });
    expect(partitionOf(unfenced)).toMatchObject({
      leader: 1,
      isr: [1],
      lastKnownElr: [2],
      leaderEpoch: 1,
    });
  });

  test("R11: one of several last known replicas does not lead before the others are heard", () => {
    const before = withTopics(clusterOf(1, 2), ON_BOTH);
    const first = restart(before, { brokerId: 1 }).fenced;
    const both = restart(first, { brokerId: 2 }).unfenced;
    expect(partitionOf(both)).toMatchObject({ leader: NO_LEADER, isr: [], lastKnownElr: [1, 2] });
  });

  test("a crash between the steps is an unclean start again, with the same end", () => {
    const before = withTopics(clusterOf(1), topic("x"));
    const { fenced } = restart(before, { brokerId: 1 });
    const { unfenced } = restart(fenced, { brokerId: 1 });
    expect(partitionOf(unfenced)).toMatchObject({ leader: 1, isr: [1], lastKnownElr: [] });
    expect(partitionOf(unfenced).leaderEpoch).toBeGreaterThan(partitionOf(fenced).leaderEpoch);
  });
});

test("R5: after a clean shutdown the partitions stay as they were, epoch included", () => {
  const before = withTopics(clusterOf(1), topic("x"));
  const { brokerEpoch } = before.brokers.get(1)!;
  const { isClean, unfenced } = restart(before, { brokerId: 1, previousBrokerEpoch: brokerEpoch });
  expect(isClean).toBe(true);
  expect(partitionOf(unfenced)).toEqual(partitionOf(before));
  expect(unfenced.brokers.get(1)!.isFenced).toBe(false);
});

describe("R5, E12: a replica whose directory is gone", () => {
  test.each([true, false])("never leads, not even as the last member (clean: %s)", (isClean) => {
    const before = withTopics(clusterOf(1), topic("x"));
    const { brokerEpoch } = before.brokers.get(1)!;
    const { unfenced } = restart(before, {
      brokerId: 1,
      logDirs: [uuid()],
      previousBrokerEpoch: isClean ? brokerEpoch : null,
    });
    const offline = { leader: NO_LEADER, isr: [], eligibleLeaderReplicas: [], lastKnownElr: [] };
    expect(partitionOf(unfenced)).toMatchObject({ ...offline, leaderEpoch: 1 });
    // Nor at the start after that.
    expect(partitionOf(restart(unfenced, { brokerId: 1 }).unfenced)).toMatchObject(offline);
  });

  test.each([true, false])(
    "may be offline only, and is led where nobody else has it (clean: %s)",
    (isClean) => {
      const image = withTopics(clusterOf(1), topic("x"));
      const previousBrokerEpoch = isClean ? image.brokers.get(1)!.brokerEpoch : null;
      const others = { logDirs: [uuid()], previousBrokerEpoch };
      const back = restart(image, { brokerId: 1, hasOfflineDirectories: true, ...others });
      expect(partitionOf(back.unfenced).leader).toBe(1);
      const gone = restart(back.unfenced, { brokerId: 1, logDirs: others.logDirs });
      expect(partitionOf(gone.unfenced).leader).toBe(NO_LEADER);
    },
  );

  test("is named, so that somebody can be told", () => {
    const before = withTopics(clusterOf(1), topic("x", { numPartitions: 2 }));
    const command = registration(1, { logDirs: [uuid()] });
    const image = apply(before, registerBroker(before, command, before.offset + 1).records);
    const { answer } = fenceReplicas(image, { brokerId: 1, isClean: true }, topicConfigs);
    expect(answer.lostReplicas).toEqual(["x-0", "x-1"]);
  });

  test("does not hinder those in other directories", () => {
    const [left, right] = [uuid(), uuid()];
    const image = decide(
      EMPTY_IMAGE,
      (current) => registerBroker(current, registration(1, { logDirs: [left, right] }), 0),
      (current) => unfenceBroker(current, 1, topicConfigs),
    );
    const created = withTopics(image, topic("x", { numPartitions: 2 }));
    expect(partitionOf(created).directories).toEqual([UNASSIGNED_DIRECTORY]);
    const { topicId } = created.topicsByName.get("x")!;
    const assigned = decide(created, (current) =>
      assignReplicasToDirs(
        current,
        {
          brokerId: 1,
          brokerEpoch: current.brokers.get(1)!.brokerEpoch,
          directories: [left, right].map((id, partitionIndex) => ({
            id,
            topics: [{ topicId, partitions: [{ partitionIndex }] }],
          })),
        },
        topicConfigs,
      ),
    );
    expect(partitionOf(assigned)).toMatchObject({ directories: [left], leader: 1, leaderEpoch: 0 });
    const { unfenced } = restart(assigned, { brokerId: 1, logDirs: [uuid(), right] });
    expect(partitionOf(unfenced, "x", 0).leader).toBe(NO_LEADER);
    expect(partitionOf(unfenced, "x", 1).leader).toBe(1);
  });
});
