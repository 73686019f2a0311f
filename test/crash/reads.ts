import { KafkaError } from "../../src/protocol/errors.ts";
import { batchSizeBytes } from "../../src/protocol/records/batch.ts";
import type { Log } from "../../src/storage/log.ts";
import { type KnownBatch, knownBatch } from "./history.ts";
import type { Transactions } from "./transactions.ts";

/** All batches of a log, from its start to its end. */
export async function readLog(log: Log, transactions: Transactions): Promise<KnownBatch[]> {
  const { compacts } = log.config.cleanupPolicy;
  const batches: KnownBatch[] = [];
  for await (const bytes of batchesBelow(log, log.logEndOffset)) {
    batches.push(knownBatch(bytes, compacts));
    transactions.note(bytes);
  }
  return batches;
}

/** S18: no read goes beyond the end that it was given, be it a border or not, nor beyond the log's. */
export async function readFaults(log: Log, batches: readonly KnownBatch[]): Promise<string[]> {
  const faults: string[] = [];
  const middle = batches[Math.floor(batches.length / 2)];
  const last = batches.at(-1);
  const bounds = [
    middle?.offset,
    last?.offset,
    last === undefined ? undefined : last.endOffset - 1,
  ];
  for (const endOffset of new Set(bounds)) {
    if (endOffset === undefined) continue;
    const expected = batches.filter((batch) => batch.endOffset <= endOffset).length;
    const found: Buffer[] = [];
    for await (const bytes of batchesBelow(log, endOffset)) found.push(bytes);
    if (found.length !== expected) {
      faults.push(`S18: below ${endOffset} are ${expected} batches, and ${found.length} are read`);
    }
  }
  const { logEndOffset: offset } = log;
  const options = { endOffset: Infinity, maxBytes: 1 << 16, minOneBatch: true };
  const { records } = await log.read({ ...options, offset });
  if (records.length > 0) faults.push(`S18: ${records.length} bytes are read beyond ${offset}`);
  try {
    await log.read({ ...options, offset: offset + 1 });
    faults.push(`S18: a read at ${offset + 1} is answered, beyond the end`);
  } catch (error) {
    if (!(error instanceof KafkaError) || error.errorName !== "OFFSET_OUT_OF_RANGE") throw error;
  }
  return faults;
}

async function* batchesBelow(log: Log, endOffset: number): AsyncGenerator<Buffer> {
  for (let offset = log.logStartOffset; offset < endOffset;) {
    const slice = await log.read({ offset, endOffset, maxBytes: 1 << 16, minOneBatch: true });
    // A compacted log may end in a gap; what lacks in another is found by its history.
    if (slice.records.length === 0) return;
    for (let at = 0; at < slice.records.length;) {
      const size = batchSizeBytes(slice.records, at);
      yield slice.records.subarray(at, at + size);
      at += size;
    }
    offset = slice.nextOffset;
  }
}
