import type { Uuid } from "../../base/ids.ts";
import type { AssignReplicasToDirsRequest } from "../../protocol/messages/73-assign-replicas-to-dirs.ts";
import {
  type BrokerImage,
  LOST_DIRECTORY,
  type PartitionImage,
  UNASSIGNED_DIRECTORY,
} from "./image.ts";

/** The directory of the broker's replica. */
export function replicaDirectory(partition: PartitionImage, brokerId: number): Uuid {
  const index = partition.replicas.indexOf(brokerId);
  return partition.directories[index] ?? UNASSIGNED_DIRECTORY;
}

/** Whether the broker's replica is where the cluster knows it to be, or has no place yet. */
export function holdsReplica(broker: BrokerImage, partition: PartitionImage): boolean {
  const directoryId = replicaDirectory(partition, broker.brokerId);
  return directoryId === UNASSIGNED_DIRECTORY || broker.logDirs.includes(directoryId);
}

/** The same, or it lies in a directory that the broker could not open: then it comes back with that. */
export function mayHoldReplica(broker: BrokerImage, partition: PartitionImage): boolean {
  return holdsReplica(broker, partition) || broker.logDirs.includes(LOST_DIRECTORY);
}

/** Where a replica turned out to lie, for a broker with several directories. */
export interface ReplicaDirectory {
  readonly topicId: Uuid;
  readonly partitionIndex: number;
  readonly directoryId: Uuid;
}

/** By directory and topic, as AssignReplicasToDirs names them. */
export function directoriesOf(
  replicas: readonly ReplicaDirectory[],
): AssignReplicasToDirsRequest["directories"] {
  const directories = new Map<Uuid, Map<Uuid, { readonly partitionIndex: number }[]>>();
  for (const { topicId, partitionIndex, directoryId } of replicas) {
    const topics = directories.get(directoryId) ?? new Map<Uuid, { partitionIndex: number }[]>();
    directories.set(directoryId, topics);
    const partitions = topics.get(topicId) ?? [];
    topics.set(topicId, partitions);
    partitions.push({ partitionIndex });
  }
  return [...directories].map(([id, topics]) => ({
    id,
    topics: [...topics].map(([topicId, partitions]) => ({ topicId, partitions })),
  }));
}
