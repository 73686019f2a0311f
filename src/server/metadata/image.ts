import type { Uuid } from "../../base/ids.ts";

/** Leader of a partition that nobody leads. */
export const NO_LEADER = -1;
/** Directory of a replica that has no place on its broker yet (KIP-858). */
export const UNASSIGNED_DIRECTORY = "AAAAAAAAAAAAAAAAAAAAAA" as Uuid;
/** Among a broker's directories as it registers: there are others, which it could not open. */
export const LOST_DIRECTORY = "AAAAAAAAAAAAAAAAAAAAAQ" as Uuid;

/** What the quorum has agreed on about a partition. */
export interface PartitionImage {
  readonly partitionIndex: number;
  readonly replicas: readonly number[];
  /** Where each of the replicas lies, in their order. */
  readonly directories: readonly Uuid[];
  readonly isr: readonly number[];
  readonly removingReplicas: readonly number[];
  readonly addingReplicas: readonly number[];
  /** Out of the ISR, but sure to have all that is committed (KIP-966). */
  readonly eligibleLeaderReplicas: readonly number[];
  /** Were in ISR or ELR and came back without a clean shutdown (R5). */
  readonly lastKnownElr: readonly number[];
  /** NO_LEADER: none. */
  readonly leader: number;
  readonly leaderRecoveryState: number;
  /** Rises with every change of leader. */
  readonly leaderEpoch: number;
  /** Rises with every change at all. */
  readonly partitionEpoch: number;
}

export interface TopicImage {
  readonly name: string;
  readonly topicId: Uuid;
  /** By partition index, without gaps. */
  readonly partitions: readonly PartitionImage[];
}

/** An address of a broker, as it tells clients that came by the listener of that name. */
export interface EndPointImage {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Kafka's SecurityProtocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL. */
  readonly securityProtocol: number;
}

/** A feature that a node knows, and the levels of it. */
export interface FeatureRange {
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
}

export interface BrokerImage {
  readonly brokerId: number;
  /** Offset of its registration: unique, rising (K16). */
  readonly brokerEpoch: number;
  readonly incarnationId: Uuid;
  readonly endPoints: readonly EndPointImage[];
  readonly features: readonly FeatureRange[];
  readonly rack: string | null;
  readonly logDirs: readonly Uuid[];
  /** A fenced broker leads nothing and clients are not sent to it. */
  readonly isFenced: boolean;
  readonly isInControlledShutdown: boolean;
}

/** A node of the quorum, as it told of itself. */
export interface ControllerImage {
  readonly controllerId: number;
  readonly incarnationId: Uuid;
  readonly endPoints: readonly EndPointImage[];
  readonly features: readonly FeatureRange[];
}

/** Settings of one topic or broker, as they were given. */
export type ConfigImage = ReadonlyMap<string, string>;

/**
 * The state that the metadata log adds up to at one offset. Immutable: who has one may keep it and
 * look things up across awaits, and sees one moment.
 */
export interface MetadataImage {
  /** Last offset of the log that it contains; -1: none. */
  readonly offset: number;
  /** Leader epoch of that offset. */
  readonly epoch: number;
  /** Finalized features and their levels. */
  readonly features: ReadonlyMap<string, number>;
  readonly brokers: ReadonlyMap<number, BrokerImage>;
  readonly controllers: ReadonlyMap<number, ControllerImage>;
  readonly topicsByName: ReadonlyMap<string, TopicImage>;
  readonly topicsById: ReadonlyMap<Uuid, TopicImage>;
  /** Topics whose name has a "." or "_", by the name with "_" for ".": no two may meet in metrics. */
  readonly collidingNames: ReadonlyMap<string, string>;
  /** By `configKey`. */
  readonly configs: ReadonlyMap<string, ConfigImage>;
  /** First producer id that was never handed out (X4). */
  readonly nextProducerId: number;
}

/** Kafka's ConfigResource types. */
export const TOPIC_RESOURCE = 2;
export const BROKER_RESOURCE = 4;
export const BROKER_LOGGER_RESOURCE = 8;
export const CLIENT_METRICS_RESOURCE = 16;
export const GROUP_RESOURCE = 32;

/** Key of a resource's settings in an image. */
export function configKey(resourceType: number, resourceName: string): string {
  return `${resourceType}:${resourceName}`;
}

/** Resources of the type that were given settings. */
export function namesWithConfigs(image: MetadataImage, resourceType: number): readonly string[] {
  const prefix = configKey(resourceType, "");
  return [...image.configs.keys()].flatMap((key) =>
    key.startsWith(prefix) ? [key.slice(prefix.length)] : [],
  );
}

const NO_CONFIG: ConfigImage = new Map();

/** The settings that a resource itself was given. */
export function configOf(image: MetadataImage, type: number, name: string): ConfigImage {
  return image.configs.get(configKey(type, name)) ?? NO_CONFIG;
}

/** The settings that the topic itself was given. */
export function topicOverrides(image: MetadataImage, topic: string): ConfigImage {
  return configOf(image, TOPIC_RESOURCE, topic);
}

/** What was set for all brokers while the cluster ran. */
export function clusterOverrides(image: MetadataImage): ConfigImage {
  return configOf(image, BROKER_RESOURCE, "");
}

/** What was set for this broker alone while the cluster ran. */
export function brokerOverrides(image: MetadataImage, brokerId: number): ConfigImage {
  return configOf(image, BROKER_RESOURCE, String(brokerId));
}

/** Before the first record. */
export const EMPTY_IMAGE: MetadataImage = {
  offset: -1,
  epoch: -1,
  features: new Map(),
  brokers: new Map(),
  controllers: new Map(),
  topicsByName: new Map(),
  topicsById: new Map(),
  collidingNames: new Map(),
  configs: new Map(),
  nextProducerId: 0,
};
