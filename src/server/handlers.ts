import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import type { Offload } from "../base/offload.ts";
import { ClientBatches } from "../replica/client-batches.ts";
import type { ReplicaManager } from "../replica/manager.ts";
import type { ReplicaMoves } from "../replica/replica-moves.ts";
import type { LogManager } from "../storage/log-manager.ts";
import { adminHandlers } from "./admin-handlers.ts";
import type { ApiHandler } from "./api-handler.ts";
import type { ConfigAdmin } from "./config-admin.ts";
import type { BrokerConfig } from "./config-keys.ts";
import type { GroupCoordinator } from "./coordinator/group-coordinator.ts";
import type { FetchSessions } from "./fetch-sessions.ts";
import { produceHandler } from "./handlers/00-produce.ts";
import { fetchHandler } from "./handlers/01-fetch.ts";
import { listOffsetsHandler } from "./handlers/02-list-offsets.ts";
import { metadataHandler } from "./handlers/03-metadata.ts";
import { offsetCommitHandler } from "./handlers/08-offset-commit.ts";
import { offsetFetchHandler } from "./handlers/09-offset-fetch.ts";
import { findCoordinatorHandler } from "./handlers/10-find-coordinator.ts";
import { joinGroupHandler } from "./handlers/11-join-group.ts";
import { heartbeatHandler } from "./handlers/12-heartbeat.ts";
import { leaveGroupHandler } from "./handlers/13-leave-group.ts";
import { syncGroupHandler } from "./handlers/14-sync-group.ts";
import { describeGroupsHandler } from "./handlers/15-describe-groups.ts";
import { listGroupsHandler } from "./handlers/16-list-groups.ts";
import { apiVersionsHandler } from "./handlers/18-api-versions.ts";
import { createTopicsHandler } from "./handlers/19-create-topics.ts";
import { deleteTopicsHandler } from "./handlers/20-delete-topics.ts";
import { deleteRecordsHandler } from "./handlers/21-delete-records.ts";
import { initProducerIdHandler } from "./handlers/22-init-producer-id.ts";
import { describeConfigsHandler } from "./handlers/32-describe-configs.ts";
import { alterConfigsHandler } from "./handlers/33-alter-configs.ts";
import { deleteGroupsHandler } from "./handlers/42-delete-groups.ts";
import { incrementalAlterConfigsHandler } from "./handlers/44-incremental-alter-configs.ts";
import { offsetDeleteHandler } from "./handlers/47-offset-delete.ts";
import type { LeaderLookup } from "./handlers/leader-hints.ts";
import { listConfigResourcesHandler } from "./handlers/74-list-config-resources.ts";
import { SUPPORTED_FEATURES } from "./metadata/controller.ts";
import { currentLeader, leaderEndPoint, topicLookup } from "./metadata/image-queries.ts";
import type { BrokerLifecycle } from "./metadata/broker-lifecycle.ts";
import type { MetadataManager } from "./metadata/metadata-manager.ts";
import { ProducerIds } from "./metadata/producer-ids.ts";
import { finalizedLevels } from "./metadata/update-features.ts";

export interface HandlerDependencies {
  /** Of all that the logs of this node know, or -1. */
  readonly greatestProducerId: () => number;
  readonly replicas: ReplicaManager;
  readonly moves: ReplicaMoves;
  readonly fetchSessions: FetchSessions;
  readonly metadata: MetadataManager;
  readonly lifecycle: Pick<BrokerLifecycle, "allocateProducerIds">;
  readonly coordinator: GroupCoordinator;
  readonly logs: LogManager;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly offload: Offload;
  readonly logger: Logger;
  readonly clusterId: string;
  readonly configAdmin: ConfigAdmin;
}

/** Every API that this broker serves. What is here is advertised, and nothing else. */
export function createHandlers(
  dependencies: HandlerDependencies,
  config: BrokerConfig,
): readonly ApiHandler[] {
  const handlers = [
    ...dataHandlers(dependencies, config),
    ...groupHandlers(dependencies),
    ...metadataHandlers(dependencies, config),
    ...adminHandlers(dependencies, config),
    ...configHandlers(dependencies),
  ];
  const { metadata, clusterId } = dependencies;
  const versions = apiVersionsHandler({
    handlers,
    supportedFeatures: SUPPORTED_FEATURES,
    finalizedFeatures: () => ({
      epoch: metadata.image.offset,
      levels: finalizedLevels(metadata.image),
    }),
    clusterId,
    nodeId: config["node.id"],
  });
  return [...handlers, versions];
}

function configHandlers({ configAdmin, metadata }: HandlerDependencies): readonly ApiHandler[] {
  return [
    describeConfigsHandler({ configAdmin }),
    alterConfigsHandler({ configAdmin }),
    incrementalAlterConfigsHandler({ configAdmin }),
    listConfigResourcesHandler({ image: () => metadata.image }),
  ];
}

function dataHandlers(
  { replicas, fetchSessions, metadata, clock, offload }: HandlerDependencies,
  config: BrokerConfig,
): readonly ApiHandler[] {
  const leaderOf: LeaderLookup = (partition, listenerName) =>
    currentLeader(metadata.image, partition, listenerName);
  return [
    produceHandler({ replicas, clientBatches: new ClientBatches({ clock, offload }), leaderOf }),
    fetchHandler(
      { replicas, sessions: fetchSessions, leaderOf },
      { fetchMaxBytes: config["fetch.max.bytes"] },
    ),
    listOffsetsHandler({ replicas, offload }),
    deleteRecordsHandler({ replicas }),
  ];
}

function groupHandlers({ metadata, coordinator }: HandlerDependencies): readonly ApiHandler[] {
  const topics = topicLookup(() => metadata.image);
  return [
    offsetCommitHandler({ coordinator, topics }),
    offsetFetchHandler({ coordinator, topics }),
    findCoordinatorHandler({
      coordinator,
      ensureInternalTopic: (name) => metadata.ensureInternalTopic(name),
      leaderEndpoint: (topic, partitionIndex, listenerName) =>
        leaderEndPoint(metadata.image, { topic, partitionIndex }, listenerName),
    }),
    joinGroupHandler({ coordinator }),
    heartbeatHandler({ coordinator }),
    leaveGroupHandler({ coordinator }),
    syncGroupHandler({ coordinator }),
    describeGroupsHandler({ coordinator }),
    listGroupsHandler({ coordinator }),
    deleteGroupsHandler({ coordinator }),
    offsetDeleteHandler({ coordinator, topics }),
  ];
}

function metadataHandlers(
  { metadata, lifecycle, logger, clusterId, greatestProducerId }: HandlerDependencies,
  config: BrokerConfig,
): readonly ApiHandler[] {
  const producerIds = new ProducerIds(
    () => lifecycle.allocateProducerIds(greatestProducerId()),
    () => (greatestProducerId() < metadata.image.nextProducerId ? -1 : greatestProducerId()),
  );
  return [
    metadataHandler({
      metadata,
      clusterId,
      nodeId: config["node.id"],
      isAutoCreationEnabled: config["auto.create.topics.enable"],
    }),
    createTopicsHandler({ metadata }),
    deleteTopicsHandler({ metadata, isDeletionEnabled: config["delete.topic.enable"] }),
    initProducerIdHandler({ producerIds, logger }),
  ];
}
