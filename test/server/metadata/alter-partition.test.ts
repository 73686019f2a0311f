import { describe, expect, test } from "vitest";
import { errorName, KafkaError } from "../../../src/protocol/errors.ts";
import { alterPartition } from "../../../src/server/metadata/alter-partition.ts";
import { assignReplicasToDirs } from "../../../src/server/metadata/assign-replicas.ts";
import { fenceBroker } from "../../../src/server/metadata/broker-fencing.ts";
import { registerBroker } from "../../../src/server/metadata/broker-registration.ts";
import { metadataRecord } from "../../../src/server/metadata/controller.ts";
import type { MetadataImage, PartitionImage } from "../../../src/server/metadata/image.ts";
import {
  alterPartitionReassignments,
  listPartitionReassignments,
} from "../../../src/server/metadata/partition-reassignments.ts";
import {
  apply,
  clusterOf,
  DEFAULTS,
  registration,
  topic,
  uuid,
  withTopics,
} from "./cluster-image.ts";

const { topicConfigs } = DEFAULTS;
const IMAGE = withTopics(
  clusterOf(1, 2, 3, 4),
  topic("x", {
    assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }],
    configs: [{ name: "min.insync.replicas", value: "2" }],
  }),
);
const { topicId } = IMAGE.topicsByName.get("x")!;
const partitionOf = (image: MetadataImage) => image.topicsById.get(topicId)!.partitions[0]!;
const epochOf = (image: MetadataImage, brokerId: number) =>
  image.brokers.get(brokerId)?.brokerEpoch ?? -1;

function changed(fields: Partial<PartitionImage>, image = IMAGE): MetadataImage {
  return apply(image, [metadataRecord("partitionChange", { topicId, partitionId: 0, ...fields })]);
}

interface Over {
  readonly brokerId?: number;
  readonly epochs?: ReadonlyMap<number, number>;
  readonly leaderEpoch?: number;
  readonly partitionEpoch?: number;
  readonly leaderRecoveryState?: number;
  readonly topicId?: typeof topicId;
  readonly partitionIndex?: number;
}

/** The leader asks for the ISR, knowing what the image says unless told otherwise. */
function ask(image: MetadataImage, isr: readonly number[], over: Over = {}) {
  const { leader, leaderEpoch, partitionEpoch } = partitionOf(image);
  const { brokerId = leader, epochs, topicId: id = topicId, partitionIndex = 0, ...fields } = over;
  const { records, answer } = alterPartition(
    image,
    {
      brokerId,
      brokerEpoch: epochOf(image, brokerId),
      topics: [
        {
          topicId: id,
          partitions: [
            {
              ...{
                partitionIndex,
                leaderEpoch,
                partitionEpoch,
                leaderRecoveryState: 0,
                newIsr: [],
              },
              ...fields,
              newIsrWithEpochs: isr.map((member) => ({
                brokerId: member,
                brokerEpoch: epochs?.get(member) ?? epochOf(image, member),
              })),
            },
          ],
        },
      ],
    },
    topicConfigs,
  );
  const result = answer[0]!.partitions[0]!;
  return {
    error: errorName(result.errorCode),
    result,
    records,
    partition: partitionOf(apply(image, records)),
  };
}

