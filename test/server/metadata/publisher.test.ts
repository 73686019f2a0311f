import { describe, expect, test } from "vitest";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import { InvariantError } from "../../../src/base/assert.ts";
import { SILENT_LOGGER } from "../../../src/base/logger.ts";
import { metadataRecord } from "../../../src/server/metadata/controller.ts";
import { deleteTopics } from "../../../src/server/metadata/delete-topics.ts";
import type { MetadataImage } from "../../../src/server/metadata/image.ts";
import { ImageBuilder, wholeImage } from "../../../src/server/metadata/image-builder.ts";
import { Publisher } from "../../../src/server/metadata/publisher.ts";
import { clusterOf, DEFAULTS, topic, uuid, withTopics } from "./cluster-image.ts";
import { RecordingHost } from "./sim-node.ts";

const on = (...brokerIds: number[]) => ({
  assignments: brokerIds.map((brokerId, partitionIndex) => ({
    partitionIndex,
    brokerIds: [brokerId],
  })),
});

const IMAGE = withTopics(
  clusterOf(1, 2),
  topic("mine", on(1)),
  topic("both", on(1, 2)),
  topic("__consumer_offsets", on(1)),
);

function publisherFor(host: RecordingHost, concurrency = 32) {
  const { topicConfigs } = DEFAULTS;
  return new Publisher(
    { replicas: host, coordinator: host, topicConfigs, logger: SILENT_LOGGER },
    { nodeId: 1, concurrency },
  );
}

function delta(image: MetadataImage, records: readonly Buffer[]) {
  const builder = new ImageBuilder(image);
  builder.replayBatch({
    baseOffset: image.offset + 1,
    lastOffset: image.offset + records.length,
    leaderEpoch: 1,
    timestampMs: 0,
    records,
  });
  return builder.build();
}

