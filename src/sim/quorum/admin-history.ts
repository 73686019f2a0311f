import type { Uuid } from "../../base/ids.ts";
import type { MetadataImage } from "../../server/metadata/image.ts";
import { topicOverrides } from "../../server/metadata/image.ts";
import type { ReferenceLog } from "./reference-log.ts";
import type { Verdict } from "./verdict.ts";

/** What the one client that touches a topic knows of it. Several values: one of them, as an answer was lost. */
export interface TopicFacts {
  readonly name: string;
  /** Whether it may be there, and whether it may not be. */
  mayExist: boolean;
  mayBeGone: boolean;
  topicId: Uuid | null;
  partitionCounts: Set<number>;
  /** Of retention.ms; null: not set. */
  retentions: Set<string | null>;
  /** Whose answer was lost: they may still be done, at any time (a client that hangs up withdraws nothing). */
  readonly openChanges: { create: boolean; delete: boolean; readonly retentions: Set<string> };
  /** What was asked and answered, for whoever looks for the cause. */
  readonly events: string[];
}

/** What the cluster has answered to its clients, and the verdict on what it keeps of it. */
export class AdminHistory {
  readonly topics: TopicFacts[] = [];
  readonly deletedIds = new Set<Uuid>();
  answeredCount = 0;
  unknownCount = 0;
  refusedCount = 0;
  readonly #verdict: Verdict;
  readonly #reference: ReferenceLog;
  readonly #producerIds = new Set<number>();

  constructor(verdict: Verdict, reference: ReferenceLog) {
    this.#verdict = verdict;
    this.#reference = reference;
  }

  newTopic(name: string): TopicFacts {
    const facts: TopicFacts = {
      ...{ name, mayExist: false, mayBeGone: true, topicId: null },
      ...{ partitionCounts: new Set(), retentions: new Set([null]), events: [] },
      openChanges: { create: false, delete: false, retentions: new Set() },
    };
    this.topics.push(facts);
    return facts;
  }

  onProducerId(producerId: number): void {
    this.#verdict.that("X4", !this.#producerIds.has(producerId), () => `${producerId} twice`);
    this.#producerIds.add(producerId);
    const { nextProducerId } = this.#reference.image;
    this.#verdict.that(
      "E15",
      producerId < nextProducerId,
      () => `producer id ${producerId} is answered, and ${nextProducerId} is agreed on`,
    );
  }

  /** E15: when something is answered, the cluster has agreed on it, and never forgets it. */
  onAnswer(facts: TopicFacts): void {
    this.answeredCount += 1;
    this.#judge(facts, this.#reference.image, "when it was answered");
  }

  /** Of what a node serves, or what all have agreed on. */
  judgeAll(image: MetadataImage, where: string): void {
    for (const facts of this.topics) this.#judge(facts, image, where);
    for (const id of this.deletedIds) {
      this.#verdict.that("E16", !image.topicsById.has(id), () => `${id} is back, ${where}`);
    }
  }

  #judge(facts: TopicFacts, image: MetadataImage, where: string): void {
    const { name, mayExist, mayBeGone, topicId, partitionCounts, retentions } = facts;
    const topic = image.topicsByName.get(name);
    const that = (isRight: boolean, what: string): void =>
      this.#verdict.that(
        "E15",
        isRight,
        () => `${name} ${what}, ${where}; ${facts.events.join("; ")}`,
      );
    if (topic === undefined) {
      that(mayBeGone, "is missing");
      return;
    }
    that(mayExist, "is there, and was deleted or never made");
    if (topicId !== null) that(topic.topicId === topicId, "has another id");
    const count = topic.partitions.length;
    if (partitionCounts.size > 0) that(partitionCounts.has(count), `has ${count} partitions`);
    const retention = topicOverrides(image, name).get("retention.ms") ?? null;
    that(retentions.has(retention), `has retention.ms ${retention}`);
  }
}
