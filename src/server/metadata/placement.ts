import { must } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";
import { type BrokerImage, type MetadataImage, UNASSIGNED_DIRECTORY } from "./image.ts";

/** Where the replicas of one partition go. */
export interface Placement {
  readonly replicas: readonly number[];
}

/** Either a placement for each partition, or why there is none (Kafka's words). */
export type PlacementResult =
  | { readonly kind: "placed"; readonly placements: readonly Placement[] }
  | { readonly kind: "impossible"; readonly reason: string };

/** Brokers that may lead now, by id. */
export function activeBrokers(image: MetadataImage): BrokerImage[] {
  return [...image.brokers.values()]
    .filter((broker) => !broker.isFenced && !broker.isInControlledShutdown)
    .sort((a, b) => a.brokerId - b.brokerId);
}

/**
 * Spreads replicas over the brokers in turn: each partition begins one broker further, so leaders and
 * followers are even. Active brokers first; fenced ones only follow. `firstPartitionIndex`: where the
 * partitions begin that are added to a topic.
 */
export function placeReplicas(
  image: MetadataImage,
  partitionCount: number,
  replicationFactor: number,
  firstPartitionIndex = 0,
): PlacementResult {
  const active = activeBrokers(image);
  const registeredCount = image.brokers.size;
  if (active.length === 0)
    return { kind: "impossible", reason: "All brokers are currently fenced." };
  if (replicationFactor > registeredCount) {
    return {
      kind: "impossible",
      reason:
        `The target replication factor of ${replicationFactor} cannot be reached because only ` +
        `${registeredCount} broker(s) are registered.`,
    };
  }
  const fenced = [...image.brokers.keys()].filter(
    (id) => !active.some(({ brokerId }) => brokerId === id),
  );
  const placements = Array.from({ length: partitionCount }, (_, index) => {
    const first = firstPartitionIndex + index;
    const turned = active.map(
      (_broker, i) => must(active[(first + i) % active.length], "within the list").brokerId,
    );
    return { replicas: [...turned, ...fenced].slice(0, replicationFactor) };
  });
  return { kind: "placed", placements };
}

/** Where each replica lies: decided here if its broker has one directory, else by the broker. */
export function directoriesFor(image: MetadataImage, replicas: readonly number[]): Uuid[] {
  return replicas.map((brokerId) => {
    const [only, ...others] = image.brokers.get(brokerId)?.logDirs ?? [];
    return only === undefined || others.length > 0 ? UNASSIGNED_DIRECTORY : only;
  });
}
