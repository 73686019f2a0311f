import type { Uuid } from "../../base/ids.ts";
import { holdsReplica, mayHoldReplica } from "./replica-directories.ts";
import {
  type BrokerImage,
  type EndPointImage,
  type MetadataImage,
  NO_LEADER,
  type PartitionImage,
} from "./image.ts";

/** The endpoint of a registration at which other nodes reach a broker; clients are never told of it. */
export const PEER_ENDPOINT = "PEER";

/** Where clients of a listener reach a broker. */
export interface BrokerEndPoint {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

/** The broker's address on the listener; null when it has none of that name. */
export function endPointOf(broker: BrokerImage, listenerName: string): EndPointImage | null {
  return broker.endPoints.find(({ name }) => name === listenerName) ?? null;
}

/** Whether clients of the listener can be sent to the broker now. */
export function isReachableBy(broker: BrokerImage, listenerName: string): boolean {
  return !broker.isFenced && endPointOf(broker, listenerName) !== null;
}

/**
 * The node that clients take for the controller: any that they can reach, as each sends on what is for the
 * active one (KIP-590); `preferredId` if it can be. -1: none can.
 */
export function controllerForClients(
  image: MetadataImage,
  preferredId: number,
  listenerName: string,
): number {
  const reachable = [...image.brokers.values()].filter((each) => isReachableBy(each, listenerName));
  const chosen = reachable.find(({ brokerId }) => brokerId === preferredId) ?? reachable[0];
  return chosen?.brokerId ?? -1;
}

/** Replicas that clients of the listener cannot reach, or whose directory is not there. */
export function offlineReplicas(
  image: MetadataImage,
  partition: PartitionImage,
  listenerName: string,
): number[] {
  return partition.replicas.filter((brokerId) => {
    const broker = image.brokers.get(brokerId);
    if (broker === undefined || !isReachableBy(broker, listenerName)) return true;
    return !holdsReplica(broker, partition);
  });
}

/** Replicas of the broker whose directory is none of those that it has registered: `topic-partition`. */
export function lostReplicas(image: MetadataImage, brokerId: number): string[] {
  const broker = image.brokers.get(brokerId);
  if (broker === undefined) return [];
  return [...image.topicsById.values()].flatMap(({ name, partitions }) =>
    partitions
      .filter((each) => each.replicas.includes(brokerId) && !mayHoldReplica(broker, each))
      .map(({ partitionIndex }) => `${name}-${partitionIndex}`),
  );
}

/** The partition's leader, if clients of the listener can reach it now. */
export function leaderEndPoint(
  image: MetadataImage,
  partition: { readonly topic: string; readonly partitionIndex: number },
  listenerName: string,
): BrokerEndPoint | null {
  const { leader = NO_LEADER } =
    image.topicsByName.get(partition.topic)?.partitions[partition.partitionIndex] ?? {};
  const broker = image.brokers.get(leader);
  if (broker === undefined || broker.isFenced) return null;
  const endPoint = endPointOf(broker, listenerName);
  return endPoint === null ? null : { nodeId: leader, host: endPoint.host, port: endPoint.port };
}

/** Who leads the partition, and where clients of the listener reach it (KIP-951); null: nobody does. */
export function currentLeader(
  image: MetadataImage,
  partition: { readonly topic: string; readonly partitionIndex: number },
  listenerName: string,
): { readonly leaderEpoch: number; readonly endPoint: BrokerEndPoint } | null {
  const found = image.topicsByName.get(partition.topic)?.partitions[partition.partitionIndex];
  const endPoint = leaderEndPoint(image, partition, listenerName);
  if (found === undefined || endPoint === null) return null;
  return { leaderEpoch: found.leaderEpoch, endPoint };
}

/** Names and ids of topics, in whatever image is current at the call. */
export function topicLookup(image: () => MetadataImage): {
  topicId: (name: string) => Uuid | undefined;
  topicName: (topicId: Uuid) => string | undefined;
  partitionCount: (name: string) => number | undefined;
} {
  return {
    topicId: (name) => image().topicsByName.get(name)?.topicId,
    topicName: (topicId) => image().topicsById.get(topicId)?.name,
    partitionCount: (name) => image().topicsByName.get(name)?.partitions.length,
  };
}

/** A broker that may lead now, and where other nodes reach it. */
export interface ActiveBroker {
  readonly brokerId: number;
  readonly brokerEpoch: number;
  readonly address: { readonly host: string; readonly port: number };
}

export function activeBrokers({ brokers }: MetadataImage): ActiveBroker[] {
  return [...brokers.values()].flatMap((broker) => {
    const { brokerId, brokerEpoch, isFenced } = broker;
    const endPoint = endPointOf(broker, PEER_ENDPOINT);
    if (isFenced || endPoint === null) return [];
    const { host, port } = endPoint;
    return [{ brokerId, brokerEpoch, address: { host, port } }];
  });
}