describe("the publisher", () => {
  test("opens what this node leads, with its settings, and nothing else", async () => {
    const host = new RecordingHost();
    await publisherFor(host).apply(wholeImage(IMAGE));
    expect(host.events).toEqual([
      "lead mine-0 0",
      "lead both-0 0",
      "lead __consumer_offsets-0 0",
      "coordinate 0 0",
    ]);
    expect(host.led.get("mine-0")).toMatchObject({
      replicas: [1],
      isr: [1],
      topicId: IMAGE.topicsByName.get("mine")!.topicId,
      minInsyncReplicas: 1,
      config: { segmentBytes: 1024 ** 3, flushMessages: Infinity },
    });
  });

  test("E16: removes the old topic before it opens a new one of the same name", async () => {
    const host = new RecordingHost();
    const publisher = publisherFor(host);
    const image = withTopics(IMAGE, topic("again", on(1)));
    const topicId = uuid();
    await publisher.apply(
      delta(image, [
        ...deleteTopics(image, [{ name: "mine", topicId: ZERO_UUID }]).records,
        metadataRecord("topic", { name: "mine", topicId }),
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
      ]),
    );
    expect(host.events).toEqual(["remove mine-0", "lead mine-0 0"]);
    expect(host.led.get("mine-0")!.topicId).toBe(topicId);
  });

  test("a new leader epoch reaches the coordinator, a change without one does not", async () => {
    const host = new RecordingHost();
    const publisher = publisherFor(host);
    const { topicId } = IMAGE.topicsByName.get("__consumer_offsets")!;
    const change = (fields: object) =>
      delta(IMAGE, [metadataRecord("partitionChange", { partitionId: 0, topicId, ...fields })]);
    await publisher.apply(change({ isr: [1] }));
    expect(host.events).toEqual(["lead __consumer_offsets-0 0"]);
    await publisher.apply(change({ leader: 1 }));
    expect(host.events.slice(1)).toEqual(["lead __consumer_offsets-0 1", "coordinate 0 1"]);
    await publisher.apply(change({ leader: 2 }));
    expect(host.events.slice(3)).toEqual(["resign 0", "follow __consumer_offsets-0 2"]);
  });

  test("leadership goes and comes back, whatever it was between", async () => {
    const { topicId } = IMAGE.topicsByName.get("__consumer_offsets")!;
    let image = IMAGE;
    const host = new RecordingHost();
    const publisher = publisherFor(host);
    const change = async (fields: object) => {
      const next = delta(image, [
        metadataRecord("partitionChange", { partitionId: 0, topicId, ...fields }),
      ]);
      ({ image } = next);
      host.events.length = 0;
      await publisher.apply(next);
      return host.events;
    };
    const led = (epoch: number) => [`lead __consumer_offsets-0 ${epoch}`, `coordinate 0 ${epoch}`];
    const same = (epoch: number) => [`lead __consumer_offsets-0 ${epoch}`];
    const follows = (leaderId: number) => [`follow __consumer_offsets-0 ${leaderId}`];
    expect(await change({ leader: -1 })).toEqual(["resign 0", ...follows(-1)]);
    // Nobody leads yet: it stays as it is.
    expect(await change({ isr: [1] })).toEqual([]);
    expect(await change({ leader: 1 })).toEqual(led(2));
    expect(await change({ replicas: [1, 2] })).toEqual(same(2));
    expect(await change({ isr: [1, 2] })).toEqual(same(2));
    expect(await change({ leader: 2 })).toEqual(["resign 0", ...follows(2)]);
    expect(await change({ isr: [2] })).toEqual(follows(2));
    expect(await change({ leader: 1, isr: [1, 2] })).toEqual(led(4));
    expect(await change({ replicas: [2], isr: [2], leader: 2 })).toEqual([
      "resign 0",
      "remove __consumer_offsets-0",
    ]);
  });

  test.each([
    ["alone", { replicas: [1], isr: [1] }, false],
    ["with another in the ISR", { replicas: [1, 2], isr: [1, 2] }, true],
    ["with another that lags", { replicas: [1, 2], isr: [1] }, false],
    [
      "with another that is eligible",
      { replicas: [1, 2], isr: [1], eligibleLeaderReplicas: [2] },
      true,
    ],
  ])("R15: a leader %s knows whether another could lead", async (_name, fields, isElsewhere) => {
    const host = new RecordingHost();
    const { topicId } = IMAGE.topicsByName.get("mine")!;
    const { image } = delta(IMAGE, [
      metadataRecord("partitionChange", { partitionId: 0, topicId, ...fields }),
    ]);
    await publisherFor(host).apply(wholeImage(image));
    expect(host.led.get("mine-0")?.isElectableElsewhere).toBe(isElsewhere);
  });

  test("what the disk refused is tried again, unless the cluster has decided otherwise since", async () => {
    const host = new RecordingHost();
    const open = host.becomeLeader.bind(host);
    host.becomeLeader = () => Promise.reject(new Error("no room"));
    const publisher = publisherFor(host);
    await publisher.apply(wholeImage(IMAGE));
    host.becomeLeader = open;
    const { topicId } = IMAGE.topicsByName.get("mine")!;
    await publisher.apply(
      delta(IMAGE, [metadataRecord("partitionChange", { partitionId: 0, topicId, leader: 2 })]),
    );
    expect(host.events).toEqual(["follow mine-0 2"]);
    await publisher.retry();
    expect(host.events.slice(1)).toEqual([
      "lead both-0 0",
      "lead __consumer_offsets-0 0",
      "coordinate 0 0",
    ]);
  });

  test("a coordinator begins, too, when its partition is led at the second attempt of its epoch", async () => {
    const host = new RecordingHost();
    const open = host.becomeLeader.bind(host);
    host.becomeLeader = () => Promise.reject(new Error("no room"));
    const publisher = publisherFor(host);
    await publisher.apply(wholeImage(IMAGE));
    host.becomeLeader = open;
    const { topicId } = IMAGE.topicsByName.get("__consumer_offsets")!;
    await publisher.apply(
      delta(IMAGE, [metadataRecord("partitionChange", { partitionId: 0, topicId, isr: [1] })]),
    );
    expect(host.events).toEqual(["lead __consumer_offsets-0 0", "coordinate 0 0"]);
  });

  test("new settings of a topic reach its replicas", async () => {
    const host = new RecordingHost();
    const record = { resourceType: 2, resourceName: "mine", name: "flush.messages", value: "1" };
    await publisherFor(host).apply(delta(IMAGE, [metadataRecord("config", record)]));
    expect(host.events).toEqual(["configure mine"]);
  });

  test("one partition that cannot be opened does not stop the others; a bug does", async () => {
    const broken = (error: Error) => {
      const host = new RecordingHost();
      const open = host.becomeLeader.bind(host);
      host.becomeLeader = (leadership) =>
        leadership.topic === "mine" ? Promise.reject(error) : open(leadership);
      return { host, applied: publisherFor(host).apply(wholeImage(IMAGE)) };
    };
    const { host, applied } = broken(new Error("EIO"));
    await applied;
    expect([...host.led.keys()]).toEqual(["both-0", "__consumer_offsets-0"]);
    await expect(broken(new InvariantError("a bug")).applied).rejects.toThrow(InvariantError);
  });

  test("opens no more than so many at a time", async () => {
    let openCount = 0;
    let greatest = 0;
    const host = new RecordingHost(async () => {
      openCount += 1;
      greatest = Math.max(greatest, openCount);
      await new Promise((resolve) => setImmediate(resolve));
      openCount -= 1;
    });
    const image = withTopics(clusterOf(1), topic("wide", { numPartitions: 50 }));
    await publisherFor(host, 4).apply(wholeImage(image));
    expect(host.led.size).toBe(50);
    expect(greatest).toBe(4);
  });
});
