import {
  BATCH_OVERHEAD,
  batchBaseOffset,
  batchLeaderEpoch,
  batchMagic,
  batchNextOffset,
  batchSizeBytes,
  isBatchCrcValid,
  MAGIC_V2,
} from "../protocol/records/batch.ts";

export interface ReplicatedBatch {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly leaderEpoch: number;
  readonly bytes: Buffer;
}

/**
 * The batches of a frame; null: one of them is not whole, is damaged, or is newer than the leader that sends it. What a leader
 * sends it has read from its disk, or from its memory, and the network lay between.
 */
export function batchesOf(
  records: Buffer,
  leader: { readonly leaderEpoch: number },
): readonly ReplicatedBatch[] | null {
  const batches: ReplicatedBatch[] = [];
  for (let position = 0; position < records.length;) {
    if (records.length - position < BATCH_OVERHEAD) return null;
    const sizeBytes = batchSizeBytes(records, position);
    if (sizeBytes < BATCH_OVERHEAD || sizeBytes > records.length - position) return null;
    const bytes = records.subarray(position, position + sizeBytes);
    const baseOffset = batchBaseOffset(bytes);
    const nextOffset = batchNextOffset(bytes);
    const leaderEpoch = batchLeaderEpoch(bytes);
    if (batchMagic(bytes) !== MAGIC_V2 || nextOffset <= baseOffset) return null;
    if (leaderEpoch > leader.leaderEpoch || !isBatchCrcValid(bytes)) return null;
    batches.push({ baseOffset, nextOffset, leaderEpoch, bytes });
    position += sizeBytes;
  }
  return batches;
}
