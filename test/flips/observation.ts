import { KafkaError } from "../../src/protocol/errors.ts";
import {
  batchBaseOffset,
  batchNextOffset,
  batchSizeBytes,
} from "../../src/protocol/records/batch.ts";
import { InlineOffload } from "../../src/server/offload.ts";
import type { Log } from "../../src/storage/log.ts";
import { batch, LAST_BATCH, NOW_MS } from "./cluster.ts";

/** All that clients can learn of a partition. An offset whose read is refused says so. */
export interface Observation {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** Batches by their base offset, as hexadecimal digits. */
  readonly batches: ReadonlyMap<number, string>;
  /** Offsets that were answered with CORRUPT_MESSAGE. */
  readonly refused: readonly number[];
  /** Answers that do not depend on one batch alone, by name; "refused" where they were. */
  readonly answers: ReadonlyMap<string, string>;
}

const offload = await InlineOffload.open();
const MAX_BYTES = 700;
/** A consumer that gets no further within so many reads is stuck. */
const MAX_READS = 2_000;

/** Reads the log as a consumer from its start would, stepping over what is refused. */
export async function observe(log: Log): Promise<Observation> {
  const batches = new Map<number, string>();
  const refused: number[] = [];
  let offset = log.logStartOffset;
  for (let reads = 0; offset < log.logEndOffset; reads += 1) {
    if (reads > MAX_READS) throw new Error(`a consumer is stuck at offset ${offset}`);
    const read = { offset, endOffset: log.logEndOffset, maxBytes: MAX_BYTES, minOneBatch: true };
    try {
      const { records, nextOffset } = await log.read(read);
      if (records.length === 0) throw new Error(`nothing at offset ${offset}`);
      for (let at = 0; at < records.length; at += batchSizeBytes(records, at)) {
        const bytes = records.subarray(at, at + batchSizeBytes(records, at));
        batches.set(batchBaseOffset(bytes), bytes.toString("hex"));
        // A batch must follow from the one before: a consumer would miss what lies between.
        if (batchBaseOffset(bytes) > offset) {
          throw new Error(`offsets ${offset} to ${batchBaseOffset(bytes)} were passed over`);
        }
        offset = batchNextOffset(bytes);
      }
      if (offset !== nextOffset) throw new Error(`a read to ${offset} says ${nextOffset}`);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refused.push(offset);
      offset += 1;
    }
  }
  const answers = new Map<string, string>();
  const ask = async (name: string, question: () => unknown): Promise<void> => {
    try {
      answers.set(name, JSON.stringify(await question()));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      answers.set(name, "refused");
    }
  };
  const { logEndOffset: end } = log;
  for (let step = 0; step < 30; step += 4) {
    const timestampMs = BigInt(NOW_MS + 10 * step - 5);
    await ask(`first at or after ${timestampMs}`, () =>
      log.findByTimestamp(timestampMs, end, offload),
    );
  }
  await ask("greatest timestamp", () => log.findMaxTimestamp(end, offload));
  await ask("aborted", async () => {
    const aborted = await log.abortedTransactions(log.logStartOffset, end);
    return aborted.map(({ producerId, firstOffset }) => [producerId, firstOffset]);
  });
  await ask("first unstable", () => log.firstUnstableOffset(end));
  for (let epoch = 0; epoch < 4; epoch += 1) {
    await ask(`end of epoch ${epoch}`, () => log.endOffsetForEpoch(epoch));
  }
  return { logStartOffset: log.logStartOffset, logEndOffset: end, batches, refused, answers };
}

/** Goes on: the idempotent producer sends its last batch again, then everybody sends more. */
export async function goOn(log: Log): Promise<string> {
  const options = { leaderEpoch: 9, origin: "client" } as const;
  const repeated = log.append(
    batch(29, { records: [{ key: null, value: Buffer.from("idempotent 29") }], ...LAST_BATCH }),
    options,
  );
  const { kind, baseOffset } = log.append(batch(4), options);
  await log.flush();
  const read = { offset: baseOffset, endOffset: log.logEndOffset, maxBytes: 1, minOneBatch: true };
  const { records } = await log.read(read);
  const next = batchNextOffset(records);
  return JSON.stringify({ repeated: [repeated.kind, repeated.baseOffset], kind, baseOffset, next });
}

function isRefusal(error: unknown): boolean {
  return error instanceof KafkaError && error.errorName === "CORRUPT_MESSAGE";
}
