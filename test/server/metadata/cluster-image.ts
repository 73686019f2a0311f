import type { Uuid } from "../../../src/base/ids.ts";
import { SeededRandom, randomUuid } from "../../../src/base/random.ts";
import {
  decodeMetadataRecord,
  type MetadataRecord,
} from "../../../src/protocol/metadata-records.ts";
import {
  bootstrapCluster,
  registerBroker,
  type RegisterBrokerCommand,
} from "../../../src/server/metadata/broker-registration.ts";
import { unfenceBroker } from "../../../src/server/metadata/broker-fencing.ts";
import type { ControllerResult } from "../../../src/server/metadata/controller.ts";
import { EMPTY_IMAGE, type MetadataImage } from "../../../src/server/metadata/image.ts";
import { ImageBuilder } from "../../../src/server/metadata/image-builder.ts";
import { createTopics, type CreatableTopic } from "../../../src/server/metadata/create-topics.ts";
import { TopicConfigs } from "../../../src/server/metadata/topic-configs.ts";

const random = new SeededRandom("cluster image");

/** An id of its own for each call. */
export function uuid(): Uuid {
  return randomUuid(random);
}

export const DEFAULTS = {
  numPartitions: 1,
  replicationFactor: 1,
  topicConfigs: new TopicConfigs(() => null),
};

/** The image after the records, as if they had been committed in one batch. */
export function apply(image: MetadataImage, records: readonly Buffer[]): MetadataImage {
  if (records.length === 0) return image;
  const builder = new ImageBuilder(image);
  builder.replayBatch({
    baseOffset: image.offset + 1,
    lastOffset: image.offset + records.length,
    leaderEpoch: 1,
    timestampMs: 0,
    records,
  });
  return builder.build().image;
}

/** Runs decisions one after the other, each on what the ones before made. */
export function decide(
  image: MetadataImage,
  ...decisions: ((image: MetadataImage) => ControllerResult<unknown>)[]
): MetadataImage {
  return decisions.reduce((current, run) => apply(current, run(current).records), image);
}

export function decoded(records: readonly Buffer[]): MetadataRecord[] {
  return records.map((record) => decodeMetadataRecord(record));
}

export function registration(
  brokerId: number,
  over: Partial<RegisterBrokerCommand> = {},
): RegisterBrokerCommand {
  return {
    brokerId,
    incarnationId: uuid(),
    endPoints: [
      { name: "PLAINTEXT", host: `host${brokerId}`, port: 9092, securityProtocol: 0 },
      { name: "OUTSIDE", host: "example.com", port: 19090 + brokerId, securityProtocol: 0 },
    ],
    rack: null,
    logDirs: [uuid()],
    previousBrokerEpoch: null,
    ...over,
  };
}

/** A formed cluster with these brokers, all unfenced. */
export function clusterOf(...brokerIds: number[]): MetadataImage {
  return decide(
    EMPTY_IMAGE,
    bootstrapCluster,
    ...brokerIds.flatMap((brokerId) => [
      (image: MetadataImage) => registerBroker(image, registration(brokerId), image.offset + 1),
      (image: MetadataImage) => unfenceBroker(image, brokerId, DEFAULTS.topicConfigs),
    ]),
  );
}

export function topic(name: string, over: Partial<CreatableTopic> = {}): CreatableTopic {
  return { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [], ...over };
}

/** The image with the topics in it. */
export function withTopics(image: MetadataImage, ...topics: CreatableTopic[]): MetadataImage {
  const topicIds = topics.map(() => uuid());
  const { records, answer } = createTopics(
    image,
    { topics, topicIds, validateOnly: false },
    DEFAULTS,
  );
  const refusal = answer.find(({ errorCode }) => errorCode !== 0);
  if (refusal !== undefined) throw new Error(`cannot create ${JSON.stringify(refusal)}`);
  return apply(image, records);
}
