import type { MetadataDelta } from "./metadata/image-builder.ts";

/** Kafka's LeaderRecoveryState of a leader that was elected although it may lack what was committed. */
const RECOVERING = 1;

/** Counts elections in which committed records may have been lost (R7), as the metadata log tells of them. */
export class UncleanElections {
  #count = 0;

  /** Since this process started. */
  get count(): number {
    return this.#count;
  }

  observe({ changedTopics, previous }: MetadataDelta): void {
    for (const { topicId, partitions } of changedTopics) {
      const before = previous.topicsById.get(topicId)?.partitions ?? [];
      for (const { partitionIndex, leaderRecoveryState, leaderEpoch } of partitions) {
        const isElected = leaderEpoch !== before[partitionIndex]?.leaderEpoch;
        if (isElected && leaderRecoveryState === RECOVERING) this.#count += 1;
      }
    }
  }
}
