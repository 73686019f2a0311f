import {
  type MetadataImage,
  NO_LEADER,
  type PartitionImage,
} from "../../../src/server/metadata/image.ts";

/** What the replicas of a partition really have. */
export interface Replication {
  /** What was acknowledged by all of an ISR that was large enough. */
  committed: number;
  readonly lengths: Map<number, number>;
  /** What the leader of `leaderEpoch` knows of each replica. */
  readonly positions: Map<number, number>;
  leaderEpoch?: number;
}

export interface Change {
  readonly before: MetadataImage;
  readonly image: MetadataImage;
  readonly what: string;
  readonly replication: ReadonlyMap<number, Replication>;
  /** Whether the registered incarnation runs. */
  readonly isRunning: (brokerId: number) => boolean;
  readonly isUncleanEnabled: boolean;
  /** After the change. */
  readonly minInsyncReplicas: number;
}

export interface Findings {
  readonly problem: string | null;
  readonly elections: readonly string[];
}

const RECOVERING = 1;

/** What a change has broken; the elections that it made, for counting. */
export function problemsOf(change: Change): Findings {
  const elections: string[] = [];
  for (const [topicId, topic] of change.image.topicsById) {
    const old = change.before.topicsById.get(topicId);
    for (const [index, partition] of topic.partitions.entries()) {
      const before = old?.partitions[index];
      if (before === undefined || before === partition) continue;
      const problem =
        shapeProblem(partition) ??
        eligibilityProblem(change, partition) ??
        epochProblem(before, partition) ??
        assignmentProblem(change, before, partition) ??
        electionProblem(change, before, partition, elections);
      if (problem === null) continue;
      const found = `${change.what}, partition ${index}: ${problem}`;
      return { problem: `${found}\n${JSON.stringify({ before, partition })}`, elections };
    }
  }
  return { problem: null, elections };
}

function shapeProblem(partition: PartitionImage): string | null {
  const { replicas, isr, eligibleLeaderReplicas, lastKnownElr, leader, directories } = partition;
  const members = [...isr, ...eligibleLeaderReplicas, ...lastKnownElr];
  if (new Set(members).size < members.length) return "ISR, ELR and LastKnownElr meet";
  if (!members.every((id) => replicas.includes(id))) return "a member is no replica";
  if (directories.length !== replicas.length) return "not a directory for each replica";
  if (leader !== NO_LEADER && !isr.includes(leader)) return "R-6: the leader is not in the ISR";
  return null;
}

/** R6, R-16: who is not in an ISR that commits falls behind, and is not eligible. */
function eligibilityProblem(
  { minInsyncReplicas }: Change,
  { leader, isr, replicas, eligibleLeaderReplicas }: PartitionImage,
): string | null {
  const commits =
    leader !== NO_LEADER && isr.length >= Math.min(minInsyncReplicas, replicas.length);
  return commits && eligibleLeaderReplicas.length > 0 ? "R-16: eligible beside a full ISR" : null;
}

function epochProblem(before: PartitionImage, partition: PartitionImage): string | null {
  if (partition.partitionEpoch <= before.partitionEpoch) return "R-13: the partition epoch stood";
  const isNewLeader = partition.leader !== before.leader;
  if (isNewLeader && partition.leaderEpoch <= before.leaderEpoch)
    return "R-9: one epoch, two leaders";
  if (partition.leaderEpoch < before.leaderEpoch) return "R-9: the leader epoch fell";
  return null;
}

/** replicas go only when a reassignment is complete or given up. */
function assignmentProblem(
  { what }: Change,
  before: PartitionImage,
  partition: PartitionImage,
): string | null {
  const isGone = before.replicas.some((id) => !partition.replicas.includes(id));
  if (!isGone) return null;
  const isComplete = partition.replicas.every((id) => partition.isr.includes(id));
  const isGivenUp = before.replicas.every(
    (id) => partition.replicas.includes(id) || before.addingReplicas.includes(id),
  );
  if (!isComplete && !(what === "reassign" && isGivenUp)) return "R-20: below the target set";
  return partition.leaderEpoch > before.leaderEpoch ? null : "R-20: without a new leader epoch";
}

function electionProblem(
  { image, replication, isRunning, what, isUncleanEnabled }: Change,
  before: PartitionImage,
  { leader, leaderEpoch, leaderRecoveryState, partitionIndex }: PartitionImage,
  elections: string[],
): string | null {
  if (leaderEpoch === before.leaderEpoch || leader === NO_LEADER) return null;
  const isNew = leader !== before.leader;
  const broker = image.brokers.get(leader);
  if (isNew && (broker === undefined || broker.isFenced)) return "a fenced broker was elected";
  if (isNew && broker?.isInControlledShutdown === true) return "one that leaves was elected";
  const isLastKnown = before.lastKnownElr.includes(leader);
  const wasSafe = [...before.isr, ...before.eligibleLeaderReplicas].includes(leader);
  const isUnclean = isNew && leaderRecoveryState === RECOVERING && !wasSafe;
  if (isNew) elections.push(isLastKnown ? "last known" : isUnclean ? "unclean" : "clean");
  const state = replication.get(partitionIndex);
  if (state === undefined) return null;
  const length = state.lengths.get(leader) ?? 0;
  if (isUnclean && !isLastKnown && !isUncleanEnabled && what !== "elect unclean") {
    return "R-18: an unclean election where it is not enabled";
  }
  if (length >= state.committed) return null;
  // One that is gone for now does not lead really: when it comes back, R5 looks at it.
  if (!isRunning(leader)) return null;
  if (!isLastKnown && !isUnclean) return "R-2, R-16: it lacks what is committed, and was elected";
  state.committed = length;
  return null;
}
