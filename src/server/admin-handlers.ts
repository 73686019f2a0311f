import type { ApiHandler } from "./api-handler.ts";
import type { BrokerConfig } from "./config-keys.ts";
import type { HandlerDependencies } from "./handlers.ts";
import { offsetForLeaderEpochHandler } from "./handlers/23-offset-for-leader-epoch.ts";
import { alterReplicaLogDirsHandler } from "./handlers/34-alter-replica-log-dirs.ts";
import { describeLogDirsHandler } from "./handlers/35-describe-log-dirs.ts";
import { createPartitionsHandler } from "./handlers/37-create-partitions.ts";
import { electLeadersHandler } from "./handlers/43-elect-leaders.ts";
import { alterPartitionReassignmentsHandler } from "./handlers/45-alter-partition-reassignments.ts";
import { listPartitionReassignmentsHandler } from "./handlers/46-list-partition-reassignments.ts";
import { describeQuorumHandler } from "./handlers/55-describe-quorum.ts";
import { updateFeaturesHandler } from "./handlers/57-update-features.ts";
import { describeClusterHandler } from "./handlers/60-describe-cluster.ts";
import { describeProducersHandler } from "./handlers/61-describe-producers.ts";
import { unregisterBrokerHandler } from "./handlers/64-unregister-broker.ts";
import { describeTopicPartitionsHandler } from "./handlers/75-describe-topic-partitions.ts";
import { addRaftVoterHandler } from "./handlers/80-add-raft-voter.ts";
import { removeRaftVoterHandler } from "./handlers/81-remove-raft-voter.ts";

/** max.request.partition.size.limit. */
const MAX_PARTITIONS_OF_A_REQUEST = 2000;

/** What administrators ask of a cluster and its nodes, besides topics, settings and groups. */
export function adminHandlers(
  { replicas, moves, metadata, logs, disk, clusterId }: HandlerDependencies,
  config: BrokerConfig,
): readonly ApiHandler[] {
  const nodeId = config["node.id"];
  return [
    offsetForLeaderEpochHandler({ replicas }),
    alterReplicaLogDirsHandler({ moves, logs }),
    describeLogDirsHandler({ logs, disk }),
    createPartitionsHandler({ metadata }),
    electLeadersHandler({ metadata }),
    alterPartitionReassignmentsHandler({ metadata }),
    listPartitionReassignmentsHandler({ metadata }),
    describeQuorumHandler({ metadata }),
    updateFeaturesHandler({ metadata }),
    describeClusterHandler({ metadata, clusterId, nodeId }),
    describeProducersHandler({ replicas }),
    unregisterBrokerHandler({ metadata }),
    addRaftVoterHandler({ metadata, clusterId }),
    removeRaftVoterHandler({ metadata, clusterId }),
    describeTopicPartitionsHandler({ metadata, maxPartitions: MAX_PARTITIONS_OF_A_REQUEST }),
  ];
}
