/**
 * One partition of a coordinator's topic as its leader in one epoch sees it. Offsets are records'.
 * Once leadership is gone every promise rejects, with KafkaError NOT_LEADER_OR_FOLLOWER.
 */
export interface CoordinatorLog {
  readonly leaderEpoch: number;
  readonly startOffset: number;
  readonly highWatermark: number;
  /** Exclusive end of what is in the log, committed or not. */
  readonly endOffset: number;
  /**
   * Synchronously queues the batch behind all earlier ones; throws KafkaError when the log refuses
   * it, and then it is not in the log. `committed` resolves when the high watermark has passed it.
   */
  append(batch: Buffer): {
    readonly baseOffset: number;
    readonly committed: Promise<void>;
  };
  /** Whole batches from `offset` on, at least one where there is one, about `maxBytes` in all. */
  read(
    offset: number,
    maxBytes: number,
  ): Promise<{ readonly records: Buffer; readonly nextOffset: number }>;
  /** Resolves when the high watermark has reached `endOffset`. */
  whenCommitted(endOffset: number): Promise<void>;
}
