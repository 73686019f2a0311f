import type { Log } from "../storage/log.ts";

/** Which epoch wrote what, newest last. */
export function epochsOf(log: Log): { epoch: number; startOffset: number }[] {
  const epochs: { epoch: number; startOffset: number }[] = [];
  let epoch = log.latestLeaderEpoch;
  while (epoch > 0) {
    // Where the one before it ends.
    const { leaderEpoch, endOffset: startOffset } = log.endOffsetForEpoch(epoch - 1);
    epochs.unshift({ epoch, startOffset });
    if (startOffset <= log.logStartOffset) break;
    epoch = leaderEpoch;
  }
  return epochs;
}
