import type { Partition } from "./partition.ts";

/** The end of a leader epoch in a log; both -1: nothing is known of it. */
export interface EndOfEpoch {
  readonly leaderEpoch: number;
  readonly endOffset: number;
}

export const UNKNOWN_END: EndOfEpoch = { leaderEpoch: -1, endOffset: -1 };

/**
 * Kafka's answer to OffsetForLeaderEpoch (KIP-101, KIP-279, KIP-320). The log knows the epochs that wrote
 * something. The epoch that leads now counts from its beginning, as a consumer that looked up the log's
 * end then has it without ever having read a batch of it: to be told that nothing is known of it would
 * send that consumer back to where auto.offset.reset says.
 */
export function endOfEpoch(
  {
    log,
    leaderEpoch,
    logEndOffset,
  }: Pick<Partition, "leaderEpoch" | "logEndOffset"> & {
    readonly log: Pick<Partition["log"], "endOffsetForEpoch" | "latestLeaderEpoch">;
  },
  epoch: number,
): EndOfEpoch {
  if (epoch < 0 || epoch > leaderEpoch) return UNKNOWN_END;
  if (epoch === leaderEpoch) return { leaderEpoch, endOffset: logEndOffset };
  const { latestLeaderEpoch } = log;
  if (epoch <= latestLeaderEpoch) return log.endOffsetForEpoch(epoch);
  // Between the last that wrote and the one that leads: it ended where that one did.
  return {
    leaderEpoch: latestLeaderEpoch === -1 ? epoch : latestLeaderEpoch,
    endOffset: logEndOffset,
  };
}
