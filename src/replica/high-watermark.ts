/**
 * When the high watermark moves. Pure: what is known of the replicas goes in, an offset comes out.
 * The leader alone is the case of one in-sync position; followers add theirs.
 */

/** How many replicas there are, and how many of them must be in sync. */
export interface IsrSizes {
  /** Members of the ISR that the controller has committed. */
  readonly committedIsrSize: number;
  readonly minInsyncReplicas: number;
  readonly replicationFactor: number;
}

/**
 * The high watermark after `highWatermark`, from the safe positions (R4) of all members of ISR and
 * pending ISR, the leader's own included: the least of them, as all must have a record before it counts
 * as committed (R3, R-7). It never falls, and stands still while the committed ISR is too small to
 * be believed (R6, R-15).
 */
export function nextHighWatermark(
  highWatermark: number,
  inSyncSafeEndOffsets: readonly number[],
  sizes: IsrSizes,
): number {
  if (!hasEnoughInsyncReplicas(sizes)) return highWatermark;
  let least = Infinity;
  for (const endOffset of inSyncSafeEndOffsets) least = Math.min(least, endOffset);
  return least === Infinity ? highWatermark : Math.max(highWatermark, least);
}

/** Whether the committed ISR is large enough for acks=all (R6). */
export function hasEnoughInsyncReplicas(sizes: IsrSizes): boolean {
  return (
    sizes.committedIsrSize >=
    effectiveMinInsyncReplicas(sizes.minInsyncReplicas, sizes.replicationFactor)
  );
}

/** A topic of fewer replicas than min.insync.replicas asks for all that it has (R6, KIP-966). */
export function effectiveMinInsyncReplicas(
  minInsyncReplicas: number,
  replicationFactor: number,
): number {
  return Math.min(minInsyncReplicas, replicationFactor);
}
