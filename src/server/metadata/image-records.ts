import { metadataRecord } from "./controller.ts";
import type {
  BrokerImage,
  ControllerImage,
  EndPointImage,
  FeatureRange,
  MetadataImage,
  PartitionImage,
  TopicImage,
} from "./image.ts";

/** The name that a snapshot begins with, as it says how to read the rest. */
const METADATA_VERSION_FEATURE = "metadata.version";

/**
 * A snapshot's records: replayed on an empty image they give the image's content again (K11). In Kafka's
 * order: features, nodes, topics, settings, producer ids. Made one at a time, so that whoever writes them may
 * pause.
 */
export function* imageRecords(image: MetadataImage): Generator<Buffer, void, undefined> {
  yield* featureRecords(image);
  for (const broker of image.brokers.values()) yield brokerRecord(broker);
  for (const controller of image.controllers.values()) yield controllerRecord(controller);
  for (const topic of image.topicsById.values()) yield* topicRecords(topic);
  yield* configRecords(image);
  const { nextProducerId } = image;
  if (nextProducerId > 0) {
    // Which broker had the last block is of no use to anybody.
    yield metadataRecord("producerIds", { brokerId: -1, brokerEpoch: -1, nextProducerId });
  }
}

function* featureRecords({ features }: MetadataImage): Generator<Buffer> {
  const record = (name: string, featureLevel: number): Buffer =>
    metadataRecord("featureLevel", { name, featureLevel });
  const metadataVersion = features.get(METADATA_VERSION_FEATURE);
  if (metadataVersion !== undefined) yield record(METADATA_VERSION_FEATURE, metadataVersion);
  for (const [name, level] of features) {
    if (name !== METADATA_VERSION_FEATURE) yield record(name, level);
  }
}

function brokerRecord(broker: BrokerImage): Buffer {
  return metadataRecord("registerBroker", {
    brokerId: broker.brokerId,
    incarnationId: broker.incarnationId,
    brokerEpoch: broker.brokerEpoch,
    endPoints: endPointFields(broker.endPoints),
    features: featureFields(broker.features),
    rack: broker.rack,
    fenced: broker.isFenced,
    inControlledShutdown: broker.isInControlledShutdown,
    logDirs: broker.logDirs,
  });
}

function controllerRecord(controller: ControllerImage): Buffer {
  return metadataRecord("registerController", {
    controllerId: controller.controllerId,
    incarnationId: controller.incarnationId,
    zkMigrationReady: false,
    endPoints: endPointFields(controller.endPoints),
    features: featureFields(controller.features),
  });
}

function* topicRecords({ name, topicId, partitions }: TopicImage): Generator<Buffer> {
  yield metadataRecord("topic", { name, topicId });
  for (const partition of partitions) yield partitionRecord(topicId, partition);
}

function partitionRecord(topicId: TopicImage["topicId"], partition: PartitionImage): Buffer {
  const { partitionIndex: partitionId, eligibleLeaderReplicas, lastKnownElr, ...rest } = partition;
  return metadataRecord("partition", {
    ...rest,
    ...{ topicId, partitionId },
    // As Kafka writes them: empty ones are not there.
    eligibleLeaderReplicas: eligibleLeaderReplicas.length === 0 ? null : eligibleLeaderReplicas,
    lastKnownElr: lastKnownElr.length === 0 ? null : lastKnownElr,
  });
}

function* configRecords({ configs }: MetadataImage): Generator<Buffer> {
  for (const [key, config] of configs) {
    const separator = key.indexOf(":");
    const resourceType = Number(key.slice(0, separator));
    const resourceName = key.slice(separator + 1);
    for (const [name, value] of config) {
      yield metadataRecord("config", { resourceType, resourceName, name, value });
    }
  }
}

/** The addresses of a registration, as its record has them. */
export function endPointFields(endPoints: readonly EndPointImage[]) {
  return endPoints.map(({ name, host, port, securityProtocol }) => ({
    name,
    host,
    port,
    securityProtocol,
  }));
}

/** The features of a registration, as its record has them. */
export function featureFields(features: readonly FeatureRange[]) {
  return features.map(({ name, minVersion, maxVersion }) => ({
    name,
    minSupportedVersion: minVersion,
    maxSupportedVersion: maxVersion,
  }));
}
