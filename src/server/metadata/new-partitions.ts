import { must } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";
import { metadataRecord } from "./controller.ts";
import type { MetadataImage } from "./image.ts";
import { activeBrokers, directoriesFor } from "./placement.ts";

/** Replicas of each new partition, in the order of their indexes. */
export type Assignment = readonly (readonly number[])[];

const MANUAL = "The manual partition assignment includes";

/**
 * Why a partition may not have the replicas that a client chose for it, in Kafka's words; null when it
 * may. Those before it have `replicationFactor` replicas each.
 */
export function assignmentProblem(
  image: MetadataImage,
  partitionIndex: number,
  brokerIds: readonly number[],
  replicationFactor = 0,
): string | null {
  const problem = replicasProblem(image, brokerIds);
  if (problem !== null) return problem;
  if (brokerIds.length !== replicationFactor) {
    return (
      `${MANUAL} a partition with ${brokerIds.length} replica(s), but this is not consistent with ` +
      `previous partitions, which have ${replicationFactor} replica(s).`
    );
  }
  const active = new Set(activeBrokers(image).map(({ brokerId }) => brokerId));
  if (brokerIds.some((brokerId) => active.has(brokerId))) return null;
  return (
    `All brokers specified in the manual partition assignment for partition ${partitionIndex} ` +
    "are fenced or in controlled shutdown."
  );
}

/** Why no partition may have these replicas, in Kafka's words; null when one may. */
export function replicasProblem(image: MetadataImage, brokerIds: readonly number[]): string | null {
  if (brokerIds.length === 0) return `${MANUAL} an empty replica list.`;
  const sorted = [...brokerIds].sort((a, b) => a - b);
  for (const [index, brokerId] of sorted.entries()) {
    if (!image.brokers.has(brokerId)) {
      return `${MANUAL} broker ${brokerId}, but no such broker is registered.`;
    }
    if (sorted[index - 1] === brokerId) return `${MANUAL} the broker ${brokerId} more than once.`;
  }
  return null;
}

/** The records of partitions from `firstPartitionIndex` on; each has an active replica. */
export function newPartitionRecords(
  image: MetadataImage,
  topicId: Uuid,
  assignment: Assignment,
  firstPartitionIndex: number,
): Buffer[] {
  const active = new Set(activeBrokers(image).map(({ brokerId }) => brokerId));
  return assignment.map((replicas, index) => {
    const isr = replicas.filter((brokerId) => active.has(brokerId));
    return metadataRecord("partition", {
      partitionId: firstPartitionIndex + index,
      topicId,
      replicas,
      isr,
      removingReplicas: [],
      addingReplicas: [],
      leader: must(isr[0], "a new partition has an active replica"),
      leaderEpoch: 0,
      partitionEpoch: 0,
      directories: directoriesFor(image, replicas),
    });
  });
}