describe("AlterPartition", () => {
  test("takes the leader's ISR and answers with what holds now", () => {
    const { error, result, partition } = ask(IMAGE, [1, 2]);
    expect(error).toBe("NONE");
    expect(partition).toMatchObject({ isr: [1, 2], leader: 1, leaderEpoch: 0, partitionEpoch: 1 });
    expect(result).toMatchObject({
      ...{ leaderId: 1, leaderEpoch: 0, partitionEpoch: 1, isr: [1, 2] },
      leaderRecoveryState: 0,
    });
  });

  test("KIP-966: an ISR below min.insync.replicas leaves an ELR, a full one has none", () => {
    const image = changed({ isr: [1, 2] });
    const shrunk = ask(image, [1]).partition;
    expect(shrunk).toMatchObject({ isr: [1], eligibleLeaderReplicas: [2] });
    const again = changed({ isr: [1], eligibleLeaderReplicas: [2], lastKnownElr: [3] });
    expect(ask(again, [1, 2]).partition).toMatchObject({
      ...{ isr: [1, 2], eligibleLeaderReplicas: [], lastKnownElr: [] },
    });
  });

  test("R-13: of another state than the one that holds changes nothing", () => {
    const image = changed({ leader: 1, isr: [1, 2] });
    const stale: readonly (readonly [Over, string])[] = [
      [{ leaderEpoch: 0 }, "FENCED_LEADER_EPOCH"],
      [{ leaderEpoch: 2 }, "NOT_CONTROLLER"],
      [{ partitionEpoch: 0 }, "INVALID_UPDATE_VERSION"],
      [{ partitionEpoch: 2 }, "NOT_CONTROLLER"],
      [{ brokerId: 2 }, "INVALID_REQUEST"],
      [{ partitionIndex: 7 }, "UNKNOWN_TOPIC_OR_PARTITION"],
      [{ topicId: uuid() }, "UNKNOWN_TOPIC_ID"],
    ];
    for (const [over, expected] of stale) {
      expect(ask(image, [1], over)).toMatchObject({ error: expected, records: [] });
    }
  });

  test.each<[string, number[], Over]>([
    ["without the leader", [2, 3], {}],
    ["with who is no replica", [1, 4], {}],
    ["with a member twice", [1, 2, 2], {}],
    ["of nobody", [], {}],
    ["that is recovering, though the leader was not", [1], { leaderRecoveryState: 1 }],
    ["in a state that there is not", [1], { leaderRecoveryState: 7 }],
  ])("an ISR %s is refused", (_why, isr, over) => {
    expect(ask(IMAGE, isr, over)).toMatchObject({ error: "INVALID_REQUEST", records: [] });
  });

  test("R-12, KIP-903: a member is the incarnation that is registered, active, and has its directory", () => {
    const image = changed({ isr: [1] });
    const refused = (from: MetadataImage, over: Over = {}) =>
      expect(ask(from, [1, 2], over)).toMatchObject({ error: "INELIGIBLE_REPLICA", records: [] });
    refused(image, { epochs: new Map([[2, epochOf(image, 2) - 1]]) });
    refused(image, { epochs: new Map([[2, -1]]) });
    refused(apply(image, fenceBroker(image, 2, topicConfigs).records));
    refused(apply(image, registerBroker(image, registration(2), image.offset + 1).records));
    refused(
      changed({ directories: [...partitionOf(image).directories].fill(uuid(), 1, 2) }, image),
    );
    expect(ask(image, [1, 2]).error).toBe("NONE");
  });

  test("of a process that is not registered any more is refused as a whole", () => {
    const request = { brokerId: 1, brokerEpoch: 999, topics: [] };
    expect(() => alterPartition(IMAGE, request, topicConfigs)).toThrow(KafkaError);
  });

  test("after an unclean election one member settles what is committed before others join", () => {
    const recovering = changed({ leader: 2, isr: [2], leaderRecoveryState: 1 });
    expect(ask(recovering, [2, 1], { leaderRecoveryState: 1 }).error).toBe("INVALID_REQUEST");
    expect(ask(recovering, [2]).partition).toMatchObject({ leaderRecoveryState: 0, isr: [2] });
  });
});

function reassign(image: MetadataImage, replicas: readonly number[] | null, allow = true) {
  const { records, answer } = alterPartitionReassignments(
    image,
    {
      topics: [
        { name: "x", partitions: [{ partitionIndex: 0, replicas: replicas && [...replicas] }] },
      ],
      allowReplicationFactorChange: allow,
    },
    topicConfigs,
  );
  const { errorCode, errorMessage } = answer[0]!.partitions[0]!;
  const after = apply(image, records);
  return { error: errorName(errorCode), errorMessage, image: after, partition: partitionOf(after) };
}

