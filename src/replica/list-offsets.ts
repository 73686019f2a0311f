import type { Offload } from "../base/offload.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { Partition } from "./partition.ts";

/** Timestamps of ListOffsets that mean a place in the log instead of a time. */
export const LATEST_TIMESTAMP = -1n;
export const EARLIEST_TIMESTAMP = -2n;
export const MAX_TIMESTAMP = -3n;
export const EARLIEST_LOCAL_TIMESTAMP = -4n;
export const LATEST_TIERED_TIMESTAMP = -5n;
export const EARLIEST_PENDING_UPLOAD_TIMESTAMP = -6n;

/** A place in the log. Each field is -1 when there is nothing to say. */
export interface FoundOffset {
  readonly offset: number;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
}

const NOT_FOUND: FoundOffset = { offset: -1, timestampMs: -1, leaderEpoch: -1 };

/**
 * The offset that ListOffsets asks for. Nothing beyond the reader's end (the high watermark, with
 * `isReadCommitted` the last stable offset) is ever found. Throws KafkaError OFFSET_NOT_AVAILABLE for an
 * answer that could lie before what a former leader has already shown (KIP-207), and what the log says.
 * The partition's `refusal` was checked before.
 */
export async function findOffset(
  partition: Partition,
  query: { readonly timestamp: bigint; readonly isReadCommitted: boolean },
  offload: Offload,
): Promise<FoundOffset> {
  const endOffset = query.isReadCommitted ? partition.lastStableOffset : partition.highWatermark;
  switch (query.timestamp) {
    case LATEST_TIMESTAMP:
      checkKnown(partition);
      return { offset: endOffset, timestampMs: -1, leaderEpoch: partition.leaderEpoch };
    case EARLIEST_TIMESTAMP:
    case EARLIEST_LOCAL_TIMESTAMP:
      return {
        offset: partition.logStartOffset,
        timestampMs: -1,
        leaderEpoch: earliestEpoch(partition),
      };
    case LATEST_TIERED_TIMESTAMP:
    case EARLIEST_PENDING_UPLOAD_TIMESTAMP:
      // There is no tiered storage: nothing is there, and nothing waits to go.
      return NOT_FOUND;
    default: {
      const found =
        query.timestamp === MAX_TIMESTAMP
          ? await partition.log.findMaxTimestamp(endOffset, offload)
          : await partition.log.findByTimestamp(query.timestamp, endOffset, offload);
      if (found !== null) return found;
      checkKnown(partition);
      return NOT_FOUND;
    }
  }
}

/** The epoch of the first batch; of an empty log, the one that its first batch would have now. */
function earliestEpoch({ log, leaderEpoch, logStartOffset, logEndOffset }: Partition): number {
  return logStartOffset < logEndOffset ? log.leaderEpochAt(logStartOffset) : leaderEpoch;
}

function checkKnown(partition: Partition): void {
  if (!partition.isHighWatermarkKnown) throw new KafkaError("OFFSET_NOT_AVAILABLE");
}
