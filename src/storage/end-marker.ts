import { KafkaError } from "../protocol/errors.ts";
import { batchBaseOffset, batchRecordCount } from "../protocol/records/batch.ts";
import { batchBody, iterateRecords, type Record } from "../protocol/records/record.ts";

/** Kafka's ControlRecordType. */
const ABORT = 0;
const COMMIT = 1;

/** The end of a producer's transaction in one partition, as its coordinator has decided it (X8). */
export interface EndMarker {
  readonly offset: number;
  readonly isAbort: boolean;
  readonly coordinatorEpoch: number;
}

/** The marker in the whole control batch at `position`; null: it holds, or has left, something else. */
export function readEndMarker(bytes: Buffer, position: number): EndMarker | null {
  const record = firstRecord(bytes, position);
  if (record === null) return null;
  const { key, value, offsetDelta } = record;
  // Key: int16 version, int16 type. Value: int16 version, int32 coordinator epoch.
  if (key === null || key.length < 4 || value === null || value.length < 6) return null;
  const type = key.readInt16BE(2);
  if (type !== ABORT && type !== COMMIT) return null;
  return {
    offset: batchBaseOffset(bytes, position) + offsetDelta,
    isAbort: type === ABORT,
    coordinatorEpoch: value.readInt32BE(2),
  };
}

function firstRecord(bytes: Buffer, position: number): Record | null {
  // Compaction leaves a marker's batch, for its producer's sake, without the marker.
  if (batchRecordCount(bytes, position) === 0) return null;
  try {
    const { type, body } = batchBody(bytes, position);
    if (type !== "none") return null;
    const [record = null] = iterateRecords(body, batchRecordCount(bytes, position));
    return record;
  } catch (error) {
    // A start that skims headers meets damage here that a reader will be told of.
    if (error instanceof KafkaError) return null;
    throw error;
  }
}
