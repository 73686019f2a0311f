import { KafkaError } from "../../protocol/errors.ts";
import type { Partition } from "../../replica/partition.ts";
import type { CoordinatorLog } from "./coordinator-log.ts";

/** The partition as its coordinator sees it, for as long as it is led here in this epoch. */
export function partitionCoordinatorLog(
  partition: Pick<
    Partition,
    | "appendAsLeader"
    | "highWatermark"
    | "leaderEpoch"
    | "log"
    | "logEndOffset"
    | "logStartOffset"
    | "whenCommitted"
  >,
): CoordinatorLog {
  const { leaderEpoch } = partition;
  return {
    leaderEpoch,
    get startOffset() {
      return partition.logStartOffset;
    },
    get highWatermark() {
      return partition.highWatermark;
    },
    get endOffset() {
      return partition.logEndOffset;
    },
    append(batch) {
      // Decisions of an older epoch may not be written in a newer one.
      if (partition.leaderEpoch !== leaderEpoch) throw new KafkaError("NOT_LEADER_OR_FOLLOWER");
      const { result, acked } = partition.appendAsLeader(batch, {
        requiredAcks: -1,
        origin: "coordinator",
      });
      return { baseOffset: result.baseOffset, committed: acked };
    },
    read: (offset, maxBytes) =>
      partition.log.read({
        offset,
        endOffset: partition.logEndOffset,
        maxBytes,
        minOneBatch: true,
      }),
    whenCommitted: (endOffset) => partition.whenCommitted(endOffset),
  };
}
