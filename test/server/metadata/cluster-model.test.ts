import { describe, expect, test } from "vitest";
import type { PartitionChangeRecord } from "../../../src/protocol/messages/metadata/topics.ts";
import { metadataRecord } from "../../../src/server/metadata/controller.ts";
import type { MetadataImage } from "../../../src/server/metadata/image.ts";
import { ClusterModel, type Planted } from "./cluster-model.ts";

const SEEDS = 200;
const STEPS = 250;

/** The first problem that some seed finds, and how often each thing happened until then. */
function explore(planted?: Planted) {
  const counts = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const model = new ClusterModel(seed, planted);
    const steps = model.run(STEPS);
    for (const [what, count] of model.counts) counts.set(what, (counts.get(what) ?? 0) + count);
    if (planted === undefined) expect(model.replayed()).toEqual(model.image);
    if (model.problem !== null) return { problem: model.problem, seed, steps, counts };
  }
  return { problem: null, seed: null, steps: STEPS, counts };
}

describe("whatever brokers and operators do, in any order", () => {
  test("R-6, R-9, R-12, R-13, R-16, R-18, R-20, R5 and K16 hold", () => {
    const { problem, seed, counts } = explore();
    expect({ problem, seed }).toEqual({ problem: null, seed: null });
    // What does not happen is not tested.
    for (const what of [
      ...["accepted", "clean shutdown", "unclean registration", "R16", "expire", "reassign"],
      ...["balance", "leaderless", "best log", "configure", "failed directory", "unregister"],
      ...["cut", "clean", "unclean", "last known", "elect unclean", "elect preferred"],
    ]) {
      expect(counts.get(what) ?? 0, what).toBeGreaterThan(5);
    }
  });
});

/** Changes of partitions, written again without some of what they say. */
function rewritten(
  change: (record: PartitionChangeRecord, before: MetadataImage) => object,
): NonNullable<Planted["record"]> {
  return (entry, value, before) =>
    entry.kind === "partitionChange"
      ? metadataRecord("partitionChange", { ...entry.record, ...change(entry.record, before) })
      : value;
}

const PLANTED: readonly (readonly [string, Planted, RegExp])[] = [
  [
    "a fenced broker is elected",
    {
      seen: (image) => ({
        ...image,
        brokers: new Map(
          [...image.brokers].map(([id, broker]) => [id, { ...broker, isFenced: false }]),
        ),
      }),
    },
    /a fenced broker was elected/,
  ],
  [
    "a member of an old incarnation is accepted",
    {
      request: (request, image) => ({
        ...request,
        topics: request.topics.map((topic) => ({
          ...topic,
          partitions: topic.partitions.map((wanted) => ({
            ...wanted,
            newIsrWithEpochs: wanted.newIsrWithEpochs.map(({ brokerId }) => ({
              brokerId,
              brokerEpoch: image.brokers.get(brokerId)?.brokerEpoch ?? -1,
            })),
          })),
        })),
      }),
    },
    /R-12/,
  ],
  [
    "the ELR is not cleared when the ISR is full again",
    {
      record: rewritten(({ eligibleLeaderReplicas: elr }) =>
        elr?.length === 0 ? { eligibleLeaderReplicas: null } : {},
      ),
    },
    /R-16|meet/,
  ],
  [
    "a change of min.insync.replicas does not clear the ELR",
    { record: (entry, value) => (entry.kind === "clearElr" ? null : value) },
    /R-16/,
  ],
  [
    "the leader epoch is not raised when a member comes back uncleanly",
    {
      record: rewritten(({ topicId, partitionId, leader }, before) =>
        leader === before.topicsById.get(topicId)?.partitions[partitionId]?.leader
          ? { leader: -2 }
          : {},
      ),
    },
    /R5|R-20/,
  ],
  [
    "an ISR is changed on an old state",
    {
      request: (request, image) => ({
        ...request,
        topics: request.topics.map((topic) => ({
          ...topic,
          partitions: topic.partitions.map((wanted) => {
            const now = image.topicsById.get(topic.topicId)!.partitions[wanted.partitionIndex]!;
            return { ...wanted, partitionEpoch: now.partitionEpoch };
          }),
        })),
      }),
    },
    /R-13/,
  ],
];

describe("planted mistakes are found", () => {
  test.each(PLANTED)("%s", (_mistake, planted, expected) => {
    const { problem, seed } = explore(planted);
    expect(problem).toMatch(expected);
    expect(seed).not.toBeNull();
  });
});
