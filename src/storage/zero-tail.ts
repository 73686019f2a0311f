import type { Clock } from "../base/clock.ts";
import type { DiskFile } from "../base/disk.ts";
import { TimeSlice } from "../base/time-slice.ts";

const CHUNK_BYTES = 1024 * 1024;

/**
 * Where the zeros begin in which the file ends, not before `from`; its end, if it does not end in zeros.
 * They were written ahead of the log's end (`Preallocation`), or the file system has kept the length
 * and lost the bytes (E18). Throws DiskError.
 */
export async function findZeroTail(
  { file, clock }: { readonly file: DiskFile; readonly clock: Clock },
  from: number,
  fileBytes: number,
): Promise<number> {
  const slice = new TimeSlice(clock);
  const zeros = Buffer.alloc(Math.min(CHUNK_BYTES, fileBytes - from));
  const chunk = Buffer.alloc(zeros.length);
  let end = fileBytes;
  while (end > from) {
    const position = Math.max(from, end - chunk.length);
    const bytes = chunk.subarray(0, end - position);
    await file.read(bytes, position);
    if (!bytes.equals(zeros.subarray(0, bytes.length))) {
      return position + bytes.findLastIndex((byte) => byte !== 0) + 1;
    }
    end = position;
    if (slice.isOver) await slice.next();
  }
  return from;
}
