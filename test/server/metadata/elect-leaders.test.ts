import { describe, expect, test } from "vitest";
import { errorName } from "../../../src/protocol/errors.ts";
import { metadataRecord } from "../../../src/server/metadata/controller.ts";
import {
  type ElectionType,
  electLeaders,
  type TopicPartitions,
} from "../../../src/server/metadata/elect-leaders.ts";
import type { MetadataImage, PartitionImage } from "../../../src/server/metadata/image.ts";
import { apply, clusterOf, DEFAULTS, topic, uuid, withTopics } from "./cluster-image.ts";

const IMAGE = withTopics(
  clusterOf(1, 2, 3),
  topic("x", { assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }] }),
  topic("y"),
);

type Change = Partial<
  Pick<PartitionImage, "leader" | "isr" | "eligibleLeaderReplicas" | "lastKnownElr" | "directories">
>;

/** The image after a change of x-0. */
function changed(fields: Change, image = IMAGE): MetadataImage {
  const { topicId } = image.topicsByName.get("x")!;
  return apply(image, [metadataRecord("partitionChange", { topicId, partitionId: 0, ...fields })]);
}

function fenced(image: MetadataImage, ...brokerIds: number[]): MetadataImage {
  const records = brokerIds.map((brokerId) =>
    metadataRecord("brokerRegistrationChange", {
      brokerId,
      brokerEpoch: image.brokers.get(brokerId)!.brokerEpoch,
      fenced: 1,
    }),
  );
  return apply(image, records);
}

function elect(
  image: MetadataImage,
  electionType: ElectionType,
  topicPartitions: readonly TopicPartitions[] | null = [{ topic: "x", partitions: [0] }],
) {
  const { records, answer } = electLeaders(
    image,
    { electionType, topicPartitions },
    DEFAULTS.topicConfigs,
  );
  return {
    partition: apply(image, records).topicsByName.get("x")!.partitions[0]!,
    recordCount: records.length,
    results: answer.flatMap(({ topic: name, partitionResult }) =>
      partitionResult.map(({ partitionId, errorCode }) => [
        `${name}-${partitionId}`,
        errorName(errorCode),
      ]),
    ),
  };
}

describe("a preferred election", () => {
  test("gives the partition to its first replica, in a new leader epoch", () => {
    const { partition, results } = elect(changed({ leader: 2 }), "preferred");
    expect(results).toEqual([["x-0", "NONE"]]);
    expect(partition).toMatchObject({ leader: 1, leaderEpoch: 2, isr: [1, 2, 3] });
  });

  test("is not needed where the first replica leads", () => {
    const { results, recordCount } = elect(IMAGE, "preferred");
    expect(results).toEqual([["x-0", "ELECTION_NOT_NEEDED"]]);
    expect(recordCount).toBe(0);
  });

  test.each<[string, MetadataImage]>([
    ["is fenced", fenced(changed({ leader: 2 }), 1)],
    ["is not in the ISR", changed({ leader: 2, isr: [2, 3] })],
    ["has lost its directory", changed({ leader: 2, directories: [uuid(), uuid(), uuid()] })],
  ])("leaves the leader alone while the first replica %s", (_why, image) => {
    const { results, partition } = elect(image, "preferred");
    expect(results).toEqual([["x-0", "PREFERRED_LEADER_NOT_AVAILABLE"]]);
    expect(partition.leader).toBe(2);
  });

  test("takes another member of the ISR rather than nobody", () => {
    const { partition } = elect(fenced(changed({ leader: -1, isr: [1, 3] }), 1), "preferred");
    expect(partition).toMatchObject({ leader: 3, isr: [1, 3] });
  });

  test("R-16: an eligible replica may lead when the ISR is empty, and only then", () => {
    const empty = changed({ leader: -1, isr: [], eligibleLeaderReplicas: [2, 3] });
    const { partition } = elect(empty, "preferred");
    // One member is enough here (min.insync.replicas is 1), so nobody else keeps up by itself (R6).
    expect(partition).toMatchObject({ leader: 2, isr: [2], eligibleLeaderReplicas: [] });
    const waiting = fenced(changed({ leader: -1, isr: [1], eligibleLeaderReplicas: [2] }), 1);
    expect(elect(waiting, "preferred").results).toEqual([
      ["x-0", "PREFERRED_LEADER_NOT_AVAILABLE"],
    ]);
  });
});

describe("an unclean election", () => {
  const stranded = changed({ leader: -1, isr: [] });

  test("R-18: takes any replica that is there, and notes that it may lack something", () => {
    const { partition, results } = elect(stranded, "unclean");
    expect(results).toEqual([["x-0", "NONE"]]);
    expect(partition).toMatchObject({
      leader: 1,
      isr: [1],
      lastKnownElr: [],
      leaderRecoveryState: 1,
    });
  });

  test("R11: prefers one of the last known, who need not lack anything if it was the only one", () => {
    const several = changed({ leader: -1, isr: [], lastKnownElr: [3, 2] });
    expect(elect(several, "unclean").partition).toMatchObject({
      leader: 3,
      isr: [3],
      lastKnownElr: [],
      leaderRecoveryState: 1,
    });
    const sole = changed({ leader: -1, isr: [], lastKnownElr: [2] });
    expect(elect(sole, "unclean").partition).toMatchObject({ leader: 2, leaderRecoveryState: 0 });
  });

  test("prefers one that has everything", () => {
    const { partition } = elect(changed({ leader: -1, isr: [3] }), "unclean");
    expect(partition).toMatchObject({ leader: 3, isr: [3], leaderRecoveryState: 0 });
  });

  test("is not needed where somebody leads, preferred or not", () => {
    expect(elect(changed({ leader: 2 }), "unclean").results).toEqual([
      ["x-0", "ELECTION_NOT_NEEDED"],
    ]);
  });

  test("R5: never takes a replica whose directory is gone", () => {
    const image = changed({ leader: -1, isr: [], directories: [uuid(), uuid(), uuid()] });
    expect(elect(image, "unclean").results).toEqual([["x-0", "ELIGIBLE_LEADERS_NOT_AVAILABLE"]]);
  });
});

test("all partitions: those that need no election are not answered", () => {
  const { results, partition } = elect(changed({ leader: 2 }), "preferred", null);
  expect(results).toEqual([["x-0", "NONE"]]);
  expect(partition.leader).toBe(1);
});

test("what is not there is unknown, and does not hinder the rest", () => {
  const wanted = [
    { topic: "x", partitions: [7, 0] },
    { topic: "nope", partitions: [0] },
  ];
  expect(elect(changed({ leader: 2 }), "preferred", wanted).results).toEqual([
    ["x-7", "UNKNOWN_TOPIC_OR_PARTITION"],
    ["x-0", "NONE"],
    ["nope-0", "UNKNOWN_TOPIC_OR_PARTITION"],
  ]);
});
