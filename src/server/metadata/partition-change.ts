import type { Uuid } from "../../base/ids.ts";
import { metadataRecord } from "./controller.ts";
import {
  type MetadataImage,
  type PartitionImage,
  type TopicImage,
  UNASSIGNED_DIRECTORY,
} from "./image.ts";
import { type CanLead, electLeader, type Election, type Members } from "./leader-election.ts";
import type { PartitionRules } from "./partition-rules.ts";
import { directoriesFor } from "./placement.ts";
import { holdsReplica, mayHoldReplica } from "./replica-directories.ts";

/** What a partition shall become; what is left out stays, as far as the rules let it. */
export interface PartitionTarget {
  readonly isr?: readonly number[];
  readonly replicas?: readonly number[];
  readonly removingReplicas?: readonly number[];
  readonly addingReplicas?: readonly number[];
  /** Where a broker's replica lies. */
  readonly directory?: { readonly brokerId: number; readonly directoryId: Uuid };
  readonly leaderRecoveryState?: number;
  /** Came back without a clean shutdown, or lost a directory: moves to LastKnownElr (R5, R9). */
  readonly uncleanReplica?: number;
  /** Has an empty directory: leaves ISR, ELR and LastKnownElr, even as the last member (R5). */
  readonly lostReplica?: number;
  /** The leader epoch rises though the leader stays, or though there is none (R5). */
  readonly raisesLeaderEpoch?: boolean;
  /** A leader asked for the change: what it and its ISR have, nobody has more of. */
  readonly isAskedByLeader?: boolean;
  readonly election?: Election;
}

/** Fields of a PartitionChangeRecord that say something. */
export type PartitionChange = Omit<
  Parameters<typeof metadataRecord<"partitionChange">>[1],
  "topicId" | "partitionId"
>;

/** Who is taken for what the image does not say of them yet. */
export interface Candidates {
  /** May lead although it is still fenced in the image: it is being unfenced. */
  readonly joining?: number;
  /** May not lead any more. */
  readonly leaving?: number;
}

/** Who may lead a partition: active, and with the replica's directory at hand (R5). */
export function canLeadIn(
  image: MetadataImage,
  partition: PartitionImage,
  { joining, leaving }: Candidates = {},
): CanLead {
  return (brokerId) => {
    const broker = image.brokers.get(brokerId);
    if (broker === undefined || brokerId === leaving) return false;
    const isActive = !broker.isFenced && !broker.isInControlledShutdown;
    if (!isActive && brokerId !== joining) return false;
    // What nobody else has is led even where it cannot be opened: it is served as soon as it can.
    const isSole = partition.replicas.length === 1;
    return isSole ? mayHoldReplica(broker, partition) : holdsReplica(broker, partition);
  };
}

/** A change as a record. */
export function partitionChangeRecord(
  topic: TopicImage,
  { partitionIndex }: PartitionImage,
  change: PartitionChange,
): Buffer {
  return metadataRecord("partitionChange", {
    ...change,
    topicId: topic.topicId,
    partitionId: partitionIndex,
  });
}

/**
 * The one way in which a partition changes, whatever for (Kafka's PartitionChangeBuilder): completes a
 * reassignment that has caught up, keeps ELR and LastKnownElr true, and elects a leader where there is
 * none that may stay. Null: nothing changes.
 */
export function changePartition(
  image: MetadataImage,
  partition: PartitionImage,
  rules: PartitionRules,
  target: PartitionTarget,
  candidates: Candidates = {},
): PartitionChange | null {
  const assigned = completed(image, partition, target);
  const members = membersAfter(partition, assigned, rules, target);
  const elected = electLeader(partition, members, {
    replicas: assigned.replicas,
    election: target.election ?? { kind: "online" },
    isUncleanElectionEnabled: rules.isUncleanElectionEnabled,
    canLead: canLeadIn(image, { ...partition, ...assigned }, candidates),
  });
  // One that was elected from the ELR may be enough by itself to commit, and the others then fall behind.
  const isFull = isFullIsr(elected.isr, assigned.replicas, rules);
  const eligibleLeaderReplicas = isFull ? [] : elected.eligibleLeaderReplicas;
  const isReplicaRemoved = partition.replicas.some((id) => !assigned.replicas.includes(id));
  const isRaised = isReplicaRemoved || target.raisesLeaderEpoch === true;
  const recoveryState = elected.recoveryState ?? target.leaderRecoveryState;
  const change: PartitionChange = {
    ...changed("replicas", partition.replicas, assigned.replicas),
    ...changed("directories", partition.directories, assigned.directories),
    ...changed("removingReplicas", partition.removingReplicas, assigned.removingReplicas),
    ...changed("addingReplicas", partition.addingReplicas, assigned.addingReplicas),
    ...changed("isr", partition.isr, elected.isr),
    ...changed("eligibleLeaderReplicas", partition.eligibleLeaderReplicas, eligibleLeaderReplicas),
    ...changed("lastKnownElr", partition.lastKnownElr, elected.lastKnownElr),
    ...(elected.leader !== partition.leader || isRaised ? { leader: elected.leader } : {}),
    ...(recoveryState === undefined || recoveryState === partition.leaderRecoveryState
      ? {}
      : { leaderRecoveryState: recoveryState }),
  };
  return Object.keys(change).length === 0 ? null : change;
}

