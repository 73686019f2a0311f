import { DamagedFileError } from "./checkpoint.ts";

const ENTRY_BYTES = 34;
const VERSION = 0;

/** An aborted transaction of one producer: the offsets that read_committed must skip. */
export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly lastStableOffset: number;
}

/** `.txnindex`: int16 version, then the four as int64. The file exists only where there is one. */
export function encodeTxnIndex(entries: readonly AbortedTransaction[]): Buffer {
  const bytes = Buffer.alloc(entries.length * ENTRY_BYTES);
  entries.forEach((entry, index) => {
    let at = index * ENTRY_BYTES;
    at = bytes.writeInt16BE(VERSION, at);
    at = bytes.writeBigInt64BE(BigInt(entry.producerId), at);
    at = bytes.writeBigInt64BE(BigInt(entry.firstOffset), at);
    at = bytes.writeBigInt64BE(BigInt(entry.lastOffset), at);
    bytes.writeBigInt64BE(BigInt(entry.lastStableOffset), at);
  });
  return bytes;
}

/** Throws DamagedFileError. */
export function decodeTxnIndex(bytes: Buffer): AbortedTransaction[] {
  if (bytes.length % ENTRY_BYTES !== 0) throw new DamagedFileError("the last entry is cut off");
  const entries: AbortedTransaction[] = [];
  for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
    if (bytes.readInt16BE(at) !== VERSION) throw new DamagedFileError("the version is not 0");
    const [producerId = -1, firstOffset = -1, lastOffset = -1, lastStableOffset = -1] = [
      2, 10, 18, 26,
    ].map((field) => Number(bytes.readBigInt64BE(at + field)));
    if (lastOffset < firstOffset) throw new DamagedFileError("a transaction ends before it begins");
    entries.push({ producerId, firstOffset, lastOffset, lastStableOffset });
  }
  return entries;
}
