/**
 * When the high watermark moves. Pure: what is known of the replicas goes in, an offset comes out.
 * The leader alone is the case of one in-sync position; followers add theirs.
 */

/** What decides about the high watermark of one partition. */
export interface HighWatermarkInputs {
  /** Where it stands. */
  readonly highWatermark: number;
  /** Safe positions (R4) of all members of ISR and pending ISR, the leader's own included. */
  readonly inSyncSafeEndOffsets: readonly number[];
  /** Members of the ISR that the controller has committed. */
  readonly committedIsrSize: number;
  readonly minInsyncReplicas: number;
  readonly replicationFactor: number;
}

/**
 * The high watermark that follows: the least safe position of all who must have a record before it
 * counts as committed (R3, R4, R-7). It never falls, and stands still while the committed ISR is
 * too small to be believed (R6, R-15).
 */
export function nextHighWatermark(inputs: HighWatermarkInputs): number {
  if (!hasEnoughInsyncReplicas(inputs)) return inputs.highWatermark;
  let least = Infinity;
  for (const endOffset of inputs.inSyncSafeEndOffsets) least = Math.min(least, endOffset);
  return least === Infinity ? inputs.highWatermark : Math.max(inputs.highWatermark, least);
}

/** Whether the committed ISR is large enough for acks=all (R6). */
export function hasEnoughInsyncReplicas(
  inputs: Pick<HighWatermarkInputs, "committedIsrSize" | "minInsyncReplicas" | "replicationFactor">,
): boolean {
  return (
    inputs.committedIsrSize >=
    effectiveMinInsyncReplicas(inputs.minInsyncReplicas, inputs.replicationFactor)
  );
}

/** A topic of fewer replicas than min.insync.replicas asks for all that it has (R6, KIP-966). */
export function effectiveMinInsyncReplicas(
  minInsyncReplicas: number,
  replicationFactor: number,
): number {
  return Math.min(minInsyncReplicas, replicationFactor);
}
