import { type Uuid, ZERO_UUID } from "../../base/ids.ts";
import { APIS } from "../../protocol/apis.ts";
import { errorCode, type ErrorName } from "../../protocol/errors.ts";
import type { MetadataRequest, MetadataResponse } from "../../protocol/messages/03-metadata.ts";
import type { ItemError } from "../metadata/controller.ts";
import {
  type MetadataImage,
  NO_LEADER,
  type PartitionImage,
  type TopicImage,
} from "../metadata/image.ts";
import {
  controllerForClients,
  endPointOf,
  isReachableBy,
  offlineReplicas,
} from "../metadata/image-queries.ts";
import {
  GROUP_METADATA_TOPIC,
  isInternalTopic,
  topicNameProblem,
} from "../metadata/topic-names.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import {
  ALL_CLUSTER_OPERATIONS,
  ALL_TOPIC_OPERATIONS,
  NOT_ASKED,
} from "../authorized-operations.ts";

// Metadata, versions 0-13: brokers, topics, who leads. 1 added the controller, internal topics, and an
// empty list for "no topics" (null: all; in 0 an empty one means all), 2 the cluster id, 4 that the
// client decides about auto-creation, 5 offline replicas, 7 leader epochs, 8-10 authorized operations,
// 10 topic ids in answers, 12 in requests, 13 an error of the whole answer. 10 and 11 ignore ids.

type Topic = MetadataResponse["topics"][number];
type Partition = Topic["partitions"][number];

export interface MetadataHandlerDependencies {
  /** MetadataManager, as far as it is needed. */
  readonly metadata: {
    readonly image: MetadataImage;
    ensureTopics(
      names: readonly string[],
      options: { readonly timeoutMs: number },
    ): Promise<ReadonlyMap<string, ItemError>>;
  };
  readonly clusterId: string;
  readonly nodeId: number;
  readonly isAutoCreationEnabled: boolean;
}

/** What one entry of the request comes to. */
type Wanted =
  | { readonly kind: "topic"; readonly topic: TopicImage }
  | { readonly kind: "missing"; readonly name: string }
  | {
      readonly kind: "refused";
      readonly name: string | null;
      readonly topicId: Uuid;
      readonly error: ErrorName;
    };

/** Longer than a disk takes, shorter than clients wait; they ask again. */
const AUTO_CREATION_TIMEOUT_MS = 10_000;

export function metadataHandler(
  dependencies: MetadataHandlerDependencies,
): TypedApiHandler<typeof APIS.metadata.request, typeof APIS.metadata.response> {
  const { metadata } = dependencies;
  return handlerFor(APIS.metadata, async (request, { apiVersion, listenerName }) => {
    const mayCreate = dependencies.isAutoCreationEnabled && request.allowAutoTopicCreation;
    const first = wantedTopics(metadata.image, request, apiVersion);
    const missing = first.flatMap((wanted) => (wanted.kind === "missing" ? wanted.name : []));
    const creatable = mayCreate ? missing.filter(isCreatable) : [];
    const errors =
      creatable.length > 0
        ? await metadata.ensureTopics(creatable, { timeoutMs: AUTO_CREATION_TIMEOUT_MS })
        : null;
    // After the wait: what was created is led by now, and other things may have changed.
    const { image } = metadata;
    const wanted = errors === null ? first : wantedTopics(image, request, apiVersion);
    const view: View = {
      image,
      listenerName,
      apiVersion,
      creationErrors: errors ?? new Map<string, ItemError>(),
      topicOperations: request.includeTopicAuthorizedOperations ? ALL_TOPIC_OPERATIONS : NOT_ASKED,
    };
    return {
      brokers: reachableBrokers(view),
      clusterId: dependencies.clusterId,
      controllerId: controllerForClients(image, dependencies.nodeId, listenerName),
      topics: wanted.map((entry) => answerFor(view, entry)),
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
        ? ALL_CLUSTER_OPERATIONS
        : NOT_ASKED,
      errorCode: errorCode("NONE"),
    };
  });
}

/** What the answer is made of. */
interface View {
  readonly image: MetadataImage;
  readonly listenerName: string;
  readonly apiVersion: number;
  readonly creationErrors: ReadonlyMap<string, ItemError>;
  readonly topicOperations: number;
}

