import { describe, expect, test } from "vitest";
import {
  chooseBestLog,
  electBestLog,
  type LogAnswer,
  partitionsAwaitingBestLog,
} from "../../../src/server/metadata/best-log.ts";
import { metadataRecord } from "../../../src/server/metadata/controller.ts";
import type { MetadataImage } from "../../../src/server/metadata/image.ts";
import {
  balanceLeaders,
  electWhereLeaderless,
} from "../../../src/server/metadata/leader-balance.ts";
import { apply, clusterOf, DEFAULTS, topic, withTopics } from "./cluster-image.ts";

const { topicConfigs } = DEFAULTS;

const log = (lastEpoch: number, endOffset: number, over: Partial<LogAnswer> = {}): LogAnswer => ({
  ...{ brokerEpoch: 1, lastEpoch, endOffset, isDamaged: false },
  ...over,
});

describe("R11: the best log", () => {
  test("is waited for until all have answered, or the time is up", () => {
    const answers = new Map([[1, log(3, 10)]]);
    expect(chooseBestLog([1, 2], answers, false)).toEqual({ kind: "wait" });
    expect(chooseBestLog([1, 2], answers, true)).toEqual({
      ...{ kind: "elect", brokerId: 1, isExposed: true },
    });
    expect(chooseBestLog([1, 2], new Map(), true)).toEqual({ kind: "nobody" });
  });

  test.each<[string, LogAnswer, LogAnswer, number]>([
    ["a newer epoch before a longer log", log(2, 100), log(3, 5), 2],
    ["in one epoch the longer log", log(3, 6), log(3, 5), 1],
    ["between equals the first", log(3, 5), log(3, 5), 1],
  ])("is by epoch and end: %s", (_rule, one, two, brokerId) => {
    const answers = new Map([
      [1, one],
      [2, two],
    ]);
    expect(chooseBestLog([1, 2], answers, false)).toEqual({
      ...{ kind: "elect", brokerId, isExposed: false },
    });
  });

  test("R10: is not a damaged one; another that is taken instead is exposed", () => {
    const answers = new Map([
      [1, log(3, 10, { isDamaged: true })],
      [2, log(3, 5)],
    ]);
    expect(chooseBestLog([1, 2], answers, false)).toEqual({
      ...{ kind: "elect", brokerId: 2, isExposed: true },
    });
    expect(chooseBestLog([1], answers, false)).toEqual({ kind: "nobody" });
  });
});

const IMAGE = withTopics(
  clusterOf(1, 2, 3),
  topic("x", { assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }] }),
);
const { topicId } = IMAGE.topicsByName.get("x")!;

function changed(fields: object, image = IMAGE): MetadataImage {
  return apply(image, [metadataRecord("partitionChange", { topicId, partitionId: 0, ...fields })]);
}

const partitionOf = (image: MetadataImage) => image.topicsById.get(topicId)!.partitions[0]!;

describe("an election by R11", () => {
  const stranded = changed({ leader: -1, isr: [], lastKnownElr: [2, 3] });
  const heard = (image: MetadataImage, ...ends: (readonly [number, number])[]) =>
    new Map(
      ends.map(([id, end]) => [
        id,
        log(0, end, { brokerEpoch: image.brokers.get(id)!.brokerEpoch }),
      ]),
    );
  const elect = (
    image: MetadataImage,
    answers: ReadonlyMap<number, LogAnswer>,
    { isDeadlinePassed = false, partitionEpoch = partitionOf(image).partitionEpoch } = {},
  ) => {
    const command = { topicId, partitionIndex: 0, partitionEpoch, answers, isDeadlinePassed };
    const { records, answer } = electBestLog(image, command, topicConfigs);
    return { error: answer?.name ?? null, partition: partitionOf(apply(image, records)) };
  };

  test("takes the best of all, without a mark; the others stay known until it is followed", () => {
    expect(partitionsAwaitingBestLog(stranded).map(({ topic: { name } }) => name)).toEqual(["x"]);
    const { error, partition } = elect(stranded, heard(stranded, [2, 5], [3, 9]));
    expect(error).toBeNull();
    expect(partition).toMatchObject({
      ...{ leader: 3, isr: [3], lastKnownElr: [2], leaderRecoveryState: 0 },
      leaderEpoch: 2,
    });
  });

  test("R-18: takes the best of those present when the time is up, and marks it", () => {
    const { partition } = elect(stranded, heard(stranded, [2, 5]), { isDeadlinePassed: true });
    expect(partition).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 1 });
  });

  test("counts nothing that another incarnation said", () => {
    const answers = new Map([[2, log(0, 50)], ...heard(stranded, [3, 9])]);
    expect(elect(stranded, answers).error).toBe("ELIGIBLE_LEADERS_NOT_AVAILABLE");
  });

  test("is not made twice, nor on an old state, nor where a clean member is waited for", () => {
    const answers = heard(stranded, [2, 5], [3, 9]);
    expect(elect(stranded, answers, { partitionEpoch: 0 }).error).toBe("INVALID_UPDATE_VERSION");
    const waiting = changed({
      leader: -1,
      isr: [],
      eligibleLeaderReplicas: [1],
      lastKnownElr: [2],
    });
    expect(elect(waiting, answers).error).toBe("ELECTION_NOT_NEEDED");
    expect(partitionsAwaitingBestLog(waiting)).toEqual([]);
  });

  test("falls to anybody only when nobody was heard in time and that is enabled", () => {
    const late = { isDeadlinePassed: true };
    expect(elect(stranded, new Map(), late).error).toBe("ELIGIBLE_LEADERS_NOT_AVAILABLE");
    const enabled = apply(stranded, [
      metadataRecord("config", {
        ...{ resourceType: 2, resourceName: "x" },
        ...{ name: "unclean.leader.election.enable", value: "true" },
      }),
    ]);
    // As long as the best log is looked for, nobody else is taken.
    expect(electWhereLeaderless(enabled, topicConfigs).records).toEqual([]);
    expect(elect(enabled, new Map(), late).partition.leaderRecoveryState).toBe(1);
  });
});

describe("the looks at all partitions", () => {
  test("give partitions back to their first replicas, where those have all that is committed", () => {
    const moved = changed({ leader: 2 });
    const { records, answer } = balanceLeaders(moved, topicConfigs);
    expect(partitionOf(apply(moved, records))).toMatchObject({ leader: 1, leaderEpoch: 2 });
    expect(answer.hasMore).toBe(false);
    expect(balanceLeaders(changed({ leader: 2, isr: [2, 3] }), topicConfigs).records).toEqual([]);
    expect(balanceLeaders(IMAGE, topicConfigs).records).toEqual([]);
  });

  test("elect where a controller failed before it had", () => {
    const left = changed({ leader: -1, isr: [], eligibleLeaderReplicas: [3] });
    const { records } = electWhereLeaderless(left, topicConfigs);
    expect(partitionOf(apply(left, records))).toMatchObject({ leader: 3, isr: [3] });
  });

  test("do no more than so much at a time, and say so", () => {
    const wide = withTopics(
      clusterOf(1, 2),
      topic("w", {
        assignments: [0, 1, 2].map((partitionIndex) => ({ partitionIndex, brokerIds: [1, 2] })),
      }),
    );
    const { topicId: id } = wide.topicsByName.get("w")!;
    const moved = apply(
      wide,
      [0, 1, 2].map((partitionId) =>
        metadataRecord("partitionChange", { topicId: id, partitionId, leader: 2 }),
      ),
    );
    const look = balanceLeaders(moved, topicConfigs, 2);
    expect([look.records.length, look.answer.hasMore]).toEqual([2, true]);
  });
});
