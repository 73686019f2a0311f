import { KafkaError } from "../protocol/errors.ts";
import { BATCH_OVERHEAD, batchRecordCount } from "../protocol/records/batch.ts";
import type { LogReadOptions, LogReadResult } from "../storage/log-config.ts";
import type { PartitionLog } from "./partition-log.ts";

type ReadableLog = Pick<PartitionLog, "read">;

/**
 * `log.read` for a client: where it comes to nothing but batches that compaction has left without a record,
 * it goes on behind them. A log may have them one by one, each the rest of a segment, and librdkafka takes
 * an answer without a record for one that was too small: after ten of them it gives the application
 * MSG_SIZE_TOO_LARGE. Answered with such batches only when nothing else can be read behind them yet.
 */
export async function readRecords(
  log: ReadableLog,
  options: LogReadOptions,
): Promise<LogReadResult> {
  let found = await log.read(options);
  while (found.records.length > 0 && !hasRecord(found.records)) {
    const behind = await readBehind(log, { ...options, offset: found.nextOffset });
    if (behind === null) break;
    found.release?.();
    found = behind;
  }
  return found;
}

/** Null: there is nothing to be read; a refusal is for who asks from there. */
async function readBehind(
  log: ReadableLog,
  options: LogReadOptions,
): Promise<LogReadResult | null> {
  try {
    const behind = await log.read(options);
    return behind.records.length > 0 ? behind : null;
  } catch (error) {
    if (error instanceof KafkaError) return null;
    throw error;
  }
}

function hasRecord(records: Buffer): boolean {
  let position = 0;
  // A batch without a record is its header alone.
  while (position + BATCH_OVERHEAD <= records.length && batchRecordCount(records, position) === 0) {
    position += BATCH_OVERHEAD;
  }
  return position < records.length;
}
