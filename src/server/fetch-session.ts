import { must } from "../base/assert.ts";
import type { FetchRequest, FetchResponse } from "../protocol/messages/01-fetch.ts";
import type { FetchAnswer, FetchTarget, PartitionAnswer } from "../replica/delayed-fetch.ts";

// Incremental fetch sessions (KIP-227): the broker keeps what a client fetches, the client names only what
// has changed, and is told only what has.

/** Epochs of a request that lists all its partitions: "and close", "and open a session". */
export const FINAL_EPOCH = -1;
export const INITIAL_EPOCH = 0;

const LAST_EPOCH = 2 ** 31 - 1;

type ResponseTopics = FetchResponse["responses"];

/** A partition of a session, and what the client was last told of it. */
interface SessionPartition {
  target: FetchTarget;
  highWatermark: number;
  logStartOffset: number;
}

/** The partitions that one client fetches, by `keyOf`, in the order in which they have their turn. */
export type SessionPartitions = Map<string, SessionPartition>;

/** The epoch that follows. */
export function nextEpoch(epoch: number): number {
  return epoch === LAST_EPOCH ? 1 : epoch + 1;
}

/** What a request lists, each partition for itself, in its order. */
export function targetsOf({ topics }: FetchRequest): readonly FetchTarget[] {
  const targets: FetchTarget[] = [];
  for (const { topic, topicId, partitions } of topics) {
    for (const each of partitions) {
      targets.push({
        topic,
        topicId,
        partition: each.partition,
        currentLeaderEpoch: each.currentLeaderEpoch,
        fetchOffset: each.fetchOffset,
        lastFetchedEpoch: each.lastFetchedEpoch,
        partitionMaxBytes: each.partitionMaxBytes,
      });
    }
  }
  return targets;
}

/** The partitions of a request that wants a session. One that is listed twice counts as last said. */
export function newPartitions(request: FetchRequest): SessionPartitions {
  const partitions: SessionPartitions = new Map();
  for (const target of targetsOf(request)) put(partitions, target);
  return partitions;
}

/** One client's session. */
export class FetchSession {
  readonly id: number;
  /** Whether its requests name topics by id. */
  readonly isById: boolean;
  readonly createdMs: number;
  lastUsedMs: number;
  /** Of the next request. */
  epoch = nextEpoch(INITIAL_EPOCH);
  readonly #partitions: SessionPartitions;

  constructor(
    id: number,
    options: { readonly isById: boolean; readonly nowMs: number },
    partitions: SessionPartitions,
  ) {
    this.id = id;
    this.isById = options.isById;
    this.createdMs = options.nowMs;
    this.lastUsedMs = options.nowMs;
    this.#partitions = partitions;
  }

  get partitionCount(): number {
    return this.#partitions.size;
  }

  /** Takes over what the next request adds, changes and forgets. */
  update(request: FetchRequest): void {
    for (const target of targetsOf(request)) put(this.#partitions, target);
    for (const { topic, topicId, partitions } of request.forgottenTopicsData) {
      for (const partition of partitions) {
        this.#partitions.delete(keyOf({ topic, topicId, partition }));
      }
    }
  }

  targets(): readonly FetchTarget[] {
    return Array.from(this.#partitions.values(), ({ target }) => target);
  }

  /**
   * What the client has to be told of the answers. Partitions that gave records go to the end, so that
   * the others come first the next time.
   */
  changes(targets: readonly FetchTarget[], answers: FetchAnswer): ResponseTopics {
    return byTopic(targets, answers, (target, answer) => {
      const key = keyOf(target);
      const partition = this.#partitions.get(key);
      if (partition === undefined || !note(partition, answer)) return false;
      if (answer.records.length > 0) {
        this.#partitions.delete(key);
        this.#partitions.set(key, partition);
      }
      return true;
    });
  }
}

/** Notes what a client is told by the first, full answer of a session. */
export function noteAll(
  partitions: SessionPartitions,
  targets: readonly FetchTarget[],
  answers: FetchAnswer,
): void {
  for (const [index, target] of targets.entries()) {
    const partition = must(partitions.get(keyOf(target)), "the targets are the session's");
    note(partition, must(answers[index], "each target has an answer"));
  }
}

/** The answers as a response has them; those of one topic that follow each other together. */
export function byTopic(
  targets: readonly FetchTarget[],
  answers: FetchAnswer,
  isWanted: (target: FetchTarget, answer: PartitionAnswer) => boolean = () => true,
): ResponseTopics {
  const topics: {
    topic: string;
    topicId: FetchTarget["topicId"];
    partitions: PartitionAnswer[];
  }[] = [];
  for (const [index, target] of targets.entries()) {
    const answer = must(answers[index], "each target has an answer");
    if (!isWanted(target, answer)) continue;
    const { topic, topicId } = target;
    const last = topics.at(-1);
    if (last?.topic === topic && last.topicId === topicId) last.partitions.push(answer);
    else topics.push({ topic, topicId, partitions: [answer] });
  }
  return topics as unknown as ResponseTopics;
}

/** By id and by name cannot meet: a session has one or the other, and a missing one is empty or zero. */
function keyOf({
  topic,
  topicId,
  partition,
}: Pick<FetchTarget, "topic" | "topicId" | "partition">): string {
  return `${topicId}${topic}-${partition}`;
}

function put(partitions: SessionPartitions, target: FetchTarget): void {
  const key = keyOf(target);
  const known = partitions.get(key);
  if (known === undefined) partitions.set(key, { target, highWatermark: -1, logStartOffset: -1 });
  else known.target = target;
}

/** Whether the answer says what the client was not told yet. */
function note(partition: SessionPartition, answer: PartitionAnswer): boolean {
  let isNews = answer.records.length > 0 || answer.divergingEpoch !== undefined;
  isNews ||= partition.highWatermark !== answer.highWatermark;
  isNews ||= partition.logStartOffset !== answer.logStartOffset;
  isNews ||= answer.errorCode !== 0;
  // When the error is over, the client hears of the partition again.
  partition.highWatermark = answer.errorCode === 0 ? answer.highWatermark : -1;
  partition.logStartOffset = answer.logStartOffset;
  return isNews;
}
