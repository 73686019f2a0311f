import type { Clock } from "../base/clock.ts";
import { TimeSlice } from "../base/time-slice.ts";
import { batchNextOffset, batchSizeBytes, isControl } from "../protocol/records/batch.ts";
import type { Log } from "../storage/log.ts";
import { votersIn } from "./control-records.ts";
import { LOG_BEGINNING, type RecoveredLog, type VotersAt } from "./core/log-view.ts";
import { type Voter, VoterSet } from "./core/voters.ts";
import type { Snapshots } from "./snapshots.ts";

const READ_BYTES = 1024 * 1024;

export interface FoundLog {
  readonly log: Log;
  readonly snapshots: Snapshots;
}

/**
 * What the core has to know of a log that was opened. `voters` are those of a log that names none yet.
 * Throws KafkaError as `Log.read` does.
 */
export async function recoveredLog(
  { log, snapshots }: FoundLog,
  clock: Clock,
  voters: readonly Voter[],
): Promise<RecoveredLog> {
  const view = recoveredLoneLog({ log, snapshots }, voters);
  const voterHistory = [...view.voterHistory];
  const timeSlice = new TimeSlice(clock);
  let offset = view.start.endOffset;
  const { logEndOffset: endOffset } = log;
  while (offset < endOffset) {
    const maxBytes = READ_BYTES;
    const { records, nextOffset } = await log.read({
      offset,
      endOffset,
      maxBytes,
      minOneBatch: true,
    });
    if (nextOffset === offset) break;
    voterHistory.push(...votersOf(records));
    offset = nextOffset;
    if (timeSlice.isOver) await timeSlice.next();
  }
  return { ...view, voterHistory };
}

/** The same of a node that has nobody beside it: who votes is known without a look at the log. */
export function recoveredLoneLog(
  { log, snapshots }: FoundLog,
  voters: readonly Voter[],
): RecoveredLog {
  const { newest } = snapshots;
  const { logEndOffset: endOffset, flushedEndOffset } = log;
  const isWhole = log.logStartOffset === 0 || newest === null;
  const start = isWhole ? LOG_BEGINNING : newest.id;
  const first = isWhole ? voters : newest.head.voters;
  return {
    start,
    newestSnapshot: newest?.id ?? LOG_BEGINNING,
    endOffset,
    flushedEndOffset,
    epochs: epochsOf(log),
    voterHistory: [{ endOffset: start.endOffset, voters: new VoterSet(first) }],
  };
}

function votersOf(records: Buffer): VotersAt[] {
  const found: VotersAt[] = [];
  for (let position = 0; position < records.length;) {
    const sizeBytes = batchSizeBytes(records, position);
    if (isControl(records, position)) {
      const voters = votersIn(records.subarray(position, position + sizeBytes));
      const endOffset = batchNextOffset(records, position);
      if (voters !== null) found.push({ endOffset, voters: new VoterSet(voters) });
    }
    position += sizeBytes;
  }
  return found;
}

/** Which epoch wrote what, newest last. */
function epochsOf(log: Log): { epoch: number; startOffset: number }[] {
  const epochs: { epoch: number; startOffset: number }[] = [];
  let epoch = log.latestLeaderEpoch;
  while (epoch > 0) {
    // Where the one before it ends.
    const { leaderEpoch, endOffset: startOffset } = log.endOffsetForEpoch(epoch - 1);
    if (startOffset < 0) break;
    epochs.unshift({ epoch, startOffset });
    if (startOffset <= log.logStartOffset) break;
    epoch = leaderEpoch;
  }
  return epochs;
}
