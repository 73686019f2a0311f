import { must } from "../base/assert.ts";
import {
  batchBaseOffset,
  batchBaseTimestamp,
  batchLastOffset,
  batchLeaderEpoch,
  batchRecordCount,
  batchSizeBytes,
  isControl,
} from "../protocol/records/batch.ts";
import { batchBody, iterateRecords } from "../protocol/records/record.ts";
import type { CommittedBatch } from "./raft-client.ts";

/** Whole batches as the log gave them. Throws KafkaError CORRUPT_MESSAGE. */
export function readCommittedBatches(records: Buffer): CommittedBatch[] {
  const batches: CommittedBatch[] = [];
  let position = 0;
  while (position < records.length) {
    batches.push({
      baseOffset: batchBaseOffset(records, position),
      lastOffset: batchLastOffset(records, position),
      leaderEpoch: batchLeaderEpoch(records, position),
      timestampMs: batchBaseTimestamp(records, position),
      records: isControl(records, position) ? [] : valuesOf(records, position),
    });
    position += batchSizeBytes(records, position);
  }
  return batches;
}

/** The metadata log is never compressed: its records are as small as its batches. */
export function valuesOf(records: Buffer, position: number): Buffer[] {
  const { body } = batchBody(records, position);
  const values: Buffer[] = [];
  for (const record of iterateRecords(body, batchRecordCount(records, position))) {
    values.push(must(record.value, "a metadata record has a value"));
  }
  return values;
}