/** A partition's assignment. */
type Assigned = Pick<
  PartitionImage,
  "replicas" | "directories" | "removingReplicas" | "addingReplicas" | "isr"
>;

/** The assignment and ISR that are wanted; if the ISR has all of the target set, without the rest. */
function completed(
  image: MetadataImage,
  partition: PartitionImage,
  target: PartitionTarget,
): Assigned {
  const replicas = target.replicas ?? partition.replicas;
  const removingReplicas = target.removingReplicas ?? partition.removingReplicas;
  const addingReplicas = target.addingReplicas ?? partition.addingReplicas;
  const isr = (target.isr ?? partition.isr).filter(
    (id) => id !== target.uncleanReplica && id !== target.lostReplica,
  );
  const isReassigned = removingReplicas.length + addingReplicas.length > 0;
  const staying = without(replicas, removingReplicas);
  const isComplete =
    isReassigned && staying.length > 0 && staying.every((brokerId) => isr.includes(brokerId));
  const next = isComplete ? staying : replicas;
  return {
    replicas: next,
    directories: directoriesOf(image, partition, next, target),
    removingReplicas: isComplete ? [] : removingReplicas,
    addingReplicas: isComplete ? [] : addingReplicas,
    isr: isr.filter((brokerId) => next.includes(brokerId)),
  };
}

function directoriesOf(
  image: MetadataImage,
  partition: PartitionImage,
  replicas: readonly number[],
  { directory }: PartitionTarget,
): readonly Uuid[] {
  const fresh = directoriesFor(image, replicas);
  return replicas.map((brokerId, index) => {
    if (brokerId === directory?.brokerId) return directory.directoryId;
    const before = partition.directories[partition.replicas.indexOf(brokerId)];
    return before ?? fresh[index] ?? UNASSIGNED_DIRECTORY;
  });
}

/**
 * KIP-966: while the ISR is below min.insync.replicas, nothing is committed (R6), so who leaves it keeps
 * all that is: the ELR. Who came back uncleanly may have lost something: LastKnownElr. It is kept
 * until a leader has its ISR together again, as after a power cut of all its members come back one by one
 * and the best of their logs is looked for among all of them (R11).
 */
function membersAfter(
  partition: PartitionImage,
  { replicas, isr: wantedIsr }: Assigned,
  rules: PartitionRules,
  { uncleanReplica, lostReplica, isAskedByLeader = false }: PartitionTarget,
): Members {
  const isGone = (id: number) => id === lostReplica || !replicas.includes(id);
  const isUnsafe = (id: number) => isGone(id) || id === uncleanReplica;
  // Without ELR nobody else is known to have everything: the last members stay, up or not.
  const last = partition.isr.filter((id) => !isUnsafe(id));
  const isr = wantedIsr.length === 0 && !rules.isElrEnabled ? last : wantedIsr;
  const isFull = isFullIsr(isr, replicas, rules);
  const safe = union(partition.eligibleLeaderReplicas, partition.isr);
  const eligibleLeaderReplicas =
    isFull || !rules.isElrEnabled ? [] : without(safe, isr).filter((id) => !isUnsafe(id));
  const wasMember = [...safe, partition.leader].some((id) => id === uncleanReplica);
  const unsafe = union(
    partition.lastKnownElr,
    wasMember && uncleanReplica !== undefined ? [uncleanReplica] : [],
  );
  const lastKnownElr =
    isFull && isAskedByLeader
      ? []
      : without(unsafe, [...isr, ...eligibleLeaderReplicas]).filter((id) => !isGone(id));
  return { isr, eligibleLeaderReplicas, lastKnownElr };
}

/** Whether the ISR may commit: it has as many members as are asked for, or as there are replicas (R6). */
function isFullIsr(
  isr: readonly number[],
  replicas: readonly number[],
  { minInsyncReplicas }: PartitionRules,
): boolean {
  return isr.length >= Math.min(minInsyncReplicas, replicas.length);
}

function changed<K extends keyof PartitionChange, T extends string | number>(
  field: K,
  before: readonly T[],
  after: readonly T[],
): { readonly [F in K]?: readonly T[] } {
  const isSame = before.length === after.length && before.every((id, i) => id === after[i]);
  return isSame ? {} : ({ [field]: after } as { readonly [F in K]?: readonly T[] });
}

function union(ids: readonly number[], others: readonly number[]): number[] {
  return [...new Set([...ids, ...others])];
}

function without(ids: readonly number[], others: readonly number[]): number[] {
  return ids.filter((id) => !others.includes(id));
}