describe("a reassignment", () => {
  test("R-20: adds first, and removes only when the ISR has all of the target set", () => {
    const { partition, image } = reassign(IMAGE, [2, 4]);
    expect(partition).toMatchObject({
      ...{ replicas: [2, 4, 1, 3], addingReplicas: [4], removingReplicas: [1, 3] },
      ...{ leader: 1, isr: [1, 2, 3], leaderEpoch: 0 },
    });
    expect(partition.directories[1]).toBe(image.brokers.get(4)!.logDirs[0]);
    const half = ask(image, [1, 2]);
    expect(half.partition.replicas).toEqual([2, 4, 1, 3]);
    const whole = ask(image, [1, 2, 3, 4]);
    expect(whole.error).toBe("NEW_LEADER_ELECTED");
    expect(whole.partition).toMatchObject({
      ...{ replicas: [2, 4], addingReplicas: [], removingReplicas: [], isr: [2, 4] },
      ...{ leader: 2, leaderEpoch: 1, eligibleLeaderReplicas: [] },
    });
    expect(whole.partition.directories).toHaveLength(2);
  });

  test("raises the leader epoch when it takes replicas away, though the leader stays", () => {
    const { image } = reassign(IMAGE, [1, 4]);
    const { partition, error } = ask(image, [1, 4]);
    expect(error).toBe("NONE");
    expect(partition).toMatchObject({ replicas: [1, 4], leader: 1, leaderEpoch: 1 });
  });

  test("that only puts replicas in another order is done at once", () => {
    expect(reassign(IMAGE, [3, 1, 2]).partition).toMatchObject({
      ...{ replicas: [3, 1, 2], addingReplicas: [], removingReplicas: [], leader: 1 },
    });
    const { directories } = reassign(IMAGE, [3, 1, 2]).partition;
    expect(directories).toEqual([3, 1, 2].map((id) => IMAGE.brokers.get(id)!.logDirs[0]));
  });

  test("that is changed on its way still waits for those that have not caught up", () => {
    const first = reassign(IMAGE, [1, 2, 4]).image;
    expect(reassign(first, [1, 4]).partition).toMatchObject({
      ...{ replicas: [1, 4, 2, 3], addingReplicas: [4], removingReplicas: [2, 3] },
    });
  });

  test("that is cancelled leaves what there was", () => {
    const { image } = reassign(IMAGE, [2, 4]);
    const { partition, error } = reassign(image, null);
    expect(error).toBe("NONE");
    expect(partition).toMatchObject({
      ...{ replicas: [2, 1, 3], addingReplicas: [], removingReplicas: [], isr: [1, 2, 3] },
      leader: 1,
    });
    expect(reassign(IMAGE, null).error).toBe("NO_REASSIGNMENT_IN_PROGRESS");
  });

  test("is not cancelled where only a new replica has everything", () => {
    const image = changed({ isr: [4], leader: 4 }, reassign(IMAGE, [4]).image);
    expect(reassign(image, null)).toMatchObject({
      error: "INVALID_REPLICA_ASSIGNMENT",
      errorMessage:
        "Unable to revert partition assignment for x:0 because it would require an unclean " +
        "leader election.",
    });
  });

  test.each<[number[], string, string]>([
    [[], "INVALID_REPLICA_ASSIGNMENT", "an empty replica list."],
    [[1, 1], "INVALID_REPLICA_ASSIGNMENT", "the broker 1 more than once."],
    [[9], "INVALID_REPLICA_ASSIGNMENT", "broker 9, but no such broker is registered."],
  ])("to %j is refused in Kafka's words", (replicas, error, message) => {
    const refused = reassign(IMAGE, replicas);
    expect(refused.error).toBe(error);
    expect(refused.errorMessage).toBe(`The manual partition assignment includes ${message}`);
  });

  test("KIP-860: does not change the replication factor unless that is wanted", () => {
    expect(reassign(IMAGE, [1, 2], false)).toMatchObject({
      error: "INVALID_REPLICATION_FACTOR",
      errorMessage: "The replication factor is changed from 3 to 2",
    });
    expect(reassign(IMAGE, [1, 2, 4], false).error).toBe("NONE");
  });

  test("is listed while it is under way, and only then", () => {
    const { image } = reassign(IMAGE, [2, 4]);
    const listed = [
      {
        name: "x",
        partitions: [
          {
            ...{ partitionIndex: 0, replicas: [2, 4, 1, 3] },
            ...{ addingReplicas: [4], removingReplicas: [1, 3] },
          },
        ],
      },
    ];
    expect(listPartitionReassignments(image, null)).toEqual(listed);
    const named = [{ name: "x", partitionIndexes: [0, 5] }];
    expect(listPartitionReassignments(image, named)).toEqual(listed);
    expect(listPartitionReassignments(image, [{ name: "no", partitionIndexes: [0] }])).toEqual([]);
    expect(listPartitionReassignments(IMAGE, null)).toEqual([]);
  });
});

describe("AssignReplicasToDirs", () => {
  const assign = (directoryId: ReturnType<typeof uuid>, over: Partial<Over> = {}) => {
    const { brokerId = 2, topicId: id = topicId, partitionIndex = 0 } = over;
    const { records, answer } = assignReplicasToDirs(
      IMAGE,
      {
        ...{ brokerId, brokerEpoch: epochOf(IMAGE, brokerId) },
        directories: [
          { id: directoryId, topics: [{ topicId: id, partitions: [{ partitionIndex }] }] },
        ],
      },
      topicConfigs,
    );
    const { errorCode } = answer[0]!.topics[0]!.partitions[0]!;
    return { error: errorName(errorCode), partition: partitionOf(apply(IMAGE, records)), records };
  };

  test("notes where a replica lies, and nothing where it was known", () => {
    const [known] = IMAGE.brokers.get(2)!.logDirs;
    expect(assign(known!)).toMatchObject({ error: "NONE", records: [] });
  });

  test("R9: a replica in a directory that is not there leaves the ISR", () => {
    const directoryId = uuid();
    const { partition } = assign(directoryId);
    expect(partition).toMatchObject({ isr: [1, 3], lastKnownElr: [2] });
    expect(partition.directories[1]).toBe(directoryId);
  });

  test("of what is not there, or not the broker's, is refused", () => {
    expect(assign(uuid(), { topicId: uuid() }).error).toBe("UNKNOWN_TOPIC_ID");
    expect(assign(uuid(), { partitionIndex: 4 }).error).toBe("UNKNOWN_TOPIC_OR_PARTITION");
    expect(assign(uuid(), { brokerId: 4 }).error).toBe("NOT_LEADER_OR_FOLLOWER");
  });
});
