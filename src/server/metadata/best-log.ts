import { type ControllerResult, type ItemError, itemError } from "./controller.ts";
import { electionRecord } from "./elect-leaders.ts";
import { type MetadataImage, NO_LEADER, type PartitionImage, type TopicImage } from "./image.ts";
import { partitionRules } from "./partition-rules.ts";
import type { TopicConfigs } from "./topic-configs.ts";
import type { Uuid } from "../../base/ids.ts";

/** What a broker says of its log of a partition. */
export interface LogAnswer {
  /** Of the incarnation that answered: what another one had counts for nothing. */
  readonly brokerEpoch: number;
  /** Epoch of its last record; -1: it has none. */
  readonly lastEpoch: number;
  readonly endOffset: number;
  /** Something below the end cannot be read (R10). */
  readonly isDamaged: boolean;
}

export type BestLog =
  /** Not all are heard, and there is still time. */
  | { readonly kind: "wait" }
  /** Nobody who was heard can lead. */
  | { readonly kind: "nobody" }
  /** `isExposed`: not all were heard, or what was heard was damaged: committed records may be lost. */
  | { readonly kind: "elect"; readonly brokerId: number; readonly isExposed: boolean };

/**
 * R11: of the last known members, the one whose undamaged log is the greatest by (last epoch, end offset),
 * once all have answered; after the deadline of those that have. Between equals the first one is taken.
 */
export function chooseBestLog(
  lastKnown: readonly number[],
  answers: ReadonlyMap<number, LogAnswer>,
  isDeadlinePassed: boolean,
): BestLog {
  const heard = lastKnown.flatMap((brokerId) => {
    const answer = answers.get(brokerId);
    return answer === undefined ? [] : [{ brokerId, ...answer }];
  });
  if (heard.length < lastKnown.length && !isDeadlinePassed) return { kind: "wait" };
  const sound = heard.filter(({ isDamaged }) => !isDamaged);
  const [first, ...others] = sound;
  if (first === undefined) return { kind: "nobody" };
  const best = others.reduce((known, other) => (isGreater(other, known) ? other : known), first);
  const isExposed = sound.length < lastKnown.length;
  return { kind: "elect", brokerId: best.brokerId, isExposed };
}

function isGreater(a: LogAnswer, b: LogAnswer): boolean {
  return a.lastEpoch === b.lastEpoch ? a.endOffset > b.endOffset : a.lastEpoch > b.lastEpoch;
}

/** A partition that waits for R11. */
export interface AwaitedPartition {
  readonly topic: TopicImage;
  readonly partition: PartitionImage;
}

/** Partitions that nobody leads or is entitled to lead, and whose last known members are to be asked. */
export function partitionsAwaitingBestLog(image: MetadataImage): AwaitedPartition[] {
  return [...image.topicsById.values()].flatMap((topic) =>
    topic.partitions.filter(isAwaiting).map((partition) => ({ topic, partition })),
  );
}

function isAwaiting(partition: PartitionImage): boolean {
  const { leader, isr, eligibleLeaderReplicas, lastKnownElr } = partition;
  const isStranded = leader === NO_LEADER && isr.length + eligibleLeaderReplicas.length === 0;
  return isStranded && lastKnownElr.length > 0;
}

export interface ElectBestLogCommand {
  readonly topicId: Uuid;
  readonly partitionIndex: number;
  /** The partition's when its members were asked. */
  readonly partitionEpoch: number;
  readonly answers: ReadonlyMap<number, LogAnswer>;
  readonly isDeadlinePassed: boolean;
}

/**
 * Elects by R11, if the partition is as it was and those who have answered are the incarnations that are
 * registered. With nobody heard in time, anybody where unclean elections are enabled. An exposed or unclean
 * election is counted (RECOVERING, R-18). Null: elected; otherwise why not.
 */
export function electBestLog(
  image: MetadataImage,
  command: ElectBestLogCommand,
  topicConfigs: TopicConfigs,
): ControllerResult<ItemError | null> {
  const { topicId, partitionIndex, partitionEpoch, isDeadlinePassed } = command;
  const topic = image.topicsById.get(topicId);
  const partition = topic?.partitions[partitionIndex];
  if (topic === undefined || partition === undefined) return refused("UNKNOWN_TOPIC_OR_PARTITION");
  if (partition.partitionEpoch !== partitionEpoch) return refused("INVALID_UPDATE_VERSION");
  if (!isAwaiting(partition)) return refused("ELECTION_NOT_NEEDED");
  const answers = new Map(
    [...command.answers].filter(
      ([brokerId, { brokerEpoch }]) => image.brokers.get(brokerId)?.brokerEpoch === brokerEpoch,
    ),
  );
  const best = chooseBestLog(partition.lastKnownElr, answers, isDeadlinePassed);
  const rules = partitionRules(image, topicConfigs)(topic);
  const isUnclean = best.kind === "nobody" && isDeadlinePassed && rules.isUncleanElectionEnabled;
  if (best.kind !== "elect" && !isUnclean) return refused("ELIGIBLE_LEADERS_NOT_AVAILABLE");
  const record = electionRecord(
    image,
    topic,
    partition,
    rules,
    best.kind === "elect"
      ? { kind: "bestLog", leader: best.brokerId, isExposed: best.isExposed }
      : { kind: "unclean" },
  );
  if (record === null) return refused("ELIGIBLE_LEADERS_NOT_AVAILABLE");
  return { records: [record], answer: null };
}

function refused(name: ItemError["name"]): ControllerResult<ItemError> {
  return { records: [], answer: itemError(name) };
}