/** The topics asked for, each once, in the request's order; all of them by name. */
function wantedTopics(
  image: MetadataImage,
  { topics }: MetadataRequest,
  apiVersion: number,
): readonly Wanted[] {
  const isAll = topics === null || (apiVersion === 0 && topics.length === 0);
  if (isAll) {
    const all = [...image.topicsByName.values()];
    all.sort((a, b) => (a.name < b.name ? -1 : 1));
    return all.map((topic) => ({ kind: "topic", topic }));
  }
  const wanted = new Map<string, Wanted>();
  for (const { name, topicId } of topics) {
    const byId = apiVersion >= 12 && topicId !== ZERO_UUID;
    const key = byId ? `id ${topicId}` : `name ${String(name)}`;
    if (!wanted.has(key))
      wanted.set(key, byId ? wantById(image, topicId) : wantByName(image, name));
  }
  return [...wanted.values()];
}

function wantById(image: MetadataImage, topicId: Uuid): Wanted {
  const topic = image.topicsById.get(topicId);
  if (topic !== undefined) return { kind: "topic", topic };
  return { kind: "refused", name: null, topicId, error: "UNKNOWN_TOPIC_ID" };
}

function wantByName(image: MetadataImage, name: string | null): Wanted {
  if (name === null) {
    return { kind: "refused", name, topicId: ZERO_UUID, error: "INVALID_REQUEST" };
  }
  const topic = image.topicsByName.get(name);
  if (topic !== undefined) return { kind: "topic", topic };
  if (topicNameProblem(name) === null) return { kind: "missing", name };
  return { kind: "refused", name, topicId: ZERO_UUID, error: "INVALID_TOPIC_EXCEPTION" };
}

/** Internal topics that nothing uses yet are not for clients to make. */
function isCreatable(name: string): boolean {
  return !isInternalTopic(name) || name === GROUP_METADATA_TOPIC;
}

function answerFor(view: View, wanted: Wanted): Topic {
  switch (wanted.kind) {
    case "topic":
      return {
        errorCode: errorCode("NONE"),
        name: wanted.topic.name,
        topicId: wanted.topic.topicId,
        isInternal: isInternalTopic(wanted.topic.name),
        partitions: wanted.topic.partitions.map((partition) => describe(view, partition)),
        topicAuthorizedOperations: view.topicOperations,
      };
    case "missing":
      return withoutPartitions(view, wanted.name, ZERO_UUID, creationError(view, wanted.name));
    case "refused":
      return withoutPartitions(view, wanted.name, wanted.topicId, wanted.error);
  }
}

/** A creation that is under way, or that the broker itself cannot finish now, is worth asking again. */
function creationError(view: View, name: string): ErrorName {
  const error = view.creationErrors.get(name);
  if (error === undefined) return "UNKNOWN_TOPIC_OR_PARTITION";
  const isUnderWay = error.name === "REQUEST_TIMED_OUT" || error.name === "TOPIC_ALREADY_EXISTS";
  return isUnderWay ? "LEADER_NOT_AVAILABLE" : error.name;
}

function withoutPartitions(
  view: View,
  name: string | null,
  topicId: Uuid,
  error: ErrorName,
): Topic {
  return {
    errorCode: errorCode(error),
    // Nullable only since 12.
    name: name ?? (view.apiVersion >= 12 ? null : ""),
    topicId,
    isInternal: name !== null && isInternalTopic(name),
    partitions: [],
    topicAuthorizedOperations: view.topicOperations,
  };
}

function describe({ image, listenerName, apiVersion }: View, partition: PartitionImage): Partition {
  const leader = image.brokers.get(partition.leader);
  const isReachable = leader !== undefined && isReachableBy(leader, listenerName);
  const isMisconfigured = leader !== undefined && !leader.isFenced && !isReachable;
  return {
    errorCode: errorCode(
      isReachable
        ? "NONE"
        : isMisconfigured && apiVersion >= 6
          ? "LISTENER_NOT_FOUND"
          : "LEADER_NOT_AVAILABLE",
    ),
    partitionIndex: partition.partitionIndex,
    leaderId: isReachable ? partition.leader : NO_LEADER,
    leaderEpoch: partition.leaderEpoch,
    replicaNodes: [...partition.replicas],
    isrNodes: [...partition.isr],
    offlineReplicas: offlineReplicas(image, partition, listenerName),
  };
}

/** The brokers that clients of this listener can reach, by id. */
function reachableBrokers({ image, listenerName }: View): MetadataResponse["brokers"] {
  return [...image.brokers.values()]
    .sort((a, b) => a.brokerId - b.brokerId)
    .flatMap((broker) => {
      const endPoint = broker.isFenced ? null : endPointOf(broker, listenerName);
      if (endPoint === null) return [];
      const { host, port } = endPoint;
      return [{ nodeId: broker.brokerId, host, port, rack: broker.rack }];
    });
}
