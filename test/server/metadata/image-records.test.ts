import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { uuidFromBytes, type Uuid } from "../../../src/base/ids.ts";
import { decodeMetadataRecord } from "../../../src/protocol/metadata-records.ts";
import {
  configKey,
  EMPTY_IMAGE,
  type MetadataImage,
  type TopicImage,
} from "../../../src/server/metadata/image.ts";
import { deltaBetween, ImageBuilder } from "../../../src/server/metadata/image-builder.ts";
import { imageRecords } from "../../../src/server/metadata/image-records.ts";
import {
  hasCollisionCharacters,
  unifyCollisionCharacters,
} from "../../../src/server/metadata/topic-names.ts";
import { clusterOf, topic, withTopics } from "./cluster-image.ts";

function loaded(records: Iterable<Buffer>, { offset, epoch }: MetadataImage): MetadataImage {
  const builder = new ImageBuilder(EMPTY_IMAGE);
  for (const record of records) builder.replay(decodeMetadataRecord(record));
  builder.moveTo(offset, epoch);
  return builder.build().image;
}

const id = fc.nat({ max: 1000 });
const int = fc.nat({ max: 2 ** 31 - 1 });
const epoch = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const uuid: fc.Arbitrary<Uuid> = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => uuidFromBytes(Buffer.from(bytes)));
const ids = fc.uniqueArray(id, { maxLength: 4 });
const level = fc.integer({ min: 1, max: 100 });

const endPoints = fc.array(
  fc.record({
    name: fc.string(),
    host: fc.string(),
    port: fc.nat({ max: 65_535 }),
    securityProtocol: fc.nat({ max: 3 }),
  }),
  { maxLength: 2 },
);
const features = fc.array(fc.record({ name: fc.string(), minVersion: level, maxVersion: level }), {
  maxLength: 2,
});
const broker = fc.record({
  brokerId: id,
  brokerEpoch: epoch,
  incarnationId: uuid,
  endPoints,
  features,
  rack: fc.option(fc.string()),
  logDirs: fc.array(uuid, { maxLength: 3 }),
  isFenced: fc.boolean(),
  isInControlledShutdown: fc.boolean(),
});
const controller = fc.record({ controllerId: id, incarnationId: uuid, endPoints, features });
const partition = fc.record({
  replicas: ids,
  directories: fc.array(uuid, { maxLength: 4 }),
  isr: ids,
  removingReplicas: ids,
  addingReplicas: ids,
  eligibleLeaderReplicas: ids,
  lastKnownElr: ids,
  leader: fc.integer({ min: -1, max: 1000 }),
  leaderRecoveryState: fc.nat({ max: 1 }),
  leaderEpoch: int,
  partitionEpoch: int,
});
const topicName = fc.stringMatching(/^[a-c._]{1,6}$/);
const config = fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { minKeys: 1, maxKeys: 3 });

const image: fc.Arbitrary<MetadataImage> = fc
  .record({
    offset: epoch,
    epoch: int,
    features: fc.dictionary(fc.constantFrom("metadata.version", "a", "b"), level),
    brokers: fc.uniqueArray(broker, { selector: (each) => each.brokerId, maxLength: 4 }),
    controllers: fc.uniqueArray(controller, {
      selector: (each) => each.controllerId,
      maxLength: 3,
    }),
    topics: fc.uniqueArray(
      fc.record({
        name: topicName,
        topicId: uuid,
        partitions: fc.array(partition, { maxLength: 3 }),
      }),
      { selector: ({ name }) => unifyCollisionCharacters(name), maxLength: 4 },
    ),
    configs: fc.uniqueArray(
      fc.tuple(fc.constantFrom(2, 4, 8, 16, 32), fc.constantFrom("", "1", "a:b", "t"), config),
      { selector: ([type, name]) => `${type}:${name}`, maxLength: 4 },
    ),
    nextProducerId: epoch,
  })
  .map(({ topics, ...rest }) => {
    const images = topics.map(({ partitions, ...named }): TopicImage => ({
      ...named,
      partitions: partitions.map((each, partitionIndex) => ({ partitionIndex, ...each })),
    }));
    return {
      ...rest,
      features: new Map(Object.entries(rest.features)),
      brokers: new Map(rest.brokers.map((each) => [each.brokerId, each])),
      controllers: new Map(rest.controllers.map((each) => [each.controllerId, each])),
      topicsByName: new Map(images.map((each) => [each.name, each])),
      topicsById: new Map(images.map((each) => [each.topicId, each])),
      collidingNames: new Map(
        images
          .filter(({ name }) => hasCollisionCharacters(name))
          .map(({ name }) => [unifyCollisionCharacters(name), name]),
      ),
      configs: new Map(
        rest.configs.map(([type, name, values]) => [
          configKey(type, name),
          new Map(Object.entries(values)),
        ]),
      ),
    };
  });

describe("an image's records", () => {
  test("K11: replayed on nothing give the same image, whatever it holds", () => {
    fc.assert(
      fc.property(image, (each) => {
        expect(loaded(imageRecords(each), each)).toEqual(each);
      }),
      { numRuns: 300 },
    );
  });

  test("come in Kafka's order, how to read them first", () => {
    const whole = withTopics(
      clusterOf(1, 2),
      topic("x", { configs: [{ name: "retention.ms", value: "1" }] }),
    );
    const kinds = [...imageRecords({ ...whole, nextProducerId: 1000 })].map(
      (record) => decodeMetadataRecord(record).kind,
    );
    expect(kinds).toEqual([
      ...["featureLevel", "featureLevel", "registerBroker", "registerBroker"],
      ...["topic", "partition", "config", "producerIds"],
    ]);
    const reversed = { ...whole, features: new Map([...whole.features].reverse()) };
    const first = [...imageRecords(reversed)][0]!;
    expect(decodeMetadataRecord(first).record).toMatchObject({ name: "metadata.version" });
  });

  test("of an empty image are none", () => {
    expect([...imageRecords(EMPTY_IMAGE)]).toEqual([]);
  });
});

test("a snapshot that is loaded in passing says what is gone, and takes the rest for changed", () => {
  const before = withTopics(clusterOf(1), topic("kept"), topic("gone"));
  const { topicId } = before.topicsByName.get("gone")!;
  const after = {
    ...before,
    topicsById: new Map([...before.topicsById].filter(([each]) => each !== topicId)),
  };
  const delta = deltaBetween(before, after);
  expect(delta.removedTopicIds).toEqual(new Set([topicId]));
  expect(delta.removedTopics.map(({ name }) => name)).toEqual(["gone"]);
  expect(delta.changedTopics.map(({ name }) => name)).toEqual(["kept"]);
  expect(delta.reconfiguredTopics).toEqual(["kept"]);
});
