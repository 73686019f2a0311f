import type { Clock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import { TimeSlice } from "../base/time-slice.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  batchBaseOffset,
  batchLeaderEpoch,
  batchNextOffset,
  batchSizeBytes,
  isControl,
} from "../protocol/records/batch.ts";
import { buildBatch } from "../protocol/records/batch-builder.ts";
import { scanBatches } from "../storage/batch-scanner.ts";
import { valuesOf } from "./committed-batches.ts";
import {
  isSnapshotFoot,
  snapshotFootBatch,
  type SnapshotHead,
  snapshotHeadBatch,
  snapshotHeadIn,
} from "./control-records.ts";
import type { SnapshotId } from "./core/messages.ts";

/** The file is not a whole and sound snapshot of that name. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
}

export interface SnapshotPorts {
  readonly disk: Disk;
  readonly clock: Clock;
}

/** What one batch of a snapshot holds at least, if there is as much. */
const BATCH_BYTES = 64 * 1024;

const NAME = /^(\d{20})-(\d{10})\.checkpoint$/;
export const SNAPSHOT_SUFFIX = ".checkpoint";

/** Kafka's name of it. */
export function snapshotFileName({ endOffset, epoch }: SnapshotId): string {
  return `${String(endOffset).padStart(20, "0")}-${String(epoch).padStart(10, "0")}${SNAPSHOT_SUFFIX}`;
}

/** null: the file is something else. */
export function snapshotIdOf(fileName: string): SnapshotId | null {
  const [, endOffset, epoch] = NAME.exec(fileName) ?? [];
  if (endOffset === undefined || epoch === undefined) return null;
  return { endOffset: Number(endOffset), epoch: Number(epoch) };
}

/**
 * Writes the state as a file of Kafka's form (KIP-630), in slices, and syncs it; its name is durable only
 * after a `syncDir`. Throws DiskError.
 */
export async function writeSnapshotFile(
  { disk, clock }: SnapshotPorts,
  path: string,
  { id, head }: { readonly id: SnapshotId; readonly head: SnapshotHead },
  records: Iterable<Buffer>,
): Promise<void> {
  const { epoch: leaderEpoch } = id;
  const { timestampMs } = head;
  const timeSlice = new TimeSlice(clock);
  const file = await disk.open(path, { create: true, truncate: true });
  try {
    let position = 0;
    const write = async (batch: Buffer): Promise<void> => {
      await file.writev([batch], position);
      position += batch.length;
      if (timeSlice.isOver) await timeSlice.next();
    };
    const first = snapshotHeadBatch(head, leaderEpoch);
    await write(first);
    let baseOffset = batchNextOffset(first);
    for (const values of batched(records)) {
      const newRecords = values.map((value) => ({ key: null, value }));
      await write(buildBatch({ records: newRecords, baseOffset, leaderEpoch, timestampMs }));
      baseOffset += values.length;
    }
    await write(snapshotFootBatch(baseOffset, leaderEpoch, timestampMs));
    await file.datasync();
  } finally {
    await file.close();
  }
}

function* batched(records: Iterable<Buffer>): Generator<Buffer[]> {
  let values: Buffer[] = [];
  let sizeBytes = 0;
  for (const value of records) {
    values.push(value);
    sizeBytes += value.length;
    if (sizeBytes < BATCH_BYTES) continue;
    yield values;
    values = [];
    sizeBytes = 0;
  }
  if (values.length > 0) yield values;
}

/**
 * Goes through the file from its header to its footer and gives the values of each batch to `visit`.
 * Throws SnapshotError when it is not whole, or not sound (the last values may have been given by then),
 * and DiskError.
 */
export async function readSnapshotFile(
  { disk, clock }: SnapshotPorts,
  path: string,
  id: SnapshotId,
  visit: (head: SnapshotHead, values: Buffer[]) => void,
): Promise<SnapshotHead> {
  const file = await disk.open(path);
  const read: { head: SnapshotHead | null; nextOffset: number; isOver: boolean } = {
    head: null,
    nextOffset: 0,
    isOver: false,
  };
  const onBatch = (bytes: Buffer, at: number): void => {
    const batch = bytes.subarray(at, at + batchSizeBytes(bytes, at));
    const isNext = batchBaseOffset(batch) === read.nextOffset && !read.isOver;
    if (!isNext || batchLeaderEpoch(batch) !== id.epoch) throw damaged(path, "its batches differ");
    if (read.head === null) {
      read.head = snapshotHeadIn(batch);
      if (read.head === null) throw damaged(path, "it does not begin with a header and voters");
    } else if (isControl(batch)) read.isOver = isSnapshotFoot(batch);
    else visit(read.head, valuesOf(batch, 0));
  };
  try {
    const sizeBytes = await file.size();
    const scan = await scanBatches(
      { file, clock },
      { startPosition: 0, endPosition: sizeBytes, minOffset: 0, checksCrc: true },
      (bytes, at) => {
        onBatch(bytes, at);
        read.nextOffset = batchNextOffset(bytes, at);
        return "go on";
      },
    );
    if (scan.damage !== null) throw damaged(path, scan.damage);
    if (read.head === null || !read.isOver) throw damaged(path, "its end is missing");
    return read.head;
  } catch (error) {
    if (error instanceof KafkaError) throw damaged(path, error.message);
    throw error;
  } finally {
    await file.close();
  }
}

function damaged(path: string, reason: string): SnapshotError {
  return new SnapshotError(`${path} is damaged: ${reason}`);
}
