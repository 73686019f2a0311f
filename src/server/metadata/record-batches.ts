import { MAX_RECORDS_PER_REQUEST } from "./controller.ts";

/** Kafka's bound on one batch of the metadata log (KafkaRaftClient.MAX_BATCH_SIZE_BYTES). */
export const MAX_BATCH_BYTES = 8 * 1024 * 1024;

/** What a record needs besides its value: lengths, deltas and attributes, all at their longest. */
const RECORD_OVERHEAD_BYTES = 32;

/**
 * The records of one decision as batches of the log, in order (R5): one, if it may be; each survives a crash
 * whole or not at all. Only what is as large as the cluster is split, and those decisions put what must
 * come last there.
 */
export function recordBatches(
  records: readonly Buffer[],
  {
    maxRecords = MAX_RECORDS_PER_REQUEST,
    maxBytes = MAX_BATCH_BYTES,
  }: { readonly maxRecords?: number; readonly maxBytes?: number } = {},
): Buffer[][] {
  const batches: Buffer[][] = [];
  let batch: Buffer[] = [];
  let bytes = 0;
  for (const record of records) {
    const recordBytes = record.length + RECORD_OVERHEAD_BYTES;
    const isFull = batch.length === maxRecords || bytes + recordBytes > maxBytes;
    if (batch.length > 0 && isFull) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(record);
    bytes += recordBytes;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

/** Whether the records are one batch, as what a client asks for has to be: all of it happens or nothing. */
export function fitsOneBatch(records: readonly Buffer[]): boolean {
  return recordBatches(records).length <= 1;
}
