import type { Disk } from "../base/disk.ts";
import { DamagedFileError } from "./checkpoint.ts";
import { removeFile } from "./log-files.ts";

const ENTRY_BYTES = 34;
const VERSION = 0;

/** An aborted transaction of one producer: the offsets that read_committed must skip. */
export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of the marker. */
  readonly lastOffset: number;
  /** No transaction that ends after this one begins below it. */
  readonly lastStableOffset: number;
}

/**
 * The `.txnindex` of a segment: the transactions whose abort marker lies in it, in the order of the
 * markers. Derived from the batches, as the other indexes are (S9); the file has no checksum, so what
 * it says is believed of no segment that this process has not written.
 */
export class TxnIndex {
  readonly #entries: AbortedTransaction[];
  #storedCount = 0;
  /** Whether a file of an earlier life may be there. */
  readonly #mayHaveFile: boolean;

  /** With the entries that a scan has found, or for a segment that begins. */
  constructor(scanned?: readonly AbortedTransaction[]) {
    this.#entries = [...(scanned ?? [])];
    this.#mayHaveFile = scanned !== undefined;
  }

  get entries(): readonly AbortedTransaction[] {
    return this.#entries;
  }

  get hasUnstored(): boolean {
    return this.#entries.length > this.#storedCount;
  }

  add(entry: AbortedTransaction): void {
    this.#entries.push(entry);
  }

  /** Writes what the file lacks; there is none where there is no entry. Throws DiskError. */
  async store(disk: Disk, path: string, isFinal: boolean, isSynced: boolean): Promise<void> {
    if (this.#entries.length === 0) {
      if (isFinal && this.#mayHaveFile) await removeFile(disk, path);
      return;
    }
    if (!this.hasUnstored && !isFinal) return;
    const from = this.#storedCount;
    this.#storedCount = this.#entries.length;
    const file = await disk.open(path, { create: true, truncate: from === 0 });
    try {
      const portion = encodeTxnIndex(this.#entries.slice(from, this.#storedCount));
      if (portion.length > 0) await file.writev([portion], from * ENTRY_BYTES);
      if (isSynced) await file.datasync();
    } finally {
      await file.close();
    }
  }
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
