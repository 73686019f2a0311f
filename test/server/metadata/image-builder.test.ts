import { describe, expect, test } from "vitest";
import { InvariantError } from "../../../src/base/assert.ts";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import { metadataRecord } from "../../../src/server/metadata/controller.ts";
import { deleteTopics } from "../../../src/server/metadata/delete-topics.ts";
import { configKey, EMPTY_IMAGE, type MetadataImage } from "../../../src/server/metadata/image.ts";
import { ImageBuilder, wholeImage } from "../../../src/server/metadata/image-builder.ts";
import { apply, clusterOf, topic, uuid, withTopics } from "./cluster-image.ts";

function delta(image: MetadataImage, ...batches: (readonly Buffer[])[]) {
  const builder = new ImageBuilder(image);
  let baseOffset = image.offset + 1;
  for (const records of batches) {
    const lastOffset = baseOffset + Math.max(records.length, 1) - 1;
    builder.replayBatch({ baseOffset, lastOffset, leaderEpoch: 3, timestampMs: 0, records });
    baseOffset = lastOffset + 1;
  }
  return builder.build();
}

const remove = (image: MetadataImage, name: string) =>
  deleteTopics(image, [{ name, topicId: ZERO_UUID }]).records;

describe("an image", () => {
  test("never changes: what comes later makes another", () => {
    const before = withTopics(clusterOf(1), topic("x", { numPartitions: 3 }));
    const copy = structuredClone(before);
    const x = before.topicsByName.get("x")!;
    apply(before, [
      metadataRecord("partitionChange", { partitionId: 1, topicId: x.topicId, leader: -1 }),
      metadataRecord("config", { resourceType: 2, resourceName: "x", name: "a", value: "b" }),
      metadataRecord("producerIds", { brokerId: 1, brokerEpoch: 2, nextProducerId: 1000 }),
      metadataRecord("topic", { name: "y", topicId: uuid() }),
    ]);
    expect(before).toEqual(copy);
  });

  test("shares what was not touched", () => {
    const before = withTopics(clusterOf(1), topic("x"), topic("y"));
    const { topicId } = before.topicsByName.get("x")!;
    const after = apply(before, [
      metadataRecord("partitionChange", { partitionId: 0, topicId, leader: -1 }),
    ]);
    expect(after.topicsByName.get("y")).toBe(before.topicsByName.get("y"));
    expect(after.brokers).toBe(before.brokers);
    expect(after.configs).toBe(before.configs);
  });

  test("K5: the same records give the same image, in one batch or in many", () => {
    const begin = clusterOf(1);
    const topicId = uuid();
    const records = [
      metadataRecord("topic", { name: "a.b", topicId }),
      metadataRecord("config", { resourceType: 2, resourceName: "a.b", name: "k", value: "v" }),
      metadataRecord("partition", {
        partitionId: 0,
        topicId,
        replicas: [1],
        isr: [1],
        removingReplicas: [],
        addingReplicas: [],
        leader: 1,
        leaderEpoch: 0,
        partitionEpoch: 0,
        directories: [uuid()],
      }),
      metadataRecord("partitionChange", { partitionId: 0, topicId, leader: -1, isr: [] }),
    ];
    const whole = delta(begin, records).image;
    expect(delta(begin, ...records.map((record) => [record])).image).toEqual(whole);
    expect(whole.collidingNames.get("a_b")).toBe("a.b");
    expect(whole.offset).toBe(begin.offset + 4);
  });

  test("K5: a gap in the log is not passed over", () => {
    const builder = new ImageBuilder(EMPTY_IMAGE);
    const batch = { lastOffset: 7, leaderEpoch: 1, timestampMs: 0, records: [] };
    expect(() => builder.replayBatch({ ...batch, baseOffset: 1 })).toThrow(InvariantError);
  });

  test("X4: producer ids that do not rise, and records that are not known, stop the replay", () => {
    const image = apply(clusterOf(1), [
      metadataRecord("producerIds", { brokerId: 1, brokerEpoch: 2, nextProducerId: 1000 }),
    ]);
    const replay = (record: Buffer) => () => apply(image, [record]);
    const again = { brokerId: 1, brokerEpoch: 2, nextProducerId: 1000 };
    expect(replay(metadataRecord("producerIds", again))).toThrow(InvariantError);
    expect(replay(metadataRecord("beginTransaction", {}))).toThrow(InvariantError);
  });

  test("a setting taken back leaves nothing", () => {
    const setting = { resourceType: 2, resourceName: "x", name: "k" };
    const key = configKey(2, "x");
    const set = apply(clusterOf(1), [metadataRecord("config", { ...setting, value: "v" })]);
    expect(set.configs.get(key)).toEqual(new Map([["k", "v"]]));
    const unset = apply(set, [metadataRecord("config", { ...setting, value: null })]);
    expect(unset.configs.has(key)).toBe(false);
  });

  test("R6: clearing the ELR empties it and moves the partition epoch", () => {
    const before = withTopics(clusterOf(1), topic("x"), topic("y"));
    const { topicId } = before.topicsByName.get("x")!;
    const change = { partitionId: 0, topicId, eligibleLeaderReplicas: [2], lastKnownElr: [3] };
    const eligible = apply(before, [metadataRecord("partitionChange", change)]);
    const after = apply(eligible, [metadataRecord("clearElr", { topicName: "x" })]);
    expect(after.topicsByName.get("x")!.partitions[0]).toMatchObject({
      eligibleLeaderReplicas: [],
      lastKnownElr: [],
      partitionEpoch: 2,
    });
    expect(after.topicsByName.get("y")).toBe(before.topicsByName.get("y"));
  });
});

describe("a delta", () => {
  test("names what changed, what is gone, and whose settings are others", () => {
    const before = withTopics(clusterOf(1), topic("kept"), topic("gone"), topic("set"));
    const after = delta(before, remove(before, "gone"), [
      metadataRecord("config", { resourceType: 2, resourceName: "set", name: "k", value: "v" }),
      metadataRecord("topic", { name: "new", topicId: uuid() }),
    ]);
    expect(after.changedTopics.map(({ name }) => name)).toEqual(["new"]);
    expect(after.removedTopics.map(({ name }) => name)).toEqual(["gone"]);
    expect(after.reconfiguredTopics).toEqual(["set"]);
  });

  test("E16: a name that came back with another id is both removed and new", () => {
    const before = withTopics(clusterOf(1), topic("x"));
    const topicId = uuid();
    const after = delta(before, remove(before, "x"), [
      metadataRecord("topic", { name: "x", topicId }),
      metadataRecord("config", { resourceType: 2, resourceName: "x", name: "k", value: "v" }),
    ]);
    expect(after.removedTopics).toEqual([before.topicsByName.get("x")]);
    expect(after.changedTopics.map((changed) => changed.topicId)).toEqual([topicId]);
    expect(after.reconfiguredTopics).toEqual([]);
  });

  test("of a topic that came and went names nothing but its id", () => {
    const before = clusterOf(1);
    const topicId = uuid();
    const after = delta(
      before,
      [metadataRecord("topic", { name: "x", topicId })],
      [metadataRecord("removeTopic", { topicId })],
    );
    expect([after.changedTopics, after.removedTopics]).toEqual([[], []]);
    expect(after.removedTopicIds).toEqual(new Set([topicId]));
  });

  test("from nothing to an image has all its topics", () => {
    const image = withTopics(clusterOf(1), topic("x"), topic("y"));
    expect(wholeImage(image).changedTopics.map(({ name }) => name)).toEqual(["x", "y"]);
  });
});
