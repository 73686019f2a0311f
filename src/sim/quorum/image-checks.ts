import type { Uuid } from "../../base/ids.ts";
import {
  type BrokerImage,
  type MetadataImage,
  NO_LEADER,
  type PartitionImage,
  type TopicImage,
} from "../../server/metadata/image.ts";
import type { QuorumNode } from "./quorum-node.ts";
import type { CommittedRecord } from "./reference-log.ts";
import type { Verdict } from "./verdict.ts";

/** The rules of the metadata, on each record and each batch that the cluster agrees on. */
export class ImageChecks {
  readonly #verdict: Verdict;
  readonly #nodes: readonly QuorumNode[];
  readonly #topicIds = new Set<Uuid>();
  readonly #brokerEpochs = new Set<number>();
  /** Of a broker that was not shut down cleanly: where it has still a place that it must lose (R5). */
  readonly #owed = new Map<number, Set<string>>();
  electionCount = 0;
  uncleanStartCount = 0;

  constructor(verdict: Verdict, nodes: readonly QuorumNode[]) {
    this.#verdict = verdict;
    this.#nodes = nodes;
  }

  onRecord({ offset, entry, before, after }: CommittedRecord): void {
    if (entry.kind === "registerBroker") {
      const { brokerId, brokerEpoch } = entry.record;
      const isFresh = brokerEpoch === offset && !this.#brokerEpochs.has(brokerEpoch);
      this.#verdict.that("K16", isFresh, () => `broker ${brokerId}: ${brokerEpoch} at ${offset}`);
      this.#brokerEpochs.add(brokerEpoch);
      this.#onRegistered(brokerId, before);
    }
    if (entry.kind === "topic") {
      const { topicId, name } = entry.record;
      this.#verdict.that("E16", !this.#topicIds.has(topicId), () => `${name} again: ${topicId}`);
      this.#topicIds.add(topicId);
    }
    if (entry.kind === "producerIds") {
      const { nextProducerId } = entry.record;
      this.#verdict.that("X4", nextProducerId > before.nextProducerId, () => `${nextProducerId}`);
    }
    for (const [brokerId, places] of this.#owed) {
      for (const place of places) if (!hasPlace(after, brokerId, place)) places.delete(place);
      if (after.brokers.get(brokerId)?.isFenced !== false) continue;
      this.#verdict.that(
        "R5",
        places.size === 0,
        () => `broker ${brokerId} is unfenced at ${offset}, and still in ${[...places].join(", ")}`,
      );
      this.#owed.delete(brokerId);
    }
  }

  onApplied(before: MetadataImage, after: MetadataImage): void {
    for (const topic of after.topicsById.values()) {
      const known = before.topicsById.get(topic.topicId);
      if (known === topic) continue;
      for (const partition of topic.partitions) {
        const old = known?.partitions[partition.partitionIndex];
        if (old === partition) continue;
        this.#checkPartition(topic, partition, after);
        if (old !== undefined) this.#checkChange(topic, { old, partition }, { before, after });
      }
    }
  }

  #onRegistered(brokerId: number, before: MetadataImage): void {
    const node = this.#nodes.find(({ id }) => id === brokerId);
    if (node === undefined) return;
    const isUnclean = node.cleanStarts.every((isClean) => !isClean);
    // A registration may be of a process before the last one, if it comes late.
    node.cleanStarts = node.cleanStarts.slice(-1);
    if (!isUnclean) {
      this.#owed.delete(brokerId);
      return;
    }
    const places = [...before.topicsById.values()].flatMap(({ topicId, partitions }) =>
      partitions.flatMap((partition) => {
        const place = `${topicId}/${partition.partitionIndex}/${partition.leaderEpoch}`;
        return isMember(partition, brokerId) ? [place] : [];
      }),
    );
    if (places.length > 0) this.uncleanStartCount += 1;
    this.#owed.set(brokerId, new Set(places));
  }

  #checkPartition({ name }: TopicImage, partition: PartitionImage, image: MetadataImage): void {
    const { leader, isr, eligibleLeaderReplicas: elr, partitionIndex } = partition;
    const text = (): string => `${name}-${partitionIndex}: ${JSON.stringify(partition)}`;
    this.#verdict.that("R-6", leader === NO_LEADER || isr.includes(leader), text);
    this.#verdict.that(
      "R-16",
      elr.every((id) => !isr.includes(id)),
      text,
    );
    this.#verdict.that("R-6", leader === NO_LEADER || !isGone(image.brokers.get(leader)), text);
  }

  #checkChange(
    { name }: TopicImage,
    { old, partition }: { readonly old: PartitionImage; readonly partition: PartitionImage },
    { after }: { readonly before: MetadataImage; readonly after: MetadataImage },
  ): void {
    const text = (): string =>
      `${name}-${partition.partitionIndex}: ${JSON.stringify(old)} to ${JSON.stringify(partition)}`;
    const { leader, leaderEpoch, isr, eligibleLeaderReplicas: elr } = partition;
    this.#verdict.that("R-13", partition.partitionEpoch > old.partitionEpoch, text);
    const isNewLeader = leader !== old.leader;
    const isEpochRight = isNewLeader
      ? leaderEpoch > old.leaderEpoch
      : leaderEpoch >= old.leaderEpoch;
    this.#verdict.that("R-9", isEpochRight, text);
    const joined = isr.filter((id) => !old.isr.includes(id));
    this.#verdict.that(
      "R-12",
      joined.every((id) => !isGone(after.brokers.get(id))),
      text,
    );
    const eligible = elr.filter((id) => !old.eligibleLeaderReplicas.includes(id));
    this.#verdict.that(
      "R-16",
      eligible.every((id) => old.isr.includes(id)),
      text,
    );
    if (!isNewLeader || leader === NO_LEADER) return;
    this.electionCount += 1;
    // Of those who were last known to have all, one may be elected when it is the only one (R11).
    const { lastKnownElr } = old;
    const isSafe = [...old.isr, ...old.eligibleLeaderReplicas, ...lastKnownElr].includes(leader);
    this.#verdict.that("R-18", isSafe, text);
  }
}

function isGone(broker: BrokerImage | undefined): boolean {
  return broker === undefined || broker.isFenced;
}

function isMember({ isr, eligibleLeaderReplicas }: PartitionImage, brokerId: number): boolean {
  return isr.includes(brokerId) || eligibleLeaderReplicas.includes(brokerId);
}

/** Whether it has the place still, by the same leader's epoch. */
function hasPlace(image: MetadataImage, brokerId: number, place: string): boolean {
  const [topicId, index, leaderEpoch] = place.split("/");
  const partition = image.topicsById.get(topicId as Uuid)?.partitions[Number(index)];
  if (partition === undefined) return false;
  return isMember(partition, brokerId) && partition.leaderEpoch === Number(leaderEpoch);
}
